"""IO managers: one for tables (Parquet), one for documents (JSON). The store does the work; they carry it to Dagster.

Not UPathIOManager: it is not atomic, and artifact, envelope and side tables have to be published together.
https://docs.dagster.io/guides/build/io-managers
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from enrich_assets.core.errors import ArtifactError, ArtifactMissing, RunIdError
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.defs import holding
from enrich_assets.defs.resources import LEDGER, STORE, LedgerResource, StoreResource
from enrich_assets.engine.job import Input
from enrich_assets.engine.ledger import phase_view
from enrich_assets.store.store import Store

TABLES, DOCUMENTS = "enrich_tables", "enrich_documents"
UP_TO = "phases_up_to_it"
"""Metadata of an asset's input: the names of the phases up to it, in their order."""
HOW_TO_DELETE = "To be rid of this one: on the page of an asset, the arrow beside Materialize…, then Delete partitions."


class _ArtifactIOManager(dg.IOManager):
    """Publishes a phase's result and loads what an upstream phase published."""

    def __init__(self, store: StoreResource, ledger: LedgerResource) -> None:
        self._store = store
        self._ledger = ledger

    def handle_output(self, context: dg.OutputContext, obj: PhaseResult) -> None:
        """Publishes artifact, envelope, side tables and reports together, and notes it in the ledger's view."""
        store = self._store.open()
        try:
            holding.confirm(obj.run_id, obj.phase)
            envelope = store.publish(obj, reports=obj.reports)
            with self._ledger.open(str(store.root)) as ledger:
                lease = holding.held(obj.run_id, obj.phase)
                ledger.phase_ended(
                    envelope.run_id, envelope.phase, envelope.status, lease=lease, **phase_view(envelope)
                )
        finally:
            holding.release(obj.run_id, obj.phase)

    def load_input(self, context: dg.InputContext) -> Input:
        """The verified artifact of the upstream phase.

        Raises dg.Failure with how to go on where it is missing, damaged, or failed a blocking check.
        """
        metadata = context.upstream_output.definition_metadata if context.upstream_output else {}
        graph, phase = _text(metadata["graph"]), _text(metadata["phase"])
        return published_input(self._store.open(), graph, context.partition_key, phase, _before(context) or [phase])


def published_input(
    store: Store, graph: str, run_id: str, phase: str, up_to_it: Sequence[str], *, record_only: bool = False
) -> Input:
    """What a phase of a run published, verified; with `record_only` its envelope alone.

    Every input of a phase comes through here, whether Dagster loads it or the phase's body reads it. Raises dg.Failure
    with how to go on where it is missing, damaged, or failed a blocking check; `up_to_it` are the names of the phases
    up to it, the first unusable of which has to be made.
    """
    try:
        if record_only:
            return Input(envelope=store.usable_envelope(graph, valid_run_id(run_id), phase))
        loaded = store.load(graph, valid_run_id(run_id), phase)
    except RunIdError as error:
        raise dg.Failure(f"{error} {HOW_TO_DELETE}", allow_retries=False) from error
    except ArtifactError as error:
        first, reason = _first_unusable(store, graph, run_id, up_to_it, error)
        raise dg.Failure(
            f"{reason} To go on: enrich resume {run_id}, or in the UI materialize from {first} on.",
            metadata={"next": f"enrich resume {run_id}", "materialize_from": first},
            allow_retries=False,
        ) from error
    return Input(envelope=loaded.envelope, table=loaded.table, document=loaded.document)


class ParquetIOManager(_ArtifactIOManager):
    """Tables as `<phase>.parquet` with the envelope in the footer."""


class JsonIOManager(_ArtifactIOManager):
    """Documents as `<phase>.json` with the envelope beside the data."""


def io_managers() -> dict[str, Any]:
    """The IO managers under the keys that the assets name. They use the project's own store and ledger resources."""
    return {TABLES: _definition(ParquetIOManager), DOCUMENTS: _definition(JsonIOManager)}


def _definition(kind: type[_ArtifactIOManager]) -> dg.IOManagerDefinition:
    def opened(context: dg.InitResourceContext) -> _ArtifactIOManager:
        return kind(getattr(context.resources, STORE), getattr(context.resources, LEDGER))

    # By key and not as nested resources: a project that gives enrich_store another place moves these along.
    return dg.IOManagerDefinition(resource_fn=opened, required_resource_keys={STORE, LEDGER}, description=kind.__doc__)


def _before(context: dg.InputContext) -> list[str]:
    """The phases up to the input, in their order, as the asset that reads it names them; none in another's asset."""
    named = context.definition_metadata.get(UP_TO) if context.has_input_name else None
    return _text(named).split() if named else []


def _first_unusable(
    store: Store, graph: str, run_id: str, phases: Sequence[str], error: ArtifactError
) -> tuple[str, str]:
    """The first phase that has to be made, and what is wrong with it in one sentence."""
    for name in phases:
        try:
            store.load(graph, run_id, name)
        except ArtifactMissing:
            return name, f"{name} of the run {run_id} is not made yet."
        except ArtifactError as found:
            return name, _what(found)
    return phases[-1], _what(error)


def _what(error: ArtifactError) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what


def _text(value: Any) -> str:
    return str(getattr(value, "text", None) or getattr(value, "value", value))
