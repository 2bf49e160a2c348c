"""`enrich runs`: the list of runs, from the ledger alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from enrich_assets.cli.output import OWN_SETTINGS, clean, console, duration, money, plain_table, write_json
from enrich_assets.cli.place import Place, open_place


def runs(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    series: Annotated[
        str, typer.Option(metavar="NAME", help="Only those of a preset or settings file.", show_default=False)
    ] = "",
) -> None:
    """List the runs, newest first."""
    from enrich_assets.cli.progress import sure_of_cost

    with open_place() as place:
        listed = list_runs(place, limit, series)
        if not listed:
            from enrich_assets.graphs.finding import refuse_unlisted

            refuse_unlisted(place.store, place.ledger)
    if as_json:
        write_json(listed)
        return
    if not listed:
        print("There is no run yet. Start one: enrich demo")
        return
    table = plain_table("run", "title", "series", "state", "phases", "cost", "time", right=("phases", "cost", "time"))
    table.columns[0].no_wrap = True
    for entry in listed:
        table.add_row(
            entry["run_id"],
            clean(entry["title"]),
            clean(entry["series"]) or OWN_SETTINGS,
            _shown_state(entry),
            f"{entry['phases_done']}/{entry['phases']}",
            money(entry["cost"]),
            duration(entry["seconds"]),
        )
    out = console()
    out.print(table)
    for note in sure_of_cost(sum(entry["unsettled"] for entry in listed)):
        out.print(note)


def list_runs(place: Place, limit: int, series: str = "") -> list[dict[str, Any]]:
    """Of each run, or of those of a series: run_id, graph, title, preset, series, created_at, state, phases,
    phases_done, cost (USD), seconds. Raises UnknownRun for a series that no run belongs to.

    `unsettled` requests in the cost have an outcome that nobody knows; they count at their upper bound.
    `silent_since` (UTC) is the last sign of life of a run whose state is silent.
    """
    from enrich_assets.engine.run_progress import read_progress
    from enrich_assets.engine.series import known_series
    from enrich_assets.graphs.catalog import GRAPHS

    listed: list[dict[str, Any]] = []
    name = known_series(series, place.ledger.series()) if series else ""
    for known in place.ledger.runs(series=name, limit=limit):
        names = GRAPHS[known["graph"]].names if known["graph"] in GRAPHS else ()
        progress = read_progress(place.ledger, known["run_id"], names)
        spent = [phase.seconds for phase in progress.phases if phase.seconds is not None]
        listed.append(
            {
                **known,
                "state": progress.state,
                "silent_since": progress.silent_since,
                "phases": len(progress.phases),
                "phases_done": progress.done,
                "cost": progress.cost,
                "unsettled": progress.unsettled,
                "seconds": round(sum(spent), 3) if spent else None,
            }
        )
    return listed


def _shown_state(entry: dict[str, Any]) -> str:
    since = entry["silent_since"]
    return str(entry["state"]) if since is None else f"stopped? silent since {since:%H:%M} UTC"
