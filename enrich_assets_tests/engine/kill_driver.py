"""One phase over many rows in a process of its own, which dies, stops or fails where it is told; never with dagster.

`python -m enrich_assets_tests.engine.kill_driver '{"folder": …, "base_url": …}'`; the keys are the fields of `Work`.
Wrappers around functions decide where a process dies; no production code knows of them.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from benchmarks import judged
from enrich_assets.core.errors import EnrichError, Stopped
from enrich_assets.engine.clients import ModelReply
from enrich_assets.engine.ledger import Ledger, phase_view
from enrich_assets.engine.runner import run_phase
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets.store.store import Store

RUN, PHASE = "20261102_090000", "judged"
USD_IN, USD_OUT = 2.0, 8.0
"""Prices of the loopback model, USD per million tokens."""
_BOUNDARIES_OF_FILES = {f"{PHASE}.parquet": "artifact", "manifest.json": "manifest"}
_TABLES = {"enrich_spending": "reservation", "enrich_answers": "answer"}


@dataclass(frozen=True)
class Work:
    """What one process does. `ledger`: a database's URL, by default SQLite in the folder.

    `die`: the name of a boundary and which passing of it sends the process `signal`. `full`: the number of the write
    from which on the disk is full, among `files`, `commits` or both. `outcomes`: where a process of `kill_server`
    leaves its outcome, which is not the folder, because that may be full.
    """

    folder: str
    base_url: str
    ledger: str = ""
    rows: int = 64
    concurrency: int = 8
    settings: Mapping[str, Any] = field(default_factory=dict)
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    lease_seconds: float = 30.0
    die: tuple[str, int] | None = None
    signal: int = signal.SIGKILL
    full: int = 0
    full_writes: Sequence[str] = ("files", "commits")
    outcomes: str = ""

    @property
    def ledger_url(self) -> str:
        """The URL of the ledger's database."""
        return self.ledger or f"sqlite:///{Path(self.folder).absolute() / 'ledger.db'}"


@dataclass(frozen=True)
class Outcome:
    """How it ended: `published`, or the error's class and message. `passed` counts the boundaries."""

    ended: str
    message: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    data_sha256: str = ""
    seconds: float = 0.0
    dagster: bool = False
    passed: Mapping[str, int] = field(default_factory=dict)


class Boundaries:
    """Counts how often each boundary was passed, and sends this process its signal at the one that was named."""

    def __init__(self, die: Sequence[Any] | None, number: int) -> None:
        self._die = None if die is None else (str(die[0]), int(die[1]))
        self._number = number
        self._lock = threading.Lock()
        self.passed: Counter[str] = Counter()
        self.connections: list[sqlite3.Connection] = []

    def reach(self, name: str) -> None:
        """Passes a boundary, or gets the signal there."""
        with self._lock:
            self.passed[name] += 1
            if self._die == (name, self.passed[name]):
                while self._number == signal.SIGSTOP and any(c.in_transaction for c in self.connections):
                    time.sleep(0.0005)  # who stops within a transaction holds SQLite's only lock while it sleeps
                os.kill(os.getpid(), self._number)


class Disk:
    """Is full from the given write on."""

    def __init__(self, full: int, kinds: Sequence[str]) -> None:
        self._full, self._kinds = full, frozenset(kinds)
        self._lock = threading.Lock()
        self.writes = 0

    def holds(self, kind: str) -> bool:
        """Whether there is room for one more write of that kind."""
        if kind not in self._kinds:
            return True
        with self._lock:
            self.writes += 1
            return not self._full or self.writes < self._full


class WatchedModels(Models):
    """The direct path, with a boundary on each side of a request."""

    def __init__(self, work: Work, boundaries: Boundaries) -> None:
        priced = {"usd_per_million_input": USD_IN, "usd_per_million_output": USD_OUT, "max_output_tokens": 200}
        reached = {"model": "openai/loopback", "base_url": work.base_url, "path": "direct"}
        super().__init__({judged.MODEL: ModelEndpoint.model_validate({**priced, **reached, **work.endpoint})})
        self._boundaries = boundaries

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """As the transport does it."""
        self._boundaries.reach("request")
        reply = await super().complete(model, messages, schema)
        self._boundaries.reach("answer")
        return reply


