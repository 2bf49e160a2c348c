"""`enrich show RUN PHASE --figure NAME --out FILE`: a figure drawn again from its artifact, with more dots an inch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enrich_assets.cli.output import console
from enrich_assets.core.errors import StorageError, UserError

if TYPE_CHECKING:
    from enrich_assets.cli.place import Place
    from enrich_assets.engine.graph import Graph

DPI = 300


def write_figure(
    place: Place, graph: Graph, run_id: str, phase_name: str, figure_name: str, *, dpi: int, out: str
) -> None:
    """Draws the figure to `out`, whose extension (.png or .svg) decides the form. Raises UserError, StorageError."""
    from enrich_assets.stats.redraw import drawn_again

    path = Path(out).expanduser()
    if path.suffix.lower() not in (".png", ".svg"):
        raise UserError(f"{out or 'nothing'} is no picture's file.", fix="--out takes a name ending in .png or .svg.")
    phase, files = drawn_again(place.store, graph, run_id, figure_name, dpi=dpi, phase_name=phase_name)
    found = [data for name, data in files.items() if name.endswith(path.suffix.lower())]
    if not found:
        raise UserError(f"{figure_name} has no {path.suffix} file.", fix=f"It makes: {', '.join(sorted(files))}.")
    try:
        path.write_bytes(found[0])
    except OSError as error:
        raise StorageError(
            f"the figure could not be written: {error.strerror or error}.", where=str(path),
            fix="Choose a folder that exists and can be written.",
        ) from error  # fmt: skip
    console().print(f"{figure_name} of {phase.name}: {path}", soft_wrap=True)
