"""IO managers: one for tables (Parquet), one for documents (JSON). The store does the work; they carry it to Dagster.

Not UPathIOManager: it is not atomic, and artifact, envelope and side tables have to be published together.
https://docs.dagster.io/guides/build/io-managers
"""

# No `from __future__ import annotations` here: Dagster reads the types of nested resources.

from typing import Any

import dagster as dg

from enrich_assets.core.result import PhaseResult
from enrich_assets.defs.resources import LedgerResource, StoreResource
from enrich_assets.engine.ledger import phase_view
from enrich_assets.engine.runner import Input

TABLES, DOCUMENTS = "enrich_tables", "enrich_documents"


class _ArtifactIOManager(dg.ConfigurableIOManager):  # type: ignore[type-arg]
    """Publishes a phase's result and loads what an upstream phase published."""

    store: StoreResource
    ledger: LedgerResource

    def handle_output(self, context: dg.OutputContext, obj: PhaseResult) -> None:
        """Publishes artifact, envelope, side tables and reports together, and notes it in the ledger's view."""
        store = self.store.open()
        envelope = store.publish(obj, reports=obj.reports)
        with self.ledger.open(str(store.root)) as ledger:
            ledger.phase_ended(envelope.run_id, envelope.phase, envelope.status, **phase_view(envelope))

    def load_input(self, context: dg.InputContext) -> Input:
        """The verified artifact of the upstream phase; refuses a damaged one and one that failed a blocking check."""
        metadata = context.upstream_output.definition_metadata if context.upstream_output else {}
        loaded = self.store.open().load(_text(metadata["graph"]), context.partition_key, _text(metadata["phase"]))
        return Input(envelope=loaded.envelope, table=loaded.table, document=loaded.document)


class ParquetIOManager(_ArtifactIOManager):
    """Tables as `<phase>.parquet` with the envelope in the footer."""


class JsonIOManager(_ArtifactIOManager):
    """Documents as `<phase>.json` with the envelope beside the data."""


def io_managers() -> dict[str, Any]:
    """The IO managers under the keys that the assets name."""
    rooms = {"store": StoreResource(), "ledger": LedgerResource()}
    return {TABLES: ParquetIOManager(**rooms), DOCUMENTS: JsonIOManager(**rooms)}


def _text(value: Any) -> str:
    return str(getattr(value, "text", None) or getattr(value, "value", value))
