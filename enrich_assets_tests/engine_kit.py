"""What the engine's tests share: a model that counts and answers by the text, envelopes, and a way to run one phase."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.claims import Claim
from enrich_assets.engine.clients import Clients, EndpointLimits, ModelReply, Weight
from enrich_assets.engine.graph import Graph, RunInfo
from enrich_assets.engine.job import Input, Job
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Request, Stored
from enrich_assets.engine.runner import run_phase
from enrich_assets.engine.sending import Sender
from enrich_assets.engine.spending import Refusal, Reservation

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_ROW = re.compile(r'<row id="(\d+)">\n(.*?)\n</row>', re.DOTALL)
_POINTS = re.compile(r"points (\d+)")


def points_of(text: str) -> int:
    """What the model reads out of a row's own text, and out of nothing else."""
    found = _POINTS.search(text)
    return int(found.group(1)) if found else 0


@dataclass
class CountingModel:
    """Answers `{"points": N, "why": …}` by the text. `plan(call number, user text)` may give a raw text or an error.

    `leaves_out(text)`: rows of a batch that it forgets.
    """

    plan: Callable[[int, str], str | BaseException | None] = lambda number, user: None
    leaves_out: Callable[[str], bool] = lambda text: False
    cost: float | None = 0.01
    most: float | None = 0.02
    seen: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return len(self.seen)

    def parameters(self, model: str) -> Mapping[str, Any]:
        return {"model": model, "temperature": 0}

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        return Weight(1000, self.most)

    def limits(self, model: str) -> EndpointLimits:
        return EndpointLimits(model)

    async def is_ready(self, model: str) -> bool:
        return False

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        user = messages[-1]["content"]
        self.seen.append(user)
        planned = self.plan(len(self.seen), user)
        if isinstance(planned, BaseException):
            raise planned
        if planned is None and "rows" in schema["properties"]:
            rows = [(int(n), text) for n, text in _ROW.findall(user) if not self.leaves_out(text)]
            planned = json.dumps({"rows": [{"id": n, "answer": _answer(text)} for n, text in rows]})
        elif planned is None:
            planned = json.dumps(_answer(user))
        return ModelReply(planned, tokens_in=100, tokens_out=10, cost=self.cost, seconds=0.1)


def _answer(text: str) -> dict[str, Any]:
    return {"points": points_of(text), "why": "it says so"}


def rows_table(*texts: str) -> pa.Table:
    """Rows r0, r1 … with the columns of a source phase: title and text."""
    return pa.table(
        {
            "row_id": pa.array([f"r{i}" for i in range(len(texts))], pa.string()),
            "title": pa.array([f"Title {i}" for i in range(len(texts))], pa.string()),
            "text": pa.array(list(texts), pa.string()),
        }
    )


def envelope(phase: str = "source", **changes: Any) -> Envelope:
    """An envelope as the store would seal it."""
    values: dict[str, Any] = {
        "package_version": "1",
        "graph": "small",
        "run_id": "r",
        "phase": phase,
        "number": 1,
        "artifact_id": "a",
        "started_at": MOMENT,
        "duration_seconds": 1.0,
        "settings_fingerprint": "s",
        "code_fingerprint": "c",
        "data_sha256": f"data of {phase}",
        "content_sha256": "x",
    }
    return Envelope(**{**values, **changes}).sealed()


class MemoryAnswers:
    """The part of the ledger that `Calls` needs, in memory: by default it gives back what was kept last."""

    def __init__(self) -> None:
        self.kept: dict[str, Stored] = {}
        self.rows: dict[str, str] = {}
        self.reserved: list[Reservation] = []
        self.settled: list[tuple[Reservation, dict[str, Any]]] = []

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None:
        return self.kept.get(request_hash)

    def newest_answer(self, request_hash: str) -> Stored | None:
        found = self.kept.get(request_hash)
        return None if found is None or found.final is not None else found

    async def keep_answer(self, request: Request, stored: Stored, *, row_id: str, **_: Any) -> None:
        await asyncio.sleep(0)
        self.kept[request.hash] = stored
        self.rows[request.hash] = row_id

    def reservation(self, **values: Any) -> Reservation:
        return Reservation(1, len(self.reserved) + 1, moment=MOMENT, **values)

    async def reserve(self, reservation: Reservation) -> Refusal | None:
        self.reserved.append(reservation)
        return None

    def asked_elsewhere(self, hashes: Collection[str]) -> set[str]:
        return set()

    def end_claim(self, claim: Claim) -> None:
        pass

    def settle(self, reservation: Reservation, *, ends_claim: bool = True, **outcome: Any) -> None:
        self.settled.append((reservation, outcome))


def calls_over(
    answers: Any, *, run_id: str = "r", phase: str = "p", fresh_from: datetime = MOMENT, **sender: Any
) -> Calls:
    """Calls whose answers are kept there; further arguments are those of `Sender`."""
    return Calls(
        answers,
        Sender(answers, run_id=run_id, phase=phase, **sender),
        run_id=run_id,
        phase=phase,
        fresh_from=fresh_from,
    )


@asynccontextmanager
async def no_clients(calls: Calls, asker: Asker) -> AsyncIterator[Clients]:
    """Clients with a model alone."""
    yield Clients(llm=asker, pages=None, texts=None, search=None)  # type: ignore[arg-type]


def run(
    graph: Graph,
    phase: str,
    table: pa.Table | None,
    ledger: Ledger,
    model: CountingModel | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    **job: Any,
) -> PhaseResult:
    """One phase of a graph over a table of the phase before."""
    resolved = graph.resolve({"first_delay_seconds": 0, **(settings or {})}, where="test")
    declared = graph.phase(phase)
    main = graph.main_input(declared)
    inputs = {} if main is None or table is None else {main.name: Input(envelope(main.name), table=table)}
    inputs |= job.pop("inputs", {})
    info = RunInfo("small", job.pop("run_id", "r"), "", MOMENT, MOMENT)
    return run_phase(
        Job(
            graph=graph, phase=declared, run=info, resolved=resolved, inputs=inputs, ledger=ledger,
            transport=model or CountingModel(), open_clients=job.pop("open_clients", no_clients), **job,
        )
    )  # fmt: skip