def watch_commits(boundaries: Boundaries, disk: Disk) -> None:
    """Lets every commit pass `reservation commit` or `answer commit` (or both), and the same + `ted` behind it."""
    written = threading.local()

    def note(statement: str) -> None:
        words = statement.split(None, 3)[:3]
        if words[:2] == ["INSERT", "INTO"] and words[2] in _TABLES:
            written.names = {*getattr(written, "names", ()), _TABLES[words[2]]}

    @sa.event.listens_for(sa.Engine, "connect")
    def _trace(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):  # whose statements do not all come by SQLAlchemy
            connection.set_trace_callback(note)
            boundaries.connections.append(connection)

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def _note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    do_commit = DefaultDialect.do_commit

    @functools.wraps(do_commit)
    def commit(self: Any, connection: Any) -> None:
        names, written.names = sorted(getattr(written, "names", ())), set()
        for name in names:
            boundaries.reach(f"{name} commit")
        if not disk.holds("commits"):
            raise sqlite3.OperationalError("database or disk is full")
        do_commit(self, connection)
        for name in names:
            boundaries.reach(f"{name} committed")

    DefaultDialect.do_commit = commit  # type: ignore[method-assign]


def watch_files(boundaries: Boundaries, disk: Disk) -> None:
    """Lets every file that is put in place pass `artifact`, `manifest` or `side file`, and the same + ` in place`."""
    rename, sync = os.replace, os.fsync

    def replaced(source: Any, target: Any, **options: Any) -> None:
        name = _BOUNDARIES_OF_FILES.get(Path(target).name, "side file")
        boundaries.reach(name)
        rename(source, target, **options)
        boundaries.reach(f"{name} in place")

    def synced(handle: int) -> None:
        if not disk.holds("files"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    os.replace, os.fsync = replaced, synced  # type: ignore[assignment]


def do(work: Work) -> Outcome:
    """Works on the phase and publishes it, as the asset and its IO manager do."""
    boundaries, disk = Boundaries(work.die, work.signal), Disk(work.full, work.full_writes)
    watch_commits(boundaries, disk)
    watch_files(boundaries, disk)
    started = time.monotonic()
    try:
        outcome = _publish(work, boundaries)
    except EnrichError as error:
        outcome = Outcome(type(error).__name__, str(error))
    except Exception:  # an error that is none of ours is what the tests look for
        outcome = Outcome("defect", traceback.format_exc())
    seconds, passed = time.monotonic() - started, {**boundaries.passed, "writes": disk.writes}
    return replace(outcome, seconds=seconds, dagster="dagster" in sys.modules, passed=passed)


def _publish(work: Work, boundaries: Boundaries) -> Outcome:
    store = Store(Path(work.folder) / "data")
    with Ledger(work.ledger_url) as ledger:
        lease = ledger.lease_phase(RUN, PHASE, seconds=work.lease_seconds)
        try:
            ledger.phase_started(RUN, PHASE, 2, None)
            job = replace(
                judged.job(work.rows, work.concurrency, ledger, WatchedModels(work, boundaries), **work.settings),
                report=lambda meter, *_: ledger.phase_progress(RUN, PHASE, calls=meter.model_calls),
                should_stop=lambda: "another process took over" if lease.is_lost else "",
            )
            try:
                result = run_phase(job)
            except BaseException as error:
                status = "failed" if isinstance(error, Exception) and not isinstance(error, Stopped) else "stopped"
                if not lease.is_lost:
                    ledger.phase_ended(RUN, PHASE, status, message=str(error)[:2000])
                raise
            boundaries.reach("publish")
            lease.check()
            envelope = store.publish(result)
            boundaries.reach("published")
            ledger.phase_ended(RUN, PHASE, envelope.status, **phase_view(envelope))
        finally:
            lease.release()
    counts, usage = envelope.counts.model_dump(mode="json"), envelope.usage.model_dump(mode="json")
    return Outcome("published", counts=counts, usage=usage, data_sha256=envelope.data_sha256)


def main() -> int:
    """One piece of work."""
    outcome = do(Work(**json.loads(sys.argv[1])))
    print(json.dumps(asdict(outcome), default=str), flush=True)
    return 0 if outcome.ended == "published" else 2


if __name__ == "__main__":
    sys.exit(main())
