"""One phase of many rows in a process of its own, with a model that answers at once, so that the engine's own work is
all there is. `python -m enrich_assets_tests.large_run ROWS FOLDER` prints what it took as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import judged
from benchmarks.throughput_client import Memory
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.clients import EndpointLimits, ModelReply, Weight
from enrich_assets.engine.job import Input, Job
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.runner import run_phase
from enrich_assets.store.store import Store

_SMALL_RUNS = 5


class Instant:
    """A model that answers before anything else can happen."""

    def __init__(self) -> None:
        self.calls = 0

    async def is_ready(self, model: str) -> bool:
        return False

    def parameters(self, model: str) -> Mapping[str, Any]:
        return {"model": model}

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        return Weight(1000, 0.0002)

    def limits(self, model: str) -> EndpointLimits:
        return EndpointLimits(model)

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        self.calls += 1
        answer = {"points": 5, "reason": f"Call {self.calls} says so, after {len(messages[-1]['content'])} characters."}
        return ModelReply(json.dumps(answer), tokens_in=300, tokens_out=20, cost=0.0001, seconds=0.0)


def job_of(rows: int, ledger: Ledger, model: Instant) -> Job:
    """The benchmark's job over `rows` rows, which were never there as Python objects all at once."""
    job = judged.job(0, 256, ledger, model)
    (given,) = job.inputs.values()
    return replace(job, inputs={"texts": Input(given.envelope, table=_texts(rows))})


def _texts(rows: int) -> pa.Table:
    schema = judged.rows(0).schema
    batches = []
    for begin in range(0, rows, 1000):
        numbers = range(begin, min(rows, begin + 1000))
        texts = [f"{judged.TEXT * 2:.560}It is the report of shelf {number:08d}." for number in numbers]
        batches.append(
            pa.record_batch(
                [pa.array([f"{n:08d}" for n in numbers]), pa.array(numbers), pa.array(texts)], schema=schema
            )
        )
    return pa.Table.from_batches(batches, schema)


def measured(rows: int, ledger: Ledger) -> tuple[PhaseResult, dict[str, float]]:
    """The result of the phase, and its cost a row."""
    model = Instant()
    job = job_of(rows, ledger, model)
    begun, cpu = time.perf_counter(), time.process_time()
    result = run_phase(job)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    assert result.table is not None and result.counts.kept == result.table.num_rows == rows
    return result, {"calls": model.calls, "seconds": seconds, "cpu_ms_a_row": cpu * 1000 / rows}


def main() -> None:
    """Measures rows by the hundredth part, then all of them, then all of them again with every answer known."""
    rows, folder = int(sys.argv[1]), Path(sys.argv[2])
    store = Store(folder / "data")
    small = []
    for number in range(_SMALL_RUNS):
        with Ledger(f"sqlite:///{folder / f'small{number}.db'}") as ledger:
            result, took = measured(max(rows // 100, 500), ledger)
            store.publish(result)
            small.append(took["cpu_ms_a_row"])
    found: dict[str, Any] = {"rows": rows, "small_cpu_ms_a_row": statistics.median(small[1:])}
    with Ledger(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        for name in ("first", "again"):
            with Memory() as memory:
                result, found[name] = measured(rows, ledger)
                found[name]["run_mb"] = memory.peak_mb
                begun = time.perf_counter()
                store.publish(result)
                found[name]["publish_seconds"] = time.perf_counter() - begun
            assert result.table is not None
            found[name] |= {"memory_mb": memory.peak_mb, "table_mb": result.table.nbytes / 1e6}
            del result
    found["ledger_mb"] = sum(path.stat().st_size for path in folder.glob("ledger.db*")) / 1e6
    print(json.dumps(found))


if __name__ == "__main__":
    main()
