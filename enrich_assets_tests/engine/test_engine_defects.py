"""A defect of the program ends its phase with an error that says so; it is never one row's quiet failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import DeclarationError, FinalError, defect_error, is_own_defect
from enrich_assets.core.settings import Settings
from enrich_assets.core.units import money
from enrich_assets.engine.columns import Column
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Selection, row, table
from enrich_assets.engine.settings import EngineSettings
from enrich_assets_tests.engine_kit import rows_table, run


class Shared(EngineSettings):
    """Settings of a run."""


class Nothing(Settings):
    """No settings."""


@table(adds={"title": Column(str, "headline"), "text": Column(str, "text")}, settings=Nothing)
def source(settings: Nothing) -> Selection:
    """Rows."""
    return Selection(kept=[])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


def raised(act: Any) -> Exception:
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


@row(settings=Nothing, adds={"length": Column(int, "characters")}, reads=["text"])
async def lacking(article: Any, clients: Any, settings: Nothing) -> Any:
    """Rows whose library is missing."""
    import no_such_library  # type: ignore[import-not-found]  # noqa: F401


@row(settings=Nothing, adds={"length": Column(int, "characters")}, reads=["text"])
async def broken(article: Any, clients: Any, settings: Nothing) -> Any:
    """Rows that meet a defect of the package's own code."""
    money("a text where a number belongs")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "told"), [(lacking, "ModuleNotFoundError: No module named 'no_such_library'"), (broken, "TypeError")]
)
def test_what_every_row_would_meet_ends_the_phase(phase: Any, told: str, ledger: Ledger) -> None:
    with pytest.raises(DeclarationError, match="the program cannot go on") as caught:
        run(Graph("small", [source, phase], shared=Shared), phase.phase.name, rows_table("a", "b"), ledger)
    assert told in str(caught.value) and "resume the run" in str(caught.value)


def test_own_code_and_missing_libraries_are_told_from_data_and_from_others_code() -> None:
    assert is_own_defect(raised(lambda: __import__("no_such_library")))
    assert is_own_defect(raised(lambda: money("text")))  # type: ignore[arg-type]
    assert not is_own_defect(raised(lambda: int("text")))
    assert not is_own_defect(raised(lambda: "text" + 1))  # type: ignore[operator]  # a phase of somebody's own
    assert not is_own_defect(FinalError("gone"))
    assert "units.py:" in defect_error(raised(lambda: money("text"))).what  # type: ignore[arg-type]
