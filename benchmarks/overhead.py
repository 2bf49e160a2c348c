"""What the orchestration around the phases costs: the wall time of a demo run minus the time inside the functions.

Each demo run has a process of its own, with storage and DAGSTER_HOME in a temporary folder. Measured is the one call
that executes all phases: Dagster's definitions, steps and events, ledger, artifacts, checks, figures, metadata and the
rendering of the reports, and every import that only happens then. Not measured: the process's start until the run is
registered. Subtracted is the time during which at least one call of a phase's own code was going on (its function, and
for an `ask` phase its `without_model` and `select`), calls that overlap counted once.

    python -m benchmarks.overhead [--runs 3]

Prints a table and writes benchmarks/results/overhead.json. The first run only fills the cache of compiled modules.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

LIMIT_SECONDS = 4.0
RESULTS = Path(__file__).parent / "results" / "overhead.json"


class Stopwatch:
    """The time during which at least one call was going on, by phase; all calls share one event loop or thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds = 0.0
        self._going_on: dict[str, int] = {}
        self._since: dict[str, tuple[float, float]] = {}

    @contextmanager
    def call(self, phase: str) -> Iterator[None]:
        """Counts the time until it is left, once for all calls of the phase that overlap."""
        if not self._going_on.get(phase):
            self._since[phase] = time.perf_counter(), time.process_time()
        self._going_on[phase] = self._going_on.get(phase, 0) + 1
        try:
            yield
        finally:
            self._going_on[phase] -= 1
            if not self._going_on[phase]:
                wall, cpu = self._since[phase]
                self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - wall
                self.cpu_seconds += time.process_time() - cpu

    def watched(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with its calls timed."""
        if asyncio.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self.call(phase):
                    return await function(*args, **kwargs)

            return awaited

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self.call(phase):
                return function(*args, **kwargs)

        return called


def measure_once() -> dict[str, Any]:
    """Executes one demo run in this process: seconds by phase and of the whole, and what was published."""
    from enrich_assets.defs.instance import open_instance
    from enrich_assets.defs.launch import execute
    from enrich_assets.defs.runs import begin_run
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.ledger import Ledger
    from enrich_assets.graphs.intelligence import INTELLIGENCE
    from enrich_assets.store.store import Store

    watch = Stopwatch()
    functions = []
    for phase in INTELLIGENCE.phases:
        function = watch.watched(phase.name, phase.function)
        parts = {part: getattr(phase, part) for part in ("without_model", "select") if getattr(phase, part) is not None}
        timed = {part: watch.watched(phase.name, own) for part, own in parts.items()}
        function.phase = dataclasses.replace(phase, function=function, **timed)  # type: ignore[attr-defined]
        functions.append(function)
    graph = Graph(
        INTELLIGENCE.name,
        functions,
        shared=INTELLIGENCE.shared,
        prefixed=False,
        description=INTELLIGENCE.description,
        sites=INTELLIGENCE.sites,
    )
    store, instance = Store.from_environment(), open_instance()
    with Ledger.for_storage(str(store.root)) as ledger:
        run_id = begin_run(graph, store=store, ledger=ledger, instance=instance, preset="demo")
    begun, cpu_begun = time.perf_counter(), time.process_time()
    launched = execute(graph, run_id, graph.phases, instance=instance)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
    if not launched.succeeded:
        raise SystemExit(f"the demo run failed in {launched.failed_phase}: {launched.failure}")
    envelopes = {name: store.envelope(graph.name, run_id, name) for name in graph.names}
    return {
        "wall_seconds": wall,
        "functions_seconds": sum(watch.seconds.values()),
        "overhead_seconds": wall - sum(watch.seconds.values()),
        "overhead_cpu_seconds": cpu - watch.cpu_seconds,
        "overhead_by_envelopes_seconds": wall - sum(e.duration_seconds for e in envelopes.values()),
        "phases": {
            name: {
                "function_seconds": watch.seconds.get(name, 0.0),
                "phase_seconds": envelope.duration_seconds,
                "rows_in": envelope.counts.rows_in,
                "rows_out": envelope.counts.rows_out,
                "files": len(envelope.files),
            }
            for name, envelope in envelopes.items()
        },
    }


def measure_in_processes(runs: int) -> list[dict[str, Any]]:
    """`runs` demo runs, each in a process and a folder of its own, after one that warms the compiled modules."""
    found = []
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        for number in range(runs + 1):
            home = Path(folder) / str(number)
            home.mkdir()
            (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
            environment = {
                **os.environ,
                "DAGSTER_HOME": str(home),
                "ENRICH_STORAGE": str(home / "data"),
                "PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled"),
                "PYTHONWARNINGS": "ignore",
            }
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            environment.pop("ENRICH_LEDGER_URL", None)
            command = [sys.executable, "-m", "benchmarks.overhead", "--one"]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True)
            if number:
                found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def main() -> None:
    """Prints the table and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="measured runs; the median counts")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure_once()))
        return
    found = sorted(measure_in_processes(given.runs), key=lambda one: float(one["overhead_seconds"]))
    middle = found[len(found) // 2]
    print(f"{'phase':<14}{'in':>6}{'out':>6}{'function s':>12}{'phase s':>10}{'files':>7}")
    for name, one in middle["phases"].items():
        print(
            f"{name:<14}{one['rows_in']:>6}{one['rows_out']:>6}{one['function_seconds']:>12.2f}"
            f"{one['phase_seconds']:>10.2f}{one['files']:>7}"
        )
    overheads = [float(one["overhead_seconds"]) for one in found]
    print(f"\nwall {middle['wall_seconds']:.2f} s, inside functions {middle['functions_seconds']:.2f} s")
    verdict = "met" if median(overheads) <= LIMIT_SECONDS else "missed"
    print(
        f"around the functions: {median(overheads):.2f} s (median of {len(found)}: {overheads[0]:.2f} to "
        f"{overheads[-1]:.2f}), at most {LIMIT_SECONDS:g} s wanted: {verdict}"
    )
    print(f"of that {middle['overhead_cpu_seconds']:.2f} s processor time; the rest is waiting, also for others")
    print(f"around run_phase, as the envelopes count it: {middle['overhead_by_envelopes_seconds']:.2f} s")
    RESULTS.parent.mkdir(exist_ok=True)
    written = {"limit_seconds": LIMIT_SECONDS, "median_overhead_seconds": median(overheads), "runs": found}
    RESULTS.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
