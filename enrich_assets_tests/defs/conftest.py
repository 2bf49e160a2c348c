"""One demo run for the whole folder, on a real Dagster instance with SQLite, and copies of it that may be harmed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.envelope import Envelope
from enrich_assets.defs.instance import open_instance
from enrich_assets.defs.launch import Launched, execute
from enrich_assets.defs.runs import begin_run
from enrich_assets.defs.standing import where_it_stands
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.resume import Standing
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.store.store import Store


@dataclass(frozen=True)
class Room:
    """A DAGSTER_HOME with its instance and storage, and the demo run in it where there is one."""

    home: Path
    instance: dg.DagsterInstance
    store: Store
    run_id: str = ""

    def ledger(self) -> Ledger:
        return Ledger.for_storage(str(self.store.root))

    def begin(self, graph: Graph = INTELLIGENCE, **given: Any) -> str:
        with self.ledger() as ledger:
            return begin_run(graph, store=self.store, ledger=ledger, instance=self.instance, **given)

    def execute(self, run_id: str, names: Sequence[str] = (), graph: Graph = INTELLIGENCE) -> Launched:
        phases = [graph.phase(name) for name in names] if names else graph.phases
        return execute(graph, run_id, phases, instance=self.instance)

    def standings(self, graph: Graph = INTELLIGENCE) -> list[Standing]:
        with self.ledger() as ledger:
            return where_it_stands(graph, self.run_id, self.store, ledger)

    def envelope(self, phase: str, run_id: str = "", graph: str = INTELLIGENCE.name) -> Envelope:
        return self.store.envelope(graph, run_id or self.run_id, phase)

    def hashes(self, run_id: str = "") -> dict[str, str]:
        return {name: self.envelope(name, run_id).data_sha256 for name in INTELLIGENCE.names}

    def files_of(self, phase: str, run_id: str = "") -> dict[str, bytes]:
        """Every file that belongs to a phase, by its path below the run's folder."""
        folder = self.home / "data" / INTELLIGENCE.name / (run_id or self.run_id)
        wanted = [*folder.glob(f"{phase}.*"), *folder.glob(f"*/{phase}/**/*")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(wanted) if path.is_file()}

    def materialization(self, phase: str, run_id: str = "") -> dg.AssetMaterialization:
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey([phase]), asset_partitions=[run_id or self.run_id]), limit=1
        ).records
        found = records[0].asset_materialization
        assert found is not None
        return found


def _opened(home: Path, patch: pytest.MonkeyPatch, run_id: str = "") -> Room:
    patch.setenv("DAGSTER_HOME", str(home))
    patch.setenv("ENRICH_STORAGE", str(home / "data"))
    patch.delenv("ENRICH_LEDGER_URL", raising=False)
    return Room(home, open_instance(), Store(home / "data"), run_id)


def _new_home(home: Path) -> Path:
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one finished demo run, and the run's ID. Nobody writes into it."""
    home = _new_home(tmp_path_factory.mktemp("defs") / "home")
    with pytest.MonkeyPatch.context() as patch:
        room = _opened(home, patch)
        run_id = room.begin(preset="demo")
        launched = room.execute(run_id)
        room.instance.dispose()
    assert launched.succeeded, launched.failure
    return home, run_id


@pytest.fixture
def demo(demo_home: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """The finished demo run, to be read only."""
    room = _opened(demo_home[0], monkeypatch, demo_home[1])
    yield room
    room.instance.dispose()


@pytest.fixture
def demo_copy(demo_home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A copy of the finished demo run with its instance and ledger, to be harmed."""
    shutil.copytree(demo_home[0], tmp_path / "home", symlinks=True)
    room = _opened(tmp_path / "home", monkeypatch, demo_home[1])
    yield room
    room.instance.dispose()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """An empty instance and storage."""
    opened = _opened(_new_home(tmp_path / "home"), monkeypatch)
    yield opened
    opened.instance.dispose()


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Graph]:
    """Makes the intelligence graph with other functions for some phases, by name; the declarations stay."""
    from dataclasses import replace

    def make(**functions: Callable[..., Any]) -> Graph:
        declared = []
        for phase in INTELLIGENCE.phases:
            function = phase.function
            if phase.name in functions:
                function = functions[phase.name]
                function.__module__ = phase.module
                function.phase = replace(phase, function=function)  # type: ignore[attr-defined]
            declared.append(function)
        return Graph(
            INTELLIGENCE.name,
            declared,
            shared=INTELLIGENCE.shared,
            prefixed=False,
            sites=INTELLIGENCE.sites,
            description=INTELLIGENCE.description,
        )

    return make
