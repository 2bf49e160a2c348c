"""What people see while a run executes in this process: a live table on a terminal, else one line a finished phase.

It reads the ledger in a thread of its own; the work knows nothing of it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from enrich_assets.cli.output import console
from enrich_assets.cli.progress import finished_line, progress_table, working_line
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.progress import Pace
from enrich_assets.engine.run_progress import RunProgress, read_progress

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.phase import Phase

_LIVE_SECONDS, _LINES_SECONDS = 0.25, 0.5


@contextmanager
def followed(graph: Graph, run_id: str, phases: Sequence[Phase], ledger: Ledger, *, storage: str) -> Iterator[None]:
    """Shows the progress of these phases of a run while the block works: what begins after now, by the ledger.

    Meanwhile nothing else reaches the terminal: what phases and Dagster print is in Dagster's compute logs.
    """
    with _quiet_output() as stream:
        follower = _Follower(graph, run_id, phases, storage, stream, since=ledger.last_begun(run_id))
        follower.start()
        try:
            yield
        finally:
            follower.stop()


@contextmanager
def _quiet_output() -> Iterator[IO[str]]:
    """Standard output as it was, while descriptors 1 and 2, which child processes inherit too, lead nowhere."""
    try:
        descriptors = (sys.stdout.fileno(), sys.stderr.fileno())
    except (AttributeError, OSError):  # output is caught in memory: there is no descriptor to lead elsewhere
        yield sys.stdout
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in descriptors]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in descriptors:
            os.dup2(nowhere, descriptor)
        with os.fdopen(os.dup(kept[0]), "w", encoding=sys.stdout.encoding, errors="replace") as stream:
            yield stream
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, before in zip(descriptors, kept, strict=True):
            os.dup2(before, descriptor)
            os.close(before)
        os.close(nowhere)


class _Follower:
    def __init__(
        self, graph: Graph, run_id: str, phases: Sequence[Phase], storage: str, stream: IO[str], *, since: int
    ) -> None:
        self._names = graph.names
        self._run_id = run_id
        self._planned = [phase.name for phase in phases]
        self._storage = storage
        self._since = since
        self._stream = stream
        self._console = console(file=stream)
        self._told: set[str] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="enrich-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        with Ledger.for_storage(self._storage) as ledger:
            if self._console.is_terminal:
                self._live(ledger)
            else:
                self._lines(ledger)

    def _live(self, ledger: Ledger) -> None:
        from rich.console import Group, RenderableType
        from rich.live import Live
        from rich.text import Text

        pace = Pace()
        with Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            while True:
                ended = self._ending.wait(_LIVE_SECONDS)
                progress = self._read(ledger)
                line = "" if ended else working_line(progress, pace)
                below: list[RenderableType] = [Text(line, style="yellow")] if line else []
                live.update(Group(progress_table(progress), *below), refresh=True)
                if ended:
                    return

    def _lines(self, ledger: Ledger) -> None:
        while True:
            ended = self._ending.wait(_LINES_SECONDS)
            for phase in self._read(ledger).phases:
                if phase.name in self._planned and phase.name not in self._told and phase.mark in "✓✗‖":
                    self._told.add(phase.name)
                    print(finished_line(phase), file=self._stream, flush=True)
            if ended:
                return

    def _read(self, ledger: Ledger) -> RunProgress:
        return read_progress(ledger, self._run_id, self._names, waiting=self._planned, since=self._since)
