"""`enrich pause`: asks whoever works on a run to stop, from another terminal or machine. Through the ledger alone."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from enrich_assets.cli.output import say
from enrich_assets.cli.place import Place, open_place

_PATIENCE_SECONDS = 12.0
"""A phase that is asked to stop has six seconds for what is on the wire, and hears of it within two."""


def pause(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES' (the default)."),
    ] = "latest",
) -> None:
    """Let whoever works on a run stop: what is on its way lands and is kept, nothing more is sent.

    `enrich resume RUN` goes on.
    """
    from enrich_assets.engine.run_progress import read_progress

    with open_place(to_execute=True, needs_room=False) as place:
        graph, run_id = place.find_run(run_name)
        is_at_work = _is_at_work(place, run_id)
        place.ledger.ask_pause(run_id)
        if not is_at_work and read_progress(place.ledger, run_id, graph.names).state == "complete":
            print(f"Run {run_id} is complete: there is nothing to pause.")
            return
        if not is_at_work:
            print(
                f"Nobody works on run {run_id}.\nA launch that is between two of its phases stops before the next one."
            )
            return
        say(f"Run {run_id} is asked to pause …")
        ends = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < ends:
            if not _is_at_work(place, run_id):
                print(f"Run {run_id} is paused.\nnext    enrich resume {run_id}")
                return
            time.sleep(0.25)
        print(f"Run {run_id} still works; it stops when the step that it is in ends.\nlook    enrich watch {run_id}")


def _is_at_work(place: Place, run_id: str) -> bool:
    from enrich_assets.engine.leases import LeaseTaken

    try:
        place.ledger.refuse_if_worked_on(run_id)
    except LeaseTaken:
        return True
    return False
