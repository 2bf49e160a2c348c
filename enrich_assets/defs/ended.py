"""What whoever hears that a run ended has to know of it: that nothing is left, and which checks failed."""

from __future__ import annotations

from collections.abc import Iterator

from enrich_assets.core.envelope import Envelope
from enrich_assets.defs.standing import envelopes_of
from enrich_assets.engine.graph import Graph
from enrich_assets.reports.findings.losses import empty_sentence
from enrich_assets.store.store import Store


def stands_out(graph: Graph, run_id: str, store: Store) -> list[str]:
    """The sentences about a run that ended, phase by phase; each names its phase first."""
    return list(_sentences(graph, run_id, store))


def _sentences(graph: Graph, run_id: str, store: Store) -> Iterator[str]:
    for name, envelope in envelopes_of(graph, run_id, store, every_file=False).items():
        if not isinstance(envelope, Envelope):
            continue
        if sentence := empty_sentence(envelope.counts):
            yield f"{name}: {sentence[0].lower()}{sentence[1:]}"
        for check in envelope.checks:
            if not check.passed:
                yield f"{name}: the check {check.name} failed: {check.message}"
