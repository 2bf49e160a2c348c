"""The same rows asked in several orders, K a request, through the engine: what `benchmarks.consistency` measures."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import UserError
from enrich_assets.engine.clients import ModelReply
from enrich_assets.engine.graph import RunInfo
from enrich_assets.engine.job import Input, Job
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.runner import run_phase
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.models.llm import endpoints_of
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models

GRAPH = GRAPHS["intelligence"]
TIER2 = GRAPH.phase("tier2")
SEED = 20_261_102
MOMENT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
RUN_ID = "20261102_090000"
_SAME = 1e-9


class Watched(Models):
    """The transport to models, which counts what is asked for and what the answers lack."""

    def __init__(self, endpoints: Mapping[str, ModelEndpoint]) -> None:
        super().__init__(endpoints)
        self.calls = self.alone = self.left_out = 0

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """Passes the request on, and counts."""
        self.calls += 1
        reply = await super().complete(model, messages, schema)
        rows = schema["properties"].get("rows", {}).get("maxItems")
        if rows is None:
            self.alone += 1
        else:
            self.left_out += _left_out(reply.text, rows)
        return reply


@dataclass(frozen=True)
class Order:
    """What came of one order of the articles: by row the score and whether it stayed; what it took."""

    scores: Mapping[str, float]
    stayed: Mapping[str, bool]
    calls: int
    tokens_in: int
    tokens_out: int
    left_out: int
    unusable: int
    failed: int


@dataclass(frozen=True)
class Found:
    """The figures of one K; scores in points of 10, shares 0-1 of the articles (`left_out` and `unusable`: of all
    that were asked), the rest per article and order."""

    rows_a_request: int
    spread: float
    largest: float
    changed: float
    crossed: float
    off_alone: float | None
    left_out: float
    unusable: float
    failed: float
    calls: float
    tokens_in: float
    tokens_out: float


def measure(
    rows: Sequence[Mapping[str, Any]], resolved: Mapping[str, Any], *, sizes: Sequence[int], shuffles: int
) -> list[Found]:
    """The figures of every size, from the same `shuffles` orders of the rows (at least two)."""
    by_size = {size: [_ask(rows, resolved, size, shuffle) for shuffle in range(shuffles)] for size in sizes}
    alone = by_size.get(1)
    return [_found(size, orders, alone) for size, orders in by_size.items()]


def _ask(rows: Sequence[Mapping[str, Any]], resolved: Mapping[str, Any], size: int, shuffle: int) -> Order:
    shuffled = list(rows)
    random.Random(SEED + shuffle).shuffle(shuffled)
    watched = Watched(endpoints_of(resolved))
    envelope = Envelope(
        package_version="0", graph=GRAPH.name, run_id=RUN_ID, phase="tier1", number=3, artifact_id="tier1",
        started_at=MOMENT, duration_seconds=0.0, settings_fingerprint="", code_fingerprint="", data_sha256="tier1",
        content_sha256="tier1",
    )  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="consistency-") as folder,
        Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        result = run_phase(
            Job(
                graph=GRAPH,
                phase=TIER2,
                run=RunInfo(GRAPH.name, RUN_ID, "", MOMENT, MOMENT),
                resolved={**resolved, "tier2": {**resolved["tier2"], "batch": size}, "max_failed_fraction": 1.0},
                inputs={"tier1": Input(envelope, table=pa.Table.from_pylist(shuffled))},
                ledger=ledger,
                transport=watched,
                open_clients=lambda calls, asker: None,
            )
        )
    assert result.table is not None
    kept = {row["row_id"]: float(row["tier2_score"]) for row in result.table.to_pylist()}
    dropped = {row["row_id"]: float(row["drop_value"]) for row in result.dropped.to_pylist()}
    # Asked alone because there was no other way: every row with one a request, else the last when it is left over.
    asked_alone = len(rows) if size == 1 else int(len(rows) % size == 1)
    return Order(
        scores={**kept, **dropped},
        stayed={**dict.fromkeys(kept, True), **dict.fromkeys(dropped, False)},
        calls=watched.calls,
        tokens_in=result.usage.tokens_in,
        tokens_out=result.usage.tokens_out,
        left_out=watched.left_out,
        unusable=max(0, watched.alone - asked_alone - watched.left_out),
        failed=result.counts.failed,
    )


def _found(size: int, orders: Sequence[Order], alone: Sequence[Order] | None) -> Found:
    # Only rows that have a score in every order can be compared.
    rows = sorted(set.intersection(*(set(order.scores) for order in orders)))
    if not rows:
        raise UserError(f"with {size} rows a request no row got a score in every order.", fix="Look at the endpoint.")
    scores = {row: [order.scores[row] for order in orders] for row in rows}
    ranges = [max(seen) - min(seen) for seen in scores.values()]
    asked = sum(len(order.scores) + order.failed for order in orders)
    return Found(
        rows_a_request=size,
        spread=sqrt(fmean(variance(seen) for seen in scores.values())),
        largest=max(ranges),
        changed=fmean(one > _SAME for one in ranges),
        crossed=fmean(len({order.stayed[row] for order in orders}) > 1 for row in rows),
        off_alone=None if alone is None else _off_alone(scores, alone),
        left_out=sum(order.left_out for order in orders) / asked,
        unusable=sum(order.unusable for order in orders) / asked,
        failed=sum(order.failed for order in orders) / asked,
        calls=sum(order.calls for order in orders) / asked,
        tokens_in=sum(order.tokens_in for order in orders) / asked,
        tokens_out=sum(order.tokens_out for order in orders) / asked,
    )


def _off_alone(scores: Mapping[str, Sequence[float]], alone: Sequence[Order]) -> float | None:
    known = {row: [order.scores[row] for order in alone if row in order.scores] for row in scores}
    off = [abs(fmean(seen) - fmean(known[row])) for row, seen in scores.items() if known[row]]
    return fmean(off) if off else None


def _left_out(text: str, rows: int) -> int:
    """Rows of a request that its answer does not name; none where it cannot be read at all, which is another defect."""
    try:
        named = {item["id"] for item in json.loads(text)["rows"]}
    except (ValueError, TypeError, KeyError):
        return 0
    return rows - len(named & set(range(1, rows + 1)))
