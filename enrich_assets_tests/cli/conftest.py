"""One demo run that the tests of the command share, and the two ways to call the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests import warm

Called = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class CommandPlace:
    """A Dagster home with a storage of its own."""

    home: Path
    storage: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "OPENAI_"))}
        return {
            **kept,
            "DAGSTER_HOME": str(self.home),
            "ENRICH_STORAGE": str(self.storage),
            "COLUMNS": "80",
            "PYTHONIOENCODING": "utf-8",
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "enrich_assets.cli.main", *arguments]

    def enrich(self, *arguments: str, **environment: str) -> Called:
        """Calls the command as a process of its own."""
        return warm.enrich(*arguments, environment={**self.environment, **environment})

    def run_ids(self) -> list[str]:
        """The runs of the ledger, newest first; opens it anew."""
        with Ledger.for_storage(str(self.storage)) as ledger:
            return [str(run["run_id"]) for run in ledger.runs()]

    def recorded(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The ledger's view of a run's phases by name."""
        with Ledger.for_storage(str(self.storage)) as ledger:
            return {str(row["phase"]): row for row in ledger.phases(run_id)}

    def partitions(self) -> set[str]:
        """The runs that Dagster knows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import dagster as dg

            with dg.DagsterInstance.from_config(str(self.home)) as instance:
                return set(instance.get_dynamic_partitions("intelligence_runs"))

    def copied_to(self, folder: Path) -> CommandPlace:
        """A copy that a test may damage."""
        shutil.copytree(self.home, folder / "home", symlinks=True)
        shutil.copytree(self.storage, folder / "data", symlinks=True)
        return CommandPlace(folder / "home", folder / "data")


def made_place(folder: Path) -> CommandPlace:
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    return CommandPlace(folder / "home", folder / "data")


@pytest.fixture
def empty_place(tmp_path: Path) -> CommandPlace:
    """A place without any run."""
    return made_place(tmp_path)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandPlace, Called]:
    """A place with one finished demo run, and what the command said while it ran. Tests only read it."""
    place = made_place(tmp_path_factory.mktemp("demo"))
    return place, place.enrich("demo")


@pytest.fixture(scope="session")
def demo_place(demo: tuple[CommandPlace, Called]) -> CommandPlace:
    """The place of the shared demo run."""
    return demo[0]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`call(place, *arguments)`: the command within this process, which is quicker; gives exit_code, stdout, stderr."""
    from enrich_assets.cli.main import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith(("ENRICH_", "OPENAI_"))]:
        monkeypatch.delenv(name)

    def called(place: CommandPlace | None, *arguments: str) -> Any:
        if place is not None:
            monkeypatch.setenv("DAGSTER_HOME", str(place.home))
            monkeypatch.setenv("ENRICH_STORAGE", str(place.storage))
        monkeypatch.chdir(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CliRunner().invoke(app, list(arguments), prog_name="enrich")

    yield called
