"""`enrich show`: a run's phases as its envelopes and, of what failed, the ledger tell them. One phase: `show_phase`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import (
    OWN_SETTINGS,
    clean,
    console,
    duration,
    money,
    number,
    plain_table,
    total_cost,
    write_json,
)
from enrich_assets.cli.place import Place, open_place
from enrich_assets.cli.show_figure import DPI, write_figure
from enrich_assets.cli.show_findings import (
    findings_for_json,
    findings_in,
    print_findings,
    print_in_short,
    short_findings,
)
from enrich_assets.cli.show_phase import failure_lines, last_attempt, phase_facts, print_phase, reasons
from enrich_assets.cli.show_rows import failed_rows, print_failed_rows, print_rows, rows_for_json, rows_of
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.phase import Phase
    from enrich_assets.engine.resume import Standing
    from enrich_assets.engine.run_progress import RunProgress

_MARKS = {"done": "✓", "missing": "·", "outdated": "!", "waiting": "!", "blocked": "✗", "damaged": "✗"}
_STYLES = {"✓": "green", "▸": "yellow", "‖": "yellow", "·": "dim", "!": "yellow", "✗": "red"}


def show(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES' (the default)."),
    ] = "latest",
    phase_name: Annotated[
        str, typer.Argument(metavar="PHASE", show_default=False, help="Name or number of a phase.")
    ] = "",
    rows: Annotated[bool, typer.Option("--rows", help="Where each row of PHASE stands.")] = False,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="With --rows: only these, like failed.", show_default=False)
    ] = "",
    figure: Annotated[
        str, typer.Option(metavar="NAME", help="Draw a figure again, to --out.", show_default=False)
    ] = "",
    dpi: Annotated[int, typer.Option(metavar="N", help="With --figure: dots an inch.")] = DPI,
    out: Annotated[str, typer.Option(metavar="FILE", help="With --figure: a .png or .svg.", show_default=False)] = "",
    findings: Annotated[
        bool, typer.Option("--findings", help="What stands out in RUN, with its rows and what to do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show a run phase by phase, or one PHASE in depth.

    In → out, why rows were left out, requests, cost and time; of one phase columns, checks, first rows and files too.
    """
    if (rows or state) and not (rows and phase_name):
        raise UserError("--rows needs a PHASE, and --state needs --rows.", fix="enrich show RUN PHASE --rows")
    if bool(figure) != bool(out) or (figure and (rows or as_json)):
        raise UserError(
            "--figure and --out go together, and alone.", fix="enrich show RUN --figure NAME --out FILE.png"
        )
    if findings and phase_name:
        raise UserError("--findings looks at the whole run.", fix=f"enrich show {run_name} --findings")
    out = str(Path.cwd() / out) if out else ""
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        if findings:
            all_found = findings_in(place, graph, run_id)
            write_json(findings_for_json(all_found)) if as_json else print_findings(run_id, all_found)
        elif figure:
            write_figure(place, graph, run_id, phase_name, figure, dpi=dpi, out=out)
        elif rows:
            phase = graph.phase(phase_name)
            listed, is_published = rows_of(place, graph, run_id, phase, state=state)
            if as_json:
                write_json(rows_for_json(listed))
            else:
                print_rows(listed, run_id, phase, is_published=is_published)
        elif phase_name:
            _show_phase(place, graph, run_id, graph.phase(phase_name), as_json=as_json)
        else:
            found = run_facts(place, graph, run_id)
            if as_json:
                write_json(found)
            else:
                _print_run(found)
                print_in_short(run_id, *short_findings(place, graph, run_id))


def _show_phase(place: Place, graph: Graph, run_id: str, phase: Phase, *, as_json: bool) -> None:
    from enrich_assets.core.errors import ArtifactMissing

    failed = failed_rows(place, graph, run_id, phase)
    try:
        found = phase_facts(place, graph, run_id, phase)
    except ArtifactMissing:
        # Of an attempt that published nothing the failed rows are all that there is to see.
        if as_json and failed:
            write_json({"attempt": last_attempt(place.ledger.phases(run_id), phase.name), "failed_rows": failed})
        elif failed:
            print_failed_rows(failed, run_id, phase.name)
        raise
    if as_json:
        write_json({**found, "failed_rows": failed})
        return
    print_phase(found)
    print_failed_rows(failed, run_id, phase.name)


