"""`enrich watch`: the live view of a run, from the ledger alone, whoever executes it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import clean, console, money
from enrich_assets.cli.place import Place, open_place

if TYPE_CHECKING:
    from enrich_assets.cli.progress import RunProgress

_REFRESH_SECONDS = 0.5


def watch(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", show_default=False, help="ID, title or 'latest' (the default).")
    ] = "latest",
    once: Annotated[bool, typer.Option("--once", help="Show one frame and end.")] = False,
) -> None:
    """Follow a run live until it ends. Without a terminal it shows one frame."""
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        title = next((str(run["title"]) for run in place.ledger.runs() if run["run_id"] == run_id), "")
        out = console()
        if once or not out.is_terminal:
            out.print(_frame(_read(place, graph.names, run_id), title))
            return
        from rich.live import Live

        from enrich_assets.cli.progress import BETWEEN, PAUSE_SECONDS

        with Live(console=out, auto_refresh=False) as live:
            while True:
                progress = _read(place, graph.names, run_id, PAUSE_SECONDS)
                live.update(_frame(progress, title), refresh=True)
                if progress.state not in ("running", "silent", "prepared", BETWEEN):
                    return
                time.sleep(_REFRESH_SECONDS)


def _read(place: Place, names: tuple[str, ...], run_id: str, pause_seconds: float = 0.0) -> RunProgress:
    from enrich_assets.cli.progress import run_progress
    from enrich_assets.engine.ledger import utc_now

    return run_progress(run_id, names, place.ledger.phases(run_id), now=utc_now(), pause_seconds=pause_seconds)


def _frame(progress: RunProgress, title: str) -> Any:
    from rich.console import Group
    from rich.text import Text

    from enrich_assets.cli.progress import notes_of, progress_table

    named = f" · {clean(title)}" if title else ""
    head = f"{progress.run_id}{named} · {progress.state} · {progress.done} of {len(progress.phases)} phases"
    return Group(
        Text(f"{head} · cost {money(progress.cost)}", style="bold"),
        progress_table(progress),
        *(Text(note) for note in notes_of(progress)),
    )
