"""What stands out in a run: a few lines below `enrich show RUN`, all of it with `--findings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from enrich_assets.cli.output import clean, console, counted
from enrich_assets.cli.place import Place

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.reports.findings.finding import Finding

_IN_SHORT = 5
"""Findings that are told where nobody asked for them."""
_ROWS = 5
"""Rows of each that are named."""
_MOST_ROWS = 100_000
"""Rows of a phase up to which its table is read unasked: more take longer than a look at a run should."""


def findings_in(place: Place, graph: Graph, run_id: str) -> list[Finding]:
    """What stands out in a run, phase by phase."""
    from enrich_assets.reading import Run
    from enrich_assets.reports.findings.looking import findings_of

    return findings_of(Run(place.store, graph, run_id))


def short_findings(place: Place, graph: Graph, run_id: str) -> tuple[list[Finding], bool]:
    """What stands out in a run, and whether it was looked for: not in very large ones."""
    from enrich_assets.reading import Run

    run = Run(place.store, graph, run_id)
    is_large = any(envelope.counts.rows_out > _MOST_ROWS for _, envelope in run.envelopes())
    return ([], False) if is_large else (findings_in(place, graph, run_id), True)


def findings_for_json(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as plain values."""
    return [finding.model_dump(mode="json") for finding in found]


def print_in_short(run_id: str, found: Sequence[Finding], was_looked: bool) -> None:
    """One line a finding; nothing where nothing stands out."""
    out = console()
    for finding in found[:_IN_SHORT]:
        out.print(f"{_mark(finding)} {finding.phase}: {clean(finding.sentence)}")
    if found:
        more = f"{len(found) - _IN_SHORT} more; " if len(found) > _IN_SHORT else ""
        out.print(f"  {more}rows and what to do: enrich show {run_id} --findings", style="dim")
    if not was_looked:
        out.print(f"what stands out in so many rows: enrich show {run_id} --findings", style="dim")


def print_findings(run_id: str, found: Sequence[Finding]) -> None:
    """Each finding with what to do and its first rows."""
    out = console()
    out.print(f"{run_id} · {counted(len(found), 'finding') if found else 'nothing stands out'}", style="bold")
    for finding in found:
        out.print(f"{_mark(finding)} {finding.phase} · {finding.kind}: {clean(finding.sentence)}")
        out.print(f"  {clean(finding.advice.replace(' RUN', f' {run_id}'))}")
        for row in finding.rows[:_ROWS]:
            value = f" · {clean(row.value)}" if row.value else ""
            out.print(f"    {clean(row.row_id)}  {clean(row.title)[:60]}{value}", style="dim")
        if finding.rows_total > _ROWS:
            out.print(
                f"    … {counted(finding.rows_total, 'row')} in all: --json names {len(finding.rows)}", style="dim"
            )


def _mark(finding: Finding) -> str:
    return "!" if finding.severity == "warning" else "·"
