"""`enrich budget`: what was spent and what may be spent, by run, phase, day and month. From the ledger alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import clean, console, money, plain_table, write_json
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.spending import Spent

_AMOUNT = "AMOUNT"


def budget(
    run_name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES'; without it day and month."
        ),
    ] = "",
    usd: Annotated[
        str | None,
        typer.Option("--usd", metavar=_AMOUNT, help="What RUN may spend; 'none' leaves it to its settings."),
    ] = None,
    phase_name: Annotated[
        str | None, typer.Option("--phase", metavar="PHASE", help="With --usd: what this phase of RUN may spend.")
    ] = None,
    day_usd: Annotated[
        str | None,
        typer.Option("--day-usd", metavar=_AMOUNT, help="What all runs may spend in a day (UTC); 'none' lifts it."),
    ] = None,
    month_usd: Annotated[str | None, typer.Option("--month-usd", metavar=_AMOUNT, help="The same for a month.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show or set what may be spent, in USD. It holds at once, for runs that are at work too.

    What is on its way counts at the most that it can cost, so a budget is never passed.
    """
    if (usd is not None or phase_name is not None) and not run_name:
        raise UserError("--usd and --phase need a RUN.", fix="Name one; enrich runs lists them.")
    if phase_name is not None and usd is None:
        raise UserError(
            "--phase needs --usd.", fix=f"enrich budget {clean(run_name)} --phase {clean(phase_name)} --usd 2"
        )
    given = {"--usd": usd, "--day-usd": day_usd, "--month-usd": month_usd}
    amounts = {option: _amount(option, text) for option, text in given.items() if text is not None}
    with open_place(to_execute=bool(amounts)) as place:
        graph, run_id = place.find_run(run_name) if run_name else (None, "")
        scopes = {"--day-usd": "day", "--month-usd": "month", "--usd": f"run/{run_id}"}
        if graph is not None and phase_name is not None:
            scopes["--usd"] = f"phase/{run_id}/{graph.phase(phase_name).name}"
        # Everything is understood by now: either all of it is set or nothing.
        for option, amount in amounts.items():
            place.ledger.set_cap(scopes[option], amount)
        found = _facts(place) if graph is None else _run_facts(place, graph, run_id)
    if as_json:
        write_json(found)
    else:
        _print(found)


def _amount(option: str, text: str) -> float | None:
    """The amount in USD; None for `none`."""
    if text.strip().lower() == "none":
        return None
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise UserError(f"{option}: {clean(text)[:40]!r} is no amount.", fix="Write USD as 2 or 0.5, or 'none'.")
    return amount


def _facts(place: Place) -> list[dict[str, Any]]:
    day, month = place.ledger.spent_today()
    return [_fact("today (UTC)", day, day.cap), _fact("this month (UTC)", month, month.cap)]


def _run_facts(place: Place, graph: Graph, run_id: str) -> list[dict[str, Any]]:
    registered = place.ledger.registration(run_id) or {}
    budget = registered.get("settings", {}).get("budget", {})
    run = place.ledger.spent(run_id)
    found = [_fact(f"run {run_id}", run, budget.get("run_usd") if run.cap is None else run.cap)]
    for name in graph.names:
        phase = place.ledger.spent(run_id, name)
        found.append(_fact(name, phase, budget.get("phase_usd") if phase.cap is None else phase.cap))
    # What holds for all runs holds for this one.
    return [*found, *(fact for fact in _facts(place) if fact["budget"] is not None)]


def _fact(name: str, spent: Spent, cap: float | None) -> dict[str, Any]:
    return {
        "scope": name,
        "spent": None if spent.unpriced else spent.spent,
        "reserved": None if spent.unpriced else spent.reserved,
        "unsettled": spent.unsettled,
        "budget": cap,
        "left": None if cap is None or spent.total is None else max(0.0, cap - spent.total),
    }


def _print(found: list[dict[str, Any]]) -> None:
    table = plain_table("", "spent", "reserved", "budget", "left", right=("spent", "reserved", "budget", "left"))
    for place, entry in enumerate(found):
        has_cap = entry["budget"] is not None
        if place and len(found) > 2 and not (entry["spent"] != 0 or entry["unsettled"] or has_cap):
            continue  # a phase that neither spent nor is held to anything: most of them ask nobody
        table.add_row(
            entry["scope"],
            money(entry["spent"]),
            money(entry["reserved"]) if entry["unsettled"] else "",
            money(entry["budget"]) if has_cap else "none",
            money(entry["left"]) if has_cap else "",
        )
    out = console()
    out.print(table)
    if any(entry["unsettled"] for entry in found):
        out.print("Reserved: on its way, or of unknown outcome or usage, at the most that it can cost.")
    if any(entry["spent"] is None for entry in found):
        out.print("Unknown: a model without a price. The settings of a new run can give it.")
