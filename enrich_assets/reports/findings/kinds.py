"""Every kind of finding: one line a kind."""

from __future__ import annotations

from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings import drops, losses, requests, scores, sources
from enrich_assets.reports.findings.finding import Kind

KINDS = (
    Kind("nothing_left", drops.leaves_rows_out, losses.nothing_left),
    Kind("pages_failed", losses.makes_rows, losses.pages_failed),
    Kind("one_source_dominates", sources.reads_sources, sources.one_source_dominates),
    Kind("source_gone_silent", sources.reads_sources, sources.source_gone_silent),
    Kind("scores_pile_up", scores.gives_scores, scores.scores_pile_up),
    Kind("dimension_never_varies", scores.judges_dimensions, scores.dimension_never_varies),
    Kind("retry_storm", requests.sends_requests, requests.retry_storm),
    Kind("refusals", requests.asks_a_model, requests.refusals),
    Kind("cost_outlier", requests.asks_a_model, requests.cost_outlier),
    Kind("drop_reason_doubled", drops.leaves_rows_out, drops.drop_reason_doubled),
)


def kinds_of(phase: Phase) -> tuple[Kind, ...]:
    """The kinds that can concern a phase."""
    return tuple(kind for kind in KINDS if kind.concerns(phase))
