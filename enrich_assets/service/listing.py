"""The list of runs as its page shows it: what the ledger knows of each, read for the shown ones alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.run_progress import PAUSE_SECONDS, RunProgress, run_progress
from enrich_assets.engine.spending import scopes_of
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.service.viewer import Viewer

STATES = (
    "running", "silent", "between phases", "prepared", "complete", "unfinished", "failed", "blocked", "paused",
    "stopped",
)  # fmt: skip
UNLISTED = "not in the ledger"
"""The state of a run whose files stand in the storage while this ledger does not know it."""
_MOST = 1_000_000


@dataclass(frozen=True)
class Listed:
    """One run of the list; `progress` is None for a run that the ledger does not know."""

    run_id: str
    graph: str
    title: str = ""
    preset: str = ""
    series: str = ""
    created_at: datetime | None = None
    progress: RunProgress | None = None

    @property
    def state(self) -> str:
        """What the run is doing, or how it ended."""
        return UNLISTED if self.progress is None else self.progress.state


def runs_listed(viewer: Viewer, *, state: str, text: str, page: int, size: int) -> tuple[list[Listed], int]:
    """The runs of a page, newest first, and how many there are in all; only those of a state or with a text in
    their ID, title, preset or series, where these are given."""
    known = viewer.ledger.runs(limit=_MOST)
    chosen = [_listed(row) for row in known] + list(_unlisted(viewer, {str(row["run_id"]) for row in known}))
    if text:
        sought = text.casefold()
        chosen = [
            run for run in chosen if sought in f"{run.run_id}\n{run.title}\n{run.preset}\n{run.series}".casefold()
        ]
    if state == UNLISTED:
        chosen = [run for run in chosen if run.created_at is None]
    elif state:
        # The state follows from all phases of a run, so it is looked at for every one; what each cost is not.
        chosen = [run for run in _with_progress(viewer.ledger, chosen) if run.state == state]
    shown = chosen[(page - 1) * size : page * size]
    return _with_costs(viewer.ledger, shown), len(chosen)


def _listed(row: dict[str, Any]) -> Listed:
    moment = datetime.fromisoformat(str(row["created_at"]))
    return Listed(
        str(row["run_id"]), str(row["graph"]), str(row["title"]), str(row["preset"]), str(row["series"]), moment
    )


def _unlisted(viewer: Viewer, known: set[str]) -> Iterable[Listed]:
    for graph in GRAPHS:
        yield from (Listed(run_id, graph) for run_id in reversed(viewer.store.runs(graph)) if run_id not in known)


def _with_progress(ledger: Ledger, runs: Sequence[Listed]) -> list[Listed]:
    rows = {run_id: list(of) for run_id, of in groupby(ledger.phases(), key=lambda row: str(row["run_id"]))}
    return [_with(run, rows.get(run.run_id, [])) for run in runs]


def _with_costs(ledger: Ledger, runs: Sequence[Listed]) -> list[Listed]:
    scopes = [scopes_of(run.run_id, name)[1] for run in runs for name in _names(run)]
    spent = dict(zip(scopes, ledger.totals(scopes), strict=True)) if scopes else {}
    found = []
    for run in runs:
        own = {name: spent[scopes_of(run.run_id, name)[1]] for name in _names(run)}
        found.append(_with(run, ledger.phases(run.run_id), spent=own))
    return found


def _with(run: Listed, rows: Sequence[dict[str, Any]], **how: Any) -> Listed:
    if run.created_at is None:
        return run
    progress = run_progress(run.run_id, _names(run), rows, now=utc_now(), pause_seconds=PAUSE_SECONDS, **how)
    return replace(run, progress=progress)


def _names(run: Listed) -> tuple[str, ...]:
    return tuple(GRAPHS[run.graph].names) if run.graph in GRAPHS else ()
