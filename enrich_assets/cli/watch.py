"""`enrich watch`: the live view of a run, from the ledger alone, whoever executes it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import clean, console, money
from enrich_assets.cli.place import open_place

if TYPE_CHECKING:
    from enrich_assets.engine.progress import Pace
    from enrich_assets.engine.run_progress import RunProgress

_REFRESH_SECONDS = 0.5


def watch(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES' (the default)."),
    ] = "latest",
    once: Annotated[bool, typer.Option("--once", help="Show one frame and end.")] = False,
) -> None:
    """Follow a run live until it ends. Without a terminal it shows one frame."""
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        from enrich_assets.cli.progress import BETWEEN, PAUSE_SECONDS
        from enrich_assets.engine.progress import Pace
        from enrich_assets.engine.run_progress import read_progress

        title = str((place.ledger.registration(run_id) or {}).get("title", ""))
        out = console()
        if once or not out.is_terminal:
            out.print(_frame(read_progress(place.ledger, run_id, graph.names), title, Pace()))
            return
        from rich.live import Live

        pace = Pace()
        with Live(console=out, auto_refresh=False) as live:
            while True:
                progress = read_progress(place.ledger, run_id, graph.names, pause_seconds=PAUSE_SECONDS)
                live.update(_frame(progress, title, pace), refresh=True)
                if progress.state not in ("running", "silent", "prepared", BETWEEN):
                    return
                time.sleep(_REFRESH_SECONDS)


def _frame(progress: RunProgress, title: str, pace: Pace) -> Any:
    from rich.console import Group
    from rich.text import Text

    from enrich_assets.cli.progress import notes_of, progress_table, working_line

    working = working_line(progress, pace)
    named = f" · {clean(title)}" if title else ""
    head = f"{progress.run_id}{named} · {progress.state} · {progress.done} of {len(progress.phases)} phases"
    return Group(
        Text(f"{head} · cost {money(progress.cost)}", style="bold"),
        progress_table(progress),
        *([Text(working, style="yellow")] if working else []),
        *(Text(note) for note in notes_of(progress)),
    )
