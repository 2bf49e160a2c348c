"""`enrich estimate`: what a run would take, or what is left of one, before anything is paid.

It reads what is stored and sends nothing; a run that does not exist yet is neither claimed nor written.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import DASH, clean, console, money, number, plain_table, write_json
from enrich_assets.cli.place import DEFAULT_GRAPH, Place, open_place
from enrich_assets.core.errors import UnknownRun, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enrich_assets.engine.estimate import Estimate, PhaseEstimate
    from enrich_assets.engine.uncertain import Span

_SHOWN_USD = 0.0001
"""Less than this is shown as nothing."""


def estimate(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="What is left of this run; without it a new one."),
    ] = "",
    preset: Annotated[str, typer.Option(metavar="NAME", help="A new run of a preset.", show_default=False)] = "",
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new run with a settings file (YAML).", show_default=False)
    ] = None,
    like: Annotated[
        str, typer.Option(metavar="RUN", help="A new run like this one, replaying its answers.", show_default=False)
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, like tier3.threshold=6.", show_default=False),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="As --set sample=N: N rows first.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Estimate calls, tokens and cost before anything is paid. Sends nothing, writes nothing."""
    started_from = {"--preset": preset, "--settings": settings, "--like": like}
    given = [name for name, value in started_from.items() if value]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} exclude each other.", fix="Name one of them.")
    changes = [*(overrides or []), *([f"sample={sample}"] if sample is not None else [])]
    if run_name and (given or changes):
        raise UserError(
            f"{', '.join([*given, *(['--set'] if overrides else []), *(['--sample'] if sample is not None else [])])} "
            f"cannot change the run {clean(run_name)!r}: settings of a run never change.",
            fix=f"Estimate another: enrich estimate --like {clean(run_name)} --set KEY=VALUE",
        )
    # Absolute before the home folder is entered.
    file = settings.absolute() if settings is not None else None
    with open_place() as place:
        if run_name:
            _tell_rest(place, run_name, as_json=as_json)
        else:
            _tell_new(place, preset=preset, file=file, like=like, overrides=changes, as_json=as_json)


def off_line(compared: Mapping[str, Any] | None) -> str:
    """One line on how far off the estimate was that was made when a run began; empty where there is nothing to say."""
    if compared is None:
        return ""
    usd, calls = compared["usd"], compared["calls"]
    if usd["estimated"] and usd["actual"] is not None and (usd["estimated"][1] or usd["actual"]):
        low, likely, high = usd["estimated"]
        told = f"estimated {_dollars(likely, low, high)}, spent {money(usd['actual'])}"
        off = usd["off"]
    elif calls["estimated"] and (calls["estimated"][1] or calls["actual"]):
        low, likely, high = calls["estimated"]
        told = f"estimated {likely:,.0f} calls ({low:,.0f}–{high:,.0f}), made {calls['actual']:,}"
        off = calls["off"]
    else:
        return ""
    return told if off is None else f"{told}: {_off(off)}"


def _tell_new(place: Place, *, preset: str, file: Path | None, like: str, overrides: list[str], as_json: bool) -> None:
    from enrich_assets.defs.estimating import estimate_new
    from enrich_assets.defs.runs import new_registration
    from enrich_assets.engine.series import series_of_file
    from enrich_assets.graphs.catalog import graph_named
    from enrich_assets.graphs.presets import load_settings_file

    values = load_settings_file(file) if file is not None else None
    graph = graph_named(DEFAULT_GRAPH)
    if like:
        graph, like = place.find_run(like)
    registered = new_registration(
        graph,
        store=place.store,
        ledger=place.ledger,
        values=values,
        where=str(file or ""),
        preset=preset,
        overrides=overrides,
        series=series_of_file(file) if file is not None else "",
        like=like,
    )
    found = estimate_new(graph, registered, place.store, place.ledger)
    start = {"--preset": preset, "--settings": str(file or ""), "--like": like}
    words = [word for name, value in start.items() if value for word in (name, value)]
    words += [word for change in overrides for word in ("--set", change)]
    _tell(found, f"enrich run {shlex.join(words)}".rstrip(), done="replayed" if like else "", as_json=as_json)


