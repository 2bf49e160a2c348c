"""`enrich presets`: the settings that come with the project."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from enrich_assets.cli.output import clean, console, number, plain_table
from enrich_assets.cli.place import DEFAULT_GRAPH


def presets(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Print this preset's YAML.")] = "",
) -> None:
    """List the presets, or print one as YAML to copy and change."""
    from enrich_assets.graphs.presets import load_preset, preset_names, preset_text

    if name:
        sys.stdout.write(preset_text(DEFAULT_GRAPH, name))
        return
    table = plain_table("preset", "title", "sources", "categories", right=("sources", "categories"))
    for known in preset_names(DEFAULT_GRAPH):
        values = load_preset(DEFAULT_GRAPH, known)
        counts = (number(len(values.get(key) or ())) for key in ("sources", "categories"))
        table.add_row(known, clean(values.get("title", "")), *counts)
    console().print(table)