def run_facts(place: Place, graph: Graph, run_id: str) -> dict[str, Any]:
    """run_id, graph, title, preset, series, state, created_at, like, cost, report files, and the facts of each phase.

    `attempt` of a phase is how its last attempt ended, where the ledger says that it failed, was paused or stopped.
    `cost` (USD) is what all attempts have cost, with `unsettled` requests of unknown outcome at their upper bound.
    """
    from enrich_assets.cli.progress import cost_of
    from enrich_assets.core.envelope import Envelope
    from enrich_assets.defs.standing import envelopes_of, where_it_stands
    from enrich_assets.engine.run_progress import read_progress
    from enrich_assets.engine.series import series_of
    from enrich_assets.engine.spending import Spent, scopes_of

    envelopes = envelopes_of(graph, run_id, place.store, every_file=False)
    registered = place.ledger.registration(run_id) or {}
    known = place.ledger.run(run_id) or {}
    recorded = place.ledger.phases(run_id)
    progress = read_progress(place.ledger, run_id, graph.names)
    working = {phase.name for phase in progress.phases if phase.status == "running"}
    standings = where_it_stands(graph, run_id, place.store, place.ledger, every_file=False)
    totals = place.ledger.totals([scopes_of(run_id, name)[1] for name in graph.names])
    spent: dict[str, Spent] = dict(zip(graph.names, totals, strict=True))
    phases: list[dict[str, Any]] = []
    reports: list[str] = []
    for standing in standings:
        entry: dict[str, Any] = {
            "number": graph.number(standing.phase),
            "phase": standing.phase.name,
            "state": standing.state,
            "why": standing.why,
            "is_working": standing.phase.name in working,
            "attempt": last_attempt(recorded, standing.phase.name),
        }
        envelope = envelopes[standing.phase.name]
        usage = envelope.usage if isinstance(envelope, Envelope) else None
        sums = spent[standing.phase.name]
        entry["cost"] = cost_of(0.0 if usage is None else usage.paid, sums)
        entry["unsettled"] = sums.unsettled or (0 if usage is None else usage.unsettled)
        if isinstance(envelope, Envelope):
            entry |= {
                "duration_seconds": round(envelope.duration_seconds, 3),
                "counts": envelope.counts.shown(),
                "usage": envelope.asked.model_dump(),
                "checks_failed": [check.name for check in envelope.checks if not check.passed],
            }
            reports = [name for name in envelope.files if name.startswith("reports/")] or reports
        phases.append(entry)
    folder = str(place.store.run_folder(graph.name, run_id).path)
    return {
        "run_id": run_id,
        "graph": graph.name,
        "title": str(known.get("title") or registered.get("title", "")),
        "preset": str(known.get("preset") or registered.get("preset", "")),
        "series": str(known.get("series") or series_of(registered)),
        "state": _state(progress, standings),
        "created_at": known.get("created_at"),
        "like": str(registered.get("like", "")),
        "overrides": registered.get("overrides", {}),
        "folder": folder,
        "reports": [f"{folder}/{name}" for name in sorted(reports, key=page_first)],
        "cost": total_cost([entry["cost"] for entry in phases]),
        "unsettled": sum(entry["unsettled"] for entry in phases if not entry["is_working"]),
        "phases": phases,
    }


def page_first(name: str) -> tuple[bool, bool, str]:
    """Orders the files of a run's reports: the report's page, other pages, the rest."""
    return (name != "reports/report.html", not name.endswith(".html"), name)


def _state(progress: RunProgress, standings: list[Standing]) -> str:
    """What goes on, or went wrong, says the ledger; what is there say the envelopes."""
    if progress.state in ("running", "silent", "failed", "paused", "stopped"):
        return progress.state
    states = {standing.state for standing in standings}
    if "blocked" in states:
        return "blocked"
    if states <= {"done", "waiting"}:
        return "complete"
    return "prepared" if states == {"missing"} else "unfinished"


def _print_run(found: Mapping[str, Any]) -> None:
    from rich.text import Text

    from enrich_assets.cli.progress import sure_of_cost

    out = console()
    named = f" · {clean(found['title'])}" if found["title"] else ""
    like = f" · like {found['like']}" if found["like"] else ""
    preset = f"preset {clean(found['preset'])}" if found["preset"] else OWN_SETTINGS
    preset += f" · series {clean(found['series'])}" if found["series"] not in ("", found["preset"]) else ""
    out.print(Text(f"{found['run_id']}{named} · {found['state']} · {preset}{like}", style="bold"))
    table = plain_table(
        "",
        "#",
        "phase",
        "in → out",
        "left out",
        "requests",
        "cost",
        "time",
        right=("#", "in → out", "requests", "cost", "time"),
    )
    for heading in (2, 3, 7):
        table.columns[heading].no_wrap = True
    for entry in found["phases"]:
        mark = _mark(entry)
        row: list[Any] = [Text(mark, style=_STYLES[mark]), str(entry["number"]), entry["phase"]]
        if "counts" in entry:
            counts, usage = entry["counts"], entry["usage"]
            row += [
                f"{number(counts['rows_in'])} → {number(counts['rows_out'])}",
                Text(_left_out(counts)),
                _requests(usage),
                money(entry["cost"]),
                duration(entry["duration_seconds"]),
            ]
        else:
            row += [_why_without_numbers(entry), "", "", money(entry["cost"]) if entry["cost"] != 0 else "", ""]
        table.add_row(*row)
    out.print(table)
    for entry in found["phases"]:
        if entry["attempt"]:
            for line in failure_lines(found["run_id"], entry["phase"], entry["attempt"]):
                out.print(line, soft_wrap=True)
        elif entry["state"] not in ("done", "missing") and not entry["is_working"]:
            out.print(f"{entry['phase']} is {entry['state']}: {clean(entry['why'])}")
    out.print(f"cost {money(found['cost'])} · files in {found['folder']}", soft_wrap=True)
    for note in sure_of_cost(found["unsettled"]):
        out.print(note)
    for path in found["reports"]:
        out.print(f"  {path}", soft_wrap=True)


def _mark(entry: Mapping[str, Any]) -> str:
    if entry["is_working"]:
        return "▸"
    if entry["attempt"]:
        return "‖" if entry["attempt"]["status"] == "paused" else "✗"
    return _MARKS[entry["state"]]


def _why_without_numbers(entry: Mapping[str, Any]) -> str:
    if entry["is_working"]:
        return "working"
    return str(entry["attempt"]["status"] if entry["attempt"] else entry["state"])


def _left_out(counts: Mapping[str, Any]) -> str:
    parts = [reasons(counts["dropped_by_reason"])]
    if counts["failed_by_kind"]:
        parts.append(f"failed: {reasons(counts['failed_by_kind'])}")
    if counts["waiting"]:
        parts.append(f"{counts['waiting']} wait")
    return "; ".join(part for part in parts if part)


def _requests(usage: Mapping[str, Any]) -> str:
    made = usage["model_calls"] + usage["page_requests"] + usage["search_requests"]
    reused = usage["answers_reused"]
    return f"{made:,}" + (f" +{reused:,} reused" if reused else "") if made or reused else ""
