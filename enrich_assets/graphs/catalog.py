"""Every graph of the project, by name. Adding a graph is one line here."""

from __future__ import annotations

import difflib

from enrich_assets.core.errors import UserError
from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.intelligence import INTELLIGENCE

GRAPHS: dict[str, Graph] = {graph.name: graph for graph in (INTELLIGENCE,)}


def graph_named(name: str) -> Graph:
    """The graph of that name; raises UserError with the near misses."""
    if name in GRAPHS:
        return GRAPHS[name]
    close = difflib.get_close_matches(name, GRAPHS, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Known graphs: {', '.join(GRAPHS)}."
    raise UserError(f"{name!r} is no graph.", fix=hint)
