"""What a comparison looks like: a page that nothing in a text can break out of, and refusals that say what to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from enrich_assets.core.errors import UserError
from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.reading import Run
from enrich_assets.reports.compare.comparison import compare
from enrich_assets.reports.compare.content import (
    ArticleChange,
    Cause,
    ComparedRun,
    Comparison,
    PromptDifference,
    ScoreChange,
    SettingDifference,
)
from enrich_assets.reports.compare.differences import value_differences
from enrich_assets.reports.compare.page import comparison_page
from enrich_assets.store.store import Store
from enrich_assets_tests.stored_run import unpack

INTELLIGENCE = GRAPHS["intelligence"]
STORED = Path(__file__).parents[2] / "fixtures" / "run_0_1"
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)> \u202egnp.exe'


def about(run_id: str) -> ComparedRun:
    moment = datetime(2026, 11, 2, 9, tzinfo=UTC)
    return ComparedRun(
        run_id=run_id, title=HOSTILE, as_of=moment, is_complete=True, articles=1, cost=None, seconds=75.0
    )


def comparison(text: str, url: str) -> Comparison:
    cause = Cause(kind="settings", phase="tier2", detail=text)
    article = ArticleChange(
        row_id="r", title=text, url=url, change="moved", old_rank=1, new_rank=2, first_phase="tier2", told=text,
        causes=[cause], scores=[ScoreChange(name="tier2_score", old=None, new=7.0)],
    )  # fmt: skip
    return Comparison(
        graph="intelligence", phase="validated", old=about("20261101_090000"), new=about("20261102_090000"),
        settings=[SettingDifference(path="company.name", old="", new=text)],
        prompts=[PromptDifference(phase="tier2", file="tier2.md", lines=[f"-{text}", f"+{text}"])],
        models=[], code=["ranked"], phases=[], articles=[article], unchanged=0, elsewhere=0, notes=[text],
    )  # fmt: skip


def test_no_text_of_a_run_is_alive_in_the_page() -> None:
    page = comparison_page(comparison(HOSTILE, "javascript:alert(3)"))
    assert "<script" not in page and "<img" not in page and "\u202e" not in page
    assert 'href="javascript' not in page and "(no link: " in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_asks_for_nothing_and_says_what_changed() -> None:
    page = comparison_page(comparison("Talks resume", "https://post.example/talks"))
    assert set(re.findall(r'(?:src|href)="([^"#]+)', page)) == {"data:,", "https://post.example/talks"}
    assert "rank 1 → 2" in page and "7.00" in page and "unknown" in page


def test_settings_are_told_apart_by_path_and_lists_by_id() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "sources": [{"id": "x", "max": 1}, {"id": "y", "max": 2}], "gone": 1}
    new = {"a": {"b": 2, "c": [1, 2]}, "sources": [{"id": "y", "max": 3}, {"id": "x", "max": 1}], "came": 2}
    assert value_differences(old, new) == [
        ("a.b", 1, 2), ("sources.y.max", 2, 3), ("gone", 1, None), ("came", None, 2),
    ]  # fmt: skip


def test_what_cannot_be_compared_is_refused_with_a_way_on(tmp_path: Path) -> None:
    unpack(STORED, tmp_path / "data")
    store = Store(tmp_path / "data")
    (run_id,) = store.runs("intelligence")
    run = Run(store, INTELLIGENCE, run_id)
    with pytest.raises(UserError, match=f"both are the run {run_id}"):
        compare(run, Run(store, INTELLIGENCE, run_id))
    phases = [phase.function for phase in INTELLIGENCE.phases]
    other = Graph("tables", phases, shared=INTELLIGENCE.shared)
    with pytest.raises(UserError, match=r"a run of intelligence and .* one of tables"):
        compare(run, Run(store, other, "20260101_000000"))
    with pytest.raises(UserError, match="20260101_000000 has published nothing") as caught:
        compare(run, Run(store, INTELLIGENCE, "20260101_000000"))
    assert caught.value.exit_code == 2 and caught.value.fix == "enrich resume 20260101_000000"
