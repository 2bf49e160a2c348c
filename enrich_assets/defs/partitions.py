"""Partitions: one dynamic partition a run, one set of partitions a graph. Never a partition per row or page.

https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from enrich_assets.engine.graph import Graph


@cache
def runs_of(graph_name: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a graph: its run IDs."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(graph_name))


def partitions_name(graph_name: str) -> str:
    """Name of a graph's set of partitions in the instance."""
    return f"{graph_name}_runs"


def add_run(instance: dg.DagsterInstance, graph: Graph, run_id: str) -> None:
    """Makes a run known to Dagster; doing it again changes nothing."""
    name = partitions_name(graph.name)
    if not instance.has_dynamic_partition(name, run_id):
        instance.add_dynamic_partitions(name, [run_id])