def _tell_rest(place: Place, run_name: str, *, as_json: bool) -> None:
    from enrich_assets.defs.estimating import estimate_rest, how_far_off

    graph, run_id = place.find_run(run_name)
    registered = place.ledger.registration(run_id)
    if registered is None:
        raise UnknownRun(f"nothing is known of the settings of {run_id}.", fix="enrich runs lists the runs.")
    found = estimate_rest(graph, run_id, registered, place.store, place.ledger)
    compared = how_far_off(graph, run_id, place.store, place.ledger)
    is_complete = all(phase.is_done for phase in found.phases)
    following = f"enrich {'show' if is_complete else 'resume'} {run_id}"
    if is_complete and not as_json:
        print(f"Run {run_id} is complete: nothing is left to pay.")
        if line := off_line(compared):
            print(line)
        print(f"next    {following}")
        return
    _tell(found, following, done="done", as_json=as_json, run_id=run_id, compared=compared)


def _tell(
    found: Estimate,
    following: str,
    *,
    done: str,
    as_json: bool,
    run_id: str = "",
    compared: Mapping[str, Any] | None = None,
) -> None:
    """Writes the estimate; `done` is the word for phases that cost nothing more."""
    if as_json:
        write_json({"run_id": run_id or None, **found.plain(), "frozen": compared, "next": following})
        return
    out = console()
    headings = ("#", "phase", "rows", "calls", "known", "tokens", "cost")
    table = plain_table(*headings, right=("#", "rows", "calls", "known", "tokens", "cost"))
    for phase in found.phases:
        table.add_row(
            str(phase.number),
            phase.phase,
            f"{_about(phase.rows_in)} → {_about(phase.rows_out)}",
            *_paid(phase, done),
            style="dim" if not phase.calls.high else "",
        )
    tokens = _thousands(found.tokens_in.likely + found.tokens_out.likely)
    table.add_row("", "total", "", _range(found.calls), "", tokens, _usd(found.usd))
    out.print(table)
    out.print()
    if found.calls.high:
        out.print("in brackets: the interval that holds in four runs of five", soft_wrap=True)
    else:
        out.print("No model is asked, so nothing is paid.", soft_wrap=True)
    for line in (*found.basis, *(f"! {warning}" for warning in found.warnings)):
        out.print(clean(line), soft_wrap=True)
    out.print(f"next    {following}", soft_wrap=True)


def _paid(phase: PhaseEstimate, done: str) -> list[str]:
    if phase.is_done:
        return [done, "", "", ""]
    if not phase.model:
        return ["", "", "", "" if phase.usd is not None else _usd(None)]
    tokens = phase.tokens_in.likely + phase.tokens_out.likely
    return [_range(phase.calls), number(phase.known) if phase.known else "", _thousands(tokens), _usd(phase.usd)]


def _about(span: Span) -> str:
    return f"{span.likely:,.0f}"


def _range(span: Span) -> str:
    low, likely, high = span.rounded()
    return f"{likely:,.0f}" if low == high else f"{likely:,.0f} ({low:,.0f}–{high:,.0f})"


def _thousands(tokens: float) -> str:
    return DASH if not tokens else f"{tokens:,.0f}" if tokens < 10_000 else f"{tokens / 1000:,.0f} k"


def _usd(span: Span | None) -> str:
    if span is None:
        return money(None)
    return money(0) if span.high < _SHOWN_USD else _dollars(span.likely, span.low, span.high)


def _dollars(likely: float, low: float, high: float) -> str:
    return money(likely) if low == high else f"{money(likely)} ({money(low)}–{money(high).removeprefix('$')})"


def _off(share: float) -> str:
    percent = round(100 * share)
    return "as estimated" if not percent else f"{abs(percent)} % {'more' if percent > 0 else 'less'}"
