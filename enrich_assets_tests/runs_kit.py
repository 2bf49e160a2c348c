"""Many small runs of a graph of three phases, made in seconds, with their ledger and a Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from enrich_assets.core.envelope import CheckOutcome, Counts, InputRef, Usage
from enrich_assets.core.fingerprint import sha256
from enrich_assets.core.result import PhaseResult
from enrich_assets.defs.keeping import Keeper
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.store.store import Store
from enrich_assets.web.page_store import PageStore

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
PHASES = ("initialized", "scraped", "report")
EMPTY = pa.table({"row_id": pa.array([], pa.string())})
_PHASES = tuple(SimpleNamespace(name=name) for name in PHASES)
GRAPH: Any = SimpleNamespace(name="intelligence", names=PHASES, phases=_PHASES, first=_PHASES[0], last=_PHASES[-1])
PARTITIONS = "intelligence_runs"


@dataclass(frozen=True)
class Made:
    """A run to be made: `phases` is how many of the three it has, `pages` are texts of pages that its articles name."""

    days_ago: float
    phases: int = 3
    like: str = ""
    earlier: tuple[str, ...] = ()
    sources_before: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    versions: int = 0
    series: str = ""

    @property
    def started(self) -> datetime:
        return NOW - timedelta(days=self.days_ago)

    @property
    def run_id(self) -> str:
        return self.started.strftime("%Y%m%d_%H%M%S")


def page_key(text: str) -> str:
    return sha256(text.encode())


@dataclass
class Street:
    """A storage with many runs."""

    root: Path
    instance: dg.DagsterInstance
    launches: dict[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(self.root)

    @contextmanager
    def keeper(self) -> Iterator[Keeper]:
        with Ledger.for_storage(str(self.root)) as ledger:
            yield Keeper({GRAPH.name: GRAPH}, self.store, ledger, self.instance, lambda: NOW)

    def make(self, runs: Sequence[Made]) -> None:
        """Makes the runs, without waiting for the disk."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)
            for run in runs:
                self._make(run)

    def launch(self, run_id: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS) -> str:
        """A launch of a run as Dagster knows it, with an event."""
        from dagster import DagsterRun

        number = len(self.launches.setdefault(run_id, [])) + 1
        launch_id = f"{number:08d}-0000-4000-8000-{run_id[:8]}{run_id[9:13]}"
        launch = DagsterRun(
            job_name="intelligence", run_id=launch_id, tags={"dagster/partition": run_id}, status=status
        )
        self.instance.add_run(launch)
        self.instance.report_engine_event("It was executed.", launch)
        self.launches[run_id].append(launch_id)
        return launch_id

    def add_partitions(self) -> None:
        self.instance.add_dynamic_partitions(PARTITIONS, self.store.runs(GRAPH.name))

    def files(self, run_id: str) -> dict[str, bytes]:
        folder = self.root / GRAPH.name / run_id
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def state(self) -> dict[str, str]:
        """folder, archive, or both, of each run of which anything is stored."""
        graph = self.root / GRAPH.name
        folders = {p.name for p in graph.iterdir() if p.is_dir() and not p.is_symlink() and p.name != "archive"}
        archives = {p.stem for p in (graph / "archive").glob("*.zip")}
        both = dict.fromkeys(folders & archives, "both")
        return dict.fromkeys(folders, "folder") | dict.fromkeys(archives, "archive") | both

    def _make(self, run: Made) -> None:
        begun = run.started

        def clock() -> datetime:
            return begun

        registered: dict[str, Any] = {
            "preset": "demo",
            "title": f"Run of {begun:%Y-%m-%d}",
            "like": run.like,
            "as_of": begun.isoformat(),
            "settings": {},
            "settings_fingerprint": "s",
            "earlier": [{"run_id": one, "title": "Known"} for one in run.earlier],
            "sources_before": {one: {"run_id": one} for one in run.sources_before},
            **({"series": run.series} if run.series else {}),
        }
        store = Store(self.root, now=clock)
        with Ledger.for_storage(str(self.root), now=clock) as ledger:
            ledger.claim_run(GRAPH.name, registered, run_id=run.run_id)
            for text in run.pages:
                self.fetched(ledger, run.run_id, text)
            for number, phase in enumerate(PHASES[: run.phases], 1):
                for _ in range(run.versions + 1 if phase == "scraped" else 1):
                    store.publish(self._result(run, number, phase, registered), reports=_reports(phase))
                ledger.replace_phase(
                    run.run_id, phase, number=number, status="complete", ended_at=begun.isoformat(), cost=0.0
                )

    def fetched(self, ledger: Ledger, run_id: str, text: str) -> str:
        """A page in the page store, and the answer of the ledger that names it."""
        import asyncio

        key = PageStore(self.store.root).put(text.encode(), {"url": f"https://example.org/{page_key(text)[:8]}"})
        request = Request("page", {"url": f"{run_id}/{text}"})
        stored = Stored(reply=Reply(content={"sha256": key, "url": "https://example.org/"}))
        asyncio.run(ledger.keep_answer(request, stored, run_id=run_id, phase="scraped", row_id=key[:16]))
        return key

    def _result(self, run: Made, number: int, phase: str, registered: Mapping[str, Any]) -> PhaseResult:
        content: dict[str, Any] = {"document": {**registered, "articles": []}}
        if phase == "scraped":
            keys = [page_key(text) for text in run.pages] or [""]
            names = [f"a{place}" for place in range(len(keys))]
            content = {"table": pa.table({"row_id": names, "page_sha256": keys, "title": [run.run_id] * len(keys)})}
        return PhaseResult(
            graph=GRAPH.name,
            run_id=run.run_id,
            phase=phase,
            number=number,
            started_at=run.started,
            duration_seconds=1.0,
            counts=Counts(),
            usage=Usage(),
            settings_fingerprint="s",
            code_fingerprint="c",
            completes=PHASES if phase == PHASES[-1] else (),
            dropped=EMPTY,
            failed=EMPTY,
            checks=(CheckOutcome(name="schema", passed=True),),
            inputs=tuple(InputRef(run_id=one, phase="report", data_sha256="0" * 64) for one in run.inputs),
            sides={"sources": pa.table({"source_id": [run.run_id]})} if phase == "scraped" else {},
            **content,
        )


def _reports(phase: str) -> dict[str, bytes]:
    return {"report.md": b"# News\n", "report.html": b"<p>News</p>"} if phase == "report" else {}
