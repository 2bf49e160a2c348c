"""Many finished runs in one place, made of one real run without executing any: ledger, Dagster's events, one storage.

`python -m enrich_assets_tests.ui.many_runs COUNT` copies the newest complete run of ENRICH_STORAGE and DAGSTER_HOME.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from enrich_assets.defs.instance import open_instance
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.engine import tables
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.store.store import Store

_FIRST = datetime(2024, 1, 1, 6, tzinfo=UTC)


def copy_runs(count: int, ledger: Ledger, instance: dg.DagsterInstance) -> list[str]:
    """Records `count` older runs that went as the newest one did, one a day from 2024 on; gives their IDs."""
    source = str(next(run["run_id"] for run in ledger.runs()))
    moments = [_FIRST + timedelta(days=number) for number in range(count)]
    run_ids = [f"{moment:%Y%m%d_%H%M%S}" for moment in moments]
    with ledger._writing() as connection:
        for table in (tables.runs, tables.phases):
            found = connection.execute(sa.select(table).where(table.c.run_id == source)).mappings().all()
            rows = [_dated(row, run_id, at) for run_id, at in zip(run_ids, moments, strict=True) for row in found]
            connection.execute(sa.insert(table), rows)
    instance.add_dynamic_partitions(partitions_name(INTELLIGENCE.name), run_ids)
    for phase in INTELLIGENCE.names:
        key = dg.AssetKey([phase])
        made = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[source]), limit=1
        ).records[0]
        assert made.asset_materialization is not None
        for run_id in run_ids:
            metadata = made.asset_materialization.metadata
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata, partition=run_id))
    return run_ids


def _dated(row: Mapping[str, Any], run_id: str, moment: datetime) -> dict[str, Any]:
    stamps = {name: moment.isoformat() for name in row if name.endswith("_at") and row[name] is not None}
    return {**row, **stamps, "run_id": run_id, **({"title": ""} if "title" in row else {})}


def main() -> None:
    """Copies as many runs as the command line says."""
    warnings.simplefilter("ignore")
    with open_instance() as instance, Ledger.for_storage(str(Store.from_environment().root)) as ledger:
        print(len(copy_runs(int(sys.argv[1]), ledger, instance)))


if __name__ == "__main__":
    main()
