"""The graph that the benchmarks run: texts, and one model call for each of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.clients import ModelTransport
from enrich_assets.engine.columns import Column
from enrich_assets.engine.graph import Graph, RunInfo
from enrich_assets.engine.job import Input, Job
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Drop, Row, Selection, ask, table
from enrich_assets.engine.settings import EngineSettings

MODEL = "loopback"
MOMENT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TEXT = (
    "A maker of warehouse control software said that its new release plans the way of every vehicle again each second. "
    "Two sites have used it since spring; one of them, a distributor of spare parts, counted nine per cent fewer empty "
    "runs. The company did not say what the release costs, nor when it reaches customers outside Europe. "
)


class Shared(EngineSettings):
    """Settings of the benchmark's runs."""

    model: str = MODEL
    """The model that is asked."""


class NoSettings(SettingsBase):
    """Nothing to set."""


class JudgedSettings(SettingsBase):
    """Who judges."""

    model: str = MODEL
    """The model that is asked."""


class Verdict(BaseModel):
    """What the model answers for a text."""

    model_config = ConfigDict(extra="forbid")

    points: int = Field(ge=0, le=10)
    reason: str


@table(
    settings=NoSettings,
    adds={"number": Column(int, "position of the text"), "text": Column(str, "what is judged")},
)
def texts(settings: NoSettings) -> Selection:
    """One row a text; the benchmark puts them there itself."""
    return Selection([])


def _without_model(row: Row, settings: JudgedSettings) -> Verdict:
    return Verdict(points=0, reason="no model")


@ask(
    reads=["number", "text"],
    prompt="judged.md",
    answer=Verdict,
    without_model=_without_model,
    settings=JudgedSettings,
    adds={"points": Column(int, "points, 0–10"), "reason": Column(str, "one sentence")},
)
def judged(row: Row, verdict: Verdict, settings: JudgedSettings) -> dict[str, Any] | Drop:
    """One row a text, one call each."""
    return {"points": verdict.points, "reason": verdict.reason}


GRAPH = Graph("bench", [texts, judged], shared=Shared)
PROMPT = Path(__file__).with_name("judged.md")


def rows(count: int) -> pa.Table:
    """`count` texts of about 500 characters, each another one."""
    return pa.table(
        {
            "row_id": pa.array([f"{number:08d}" for number in range(count)], pa.string()),
            "number": pa.array(range(count), pa.int64()),
            "text": pa.array([f"{TEXT}It is the report of shelf {number}." for number in range(count)], pa.string()),
        }
    )


def job(count: int, concurrency: int, ledger: Ledger, transport: ModelTransport, **changes: Any) -> Job:
    """The job that asks for every text; `changes` are settings of the engine."""
    envelope = Envelope(
        package_version="0",
        graph=GRAPH.name,
        run_id="20261102_090000",
        phase="texts",
        number=1,
        artifact_id="texts",
        started_at=MOMENT,
        duration_seconds=0.0,
        settings_fingerprint="",
        code_fingerprint="",
        data_sha256="texts",
        content_sha256="texts",
    )
    return Job(
        graph=GRAPH,
        phase=GRAPH.phase("judged"),
        run=RunInfo(GRAPH.name, "20261102_090000", "", MOMENT, MOMENT),
        resolved=GRAPH.resolve({"concurrency": concurrency, **changes}, where="benchmark"),
        inputs={"texts": Input(envelope, table=rows(count))},
        ledger=ledger,
        transport=transport,
        open_clients=lambda calls, asker: None,
    )
