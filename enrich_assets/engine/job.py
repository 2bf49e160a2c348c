"""What running one phase takes, gathered: declaration, settings, inputs, ledger, clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import ModelTransport
from enrich_assets.engine.graph import Graph, RunInfo
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.progress import RowsSoFar
from enrich_assets.engine.settings import EngineSettings, engine_settings


@dataclass(frozen=True)
class Input:
    """What an upstream phase published: its table or document, and its envelope."""

    envelope: Envelope
    table: pa.Table | None = None
    document: Mapping[str, Any] | None = None

    def content(self) -> Any:
        """Rows as a list of dicts, or the document."""
        return self.document if self.table is None else self.table.to_pylist()


@dataclass(frozen=True)
class Job:
    """Everything that running one phase takes.

    `inputs` are the published inputs by phase name (`Graph.inputs`), `sides` the side tables named in `also`.
    `resolved` are the run's frozen settings. `open_clients(calls, asker)` gives a row phase its clients as an async
    context manager. `report(meter, rows)` is called about once a second and at the end, `should_stop()`, which gives
    the reason to stop or an empty text, about once a second.
    """

    graph: Graph
    phase: Phase
    run: RunInfo
    resolved: Mapping[str, Any]
    inputs: Mapping[str, Input]
    ledger: Ledger
    transport: ModelTransport
    open_clients: Callable[[Calls, Asker], Any]
    sides: Mapping[str, pa.Table] = field(default_factory=dict)
    registration: Mapping[str, Any] | None = None
    report: Callable[[Meter, RowsSoFar], None] = lambda meter, rows: None
    should_stop: Callable[[], str] = lambda: ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @cached_property
    def shared(self) -> EngineSettings:
        """The engine's settings of this run."""
        return engine_settings(self.resolved)
