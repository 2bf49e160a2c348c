"""A figure of a published phase, drawn again from its artifact: with more dots an inch, for print."""

from __future__ import annotations

from enrich_assets.core.errors import UserError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Figure, Phase
from enrich_assets.stats.outcome import Outcome
from enrich_assets.store.store import Store

LEAST_DPI, MOST_DPI = 30, 1200


def drawn_again(
    store: Store, graph: Graph, run_id: str, figure_name: str, *, dpi: int, phase_name: str = ""
) -> tuple[Phase, dict[str, bytes]]:
    """The phase of the figure and its files by name, with `dpi` dots an inch (30–1,200).

    A name that several phases use, such as `drop_reasons`, needs `phase_name`. Raises UserError for an unknown or
    ambiguous figure, ArtifactMissing or ArtifactDamaged for a phase that published nothing or that is broken.
    """
    if not LEAST_DPI <= dpi <= MOST_DPI:
        raise UserError(f"{dpi} dots an inch cannot be drawn.", fix=f"From {LEAST_DPI} to {MOST_DPI}, such as 300.")
    phase, figure = _named(graph, figure_name, phase_name)
    loaded = store.load(graph.name, run_id, phase.name)
    first = store.load(graph.name, run_id, graph.first.name).document or {}
    outcome = Outcome(
        counts=loaded.envelope.counts,
        sides={name: store.side(graph.name, run_id, phase.name, name) for name in phase.sides},
        settings=_settings(graph, phase, first),
        history={name: store.envelope(graph.name, run_id, name) for name in graph.inputs(phase)},
        document=loaded.document,
    )
    return phase, figure.draw(loaded.table, outcome, dpi)


def _named(graph: Graph, figure_name: str, phase_name: str) -> tuple[Phase, Figure]:
    phases = [graph.phase(phase_name)] if phase_name else list(graph.phases)
    found = [(phase, figure) for phase in phases for figure in phase.figures if figure.name == figure_name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} phases have a figure {figure_name}.",
            fix=f"Name one of them too: {', '.join(phase.name for phase, _ in found)}.",
        )
    known = sorted({figure.name for phase in phases for figure in phase.figures})
    raise UserError(
        f"{figure_name!r:.80} is no figure of {phase_name or f'the graph {graph.name}'}.",
        fix=f"Its figures: {', '.join(known) or 'none'}.",
    )


def _settings(graph: Graph, phase: Phase, registered: dict[str, object]) -> object:
    """The phase's settings in the run; None where they are of an earlier version and no longer valid."""
    resolved = registered.get("settings")
    try:
        return graph.settings_of(phase, resolved if isinstance(resolved, dict) else {})
    except UserError:
        return None
