"""`enrich show`: a run's phases as its envelopes tell them, or one phase with its columns, counts and first rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import (
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

if TYPE_CHECKING:
    from enrich_assets.core.envelope import Envelope
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.phase import Phase

_MARKS = {"done": "✓", "missing": "·", "outdated": "!", "waiting": "!", "blocked": "✗", "damaged": "✗"}
_STYLES = {"✓": "green", "·": "dim", "!": "yellow", "✗": "red"}
_FIRST_ROWS = 5
_CELL = 200


def show(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", show_default=False, help="ID, title or 'latest' (the default).")
    ] = "latest",
    phase_name: Annotated[
        str, typer.Argument(metavar="PHASE", show_default=False, help="Name or number of a phase.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show a run phase by phase, or one PHASE in depth.

    In → out, why rows were left out, calls, cost and time; of one phase columns, checks, first rows and files too.
    """
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        if phase_name:
            found = phase_facts(place, graph, run_id, graph.phase(phase_name))
            write_json(found) if as_json else _print_phase(found)
        else:
            found = run_facts(place, graph, run_id)
            write_json(found) if as_json else _print_run(found)


def run_facts(place: Place, graph: Graph, run_id: str) -> dict[str, Any]:
    """run_id, graph, title, preset, created_at, like, cost, report files, and the facts of each phase."""
    from enrich_assets.core.envelope import Envelope
    from enrich_assets.defs.standing import envelopes_of, where_it_stands

    envelopes = envelopes_of(graph, run_id, place.store, every_file=False)
    registered = place.ledger.registration(run_id) or {}
    known = next((run for run in place.ledger.runs() if run["run_id"] == run_id), {})
    phases: list[dict[str, Any]] = []
    reports: list[str] = []
    for standing in where_it_stands(graph, run_id, place.store, every_file=False):
        entry: dict[str, Any] = {
            "number": graph.number(standing.phase),
            "phase": standing.phase.name,
            "state": standing.state,
            "why": standing.why,
        }
        envelope = envelopes[standing.phase.name]
        if isinstance(envelope, Envelope):
            entry |= {
                "duration_seconds": round(envelope.duration_seconds, 3),
                "counts": envelope.counts.model_dump(),
                "usage": envelope.usage.model_dump(),
                "checks_failed": [check.name for check in envelope.checks if not check.passed],
            }
            reports = [name for name in envelope.files if name.startswith("reports/")] or reports
        phases.append(entry)
    folder = f"{place.store.root}/{graph.name}/{run_id}"
    return {
        "run_id": run_id,
        "graph": graph.name,
        "title": str(known.get("title") or registered.get("title", "")),
        "preset": str(known.get("preset") or registered.get("preset", "")),
        "created_at": known.get("created_at"),
        "like": str(registered.get("like", "")),
        "overrides": registered.get("overrides", {}),
        "folder": folder,
        "reports": [f"{folder}/{name}" for name in reports],
        "cost": total_cost([entry["usage"]["cost"] for entry in phases if "usage" in entry]),
        "phases": phases,
    }


def phase_facts(place: Place, graph: Graph, run_id: str, phase: Phase) -> dict[str, Any]:
    """The envelope, the columns with their descriptions, the first rows and the files of one phase, every hash checked.

    Raises ArtifactMissing and ArtifactDamaged.
    """
    from enrich_assets.core.errors import ArtifactMissing
    from enrich_assets.engine.columns import ROW_ID

    try:
        loaded = place.store.load(graph.name, run_id, phase.name, even_blocked=True)
    except ArtifactMissing as error:
        raise ArtifactMissing(
            f"{phase.name} is not made yet.", where=f"run {run_id}", fix=f"enrich resume {run_id} makes it."
        ) from error
    envelope: Envelope = loaded.envelope
    declared = {"row_id": ROW_ID, **graph.columns(phase)}
    folder = f"{place.store.root}/{graph.name}/{run_id}"
    suffix = "json" if phase.makes == "document" else "parquet"
    return {
        "description": phase.description,
        "path": f"{folder}/{phase.name}.{suffix}",
        "envelope": envelope.model_dump(mode="json"),
        "columns": [
            {"name": name, "type": kind, "description": declared[name].description if name in declared else ""}
            for name, kind in envelope.columns.items()
        ],
        "first_rows": loaded.table.slice(0, _FIRST_ROWS).to_pylist() if loaded.table is not None else [],
        "keys": sorted(loaded.document) if loaded.document is not None else [],
        "files": [f"{folder}/{name}" for name in sorted(envelope.files)],
    }


def _print_run(found: Mapping[str, Any]) -> None:
    from rich.text import Text

    out = console()
    named = f" · {clean(found['title'])}" if found["title"] else ""
    like = f" · like {found['like']}" if found["like"] else ""
    out.print(Text(f"{found['run_id']}{named} · preset {clean(found['preset']) or '–'}{like}", style="bold"))
    table = plain_table(
        "",
        "#",
        "phase",
        "in → out",
        "left out",
        "calls",
        "cost",
        "time",
        right=("#", "in → out", "calls", "cost", "time"),
    )
    for heading in (2, 3, 7):
        table.columns[heading].no_wrap = True
    for entry in found["phases"]:
        mark = _MARKS[entry["state"]]
        row: list[Any] = [Text(mark, style=_STYLES[mark]), str(entry["number"]), entry["phase"]]
        if "counts" in entry:
            counts, usage = entry["counts"], entry["usage"]
            row += [
                f"{number(counts['rows_in'])} → {number(counts['rows_out'])}",
                Text(_left_out(counts)),
                _calls(usage),
                money(usage["cost"]),
                duration(entry["duration_seconds"]),
            ]
        else:
            row += [entry["state"], "", "", "", ""]
        table.add_row(*row)
    out.print(table)
    for entry in found["phases"]:
        if entry["state"] not in ("done", "missing"):
            out.print(f"{entry['phase']} is {entry['state']}: {clean(entry['why'])}", markup=False)
    out.print(f"cost {money(found['cost'])} · files in {found['folder']}", markup=False, soft_wrap=True)
    for path in found["reports"]:
        out.print(f"  {path}", markup=False, soft_wrap=True)


def _print_phase(found: Mapping[str, Any]) -> None:
    from rich.text import Text

    out, envelope = console(), found["envelope"]
    counts, usage = envelope["counts"], envelope["usage"]
    out.print(Text(f"{envelope['run_id']} · {envelope['number']} {envelope['phase']} · {envelope['status']}", "bold"))
    paragraphs = [" ".join(part.split()) for part in found["description"].split("\n\n")]
    out.print(Text("\n\n".join(paragraphs), "dim"))
    out.print()
    facts = plain_table("", "")
    facts.show_header = False
    facts.columns[0].no_wrap = True
    facts.add_row("rows", f"{number(counts['rows_in'])} → {number(counts['rows_out'])}")
    facts.add_row("dropped", _reasons(counts["dropped_by_reason"]) or "none")
    facts.add_row("failed", _reasons(counts["failed_by_kind"]) or "none")
    facts.add_row(
        "calls",
        f"{usage['model_calls']} model, {usage['page_requests']} page, {usage['search_requests']} "
        f"search; {usage['answers_reused']} from the ledger",
    )
    facts.add_row(
        "cost", f"{money(usage['cost'])}, {number(usage['tokens_in'])} tokens in, {number(usage['tokens_out'])} out"
    )
    facts.add_row("models", clean(", ".join(usage["models"]) or "none"))
    facts.add_row("time", f"{duration(envelope['duration_seconds'])}, from {envelope['started_at']}")
    made_from = [f"{ref['phase']}\N{NO-BREAK SPACE}{ref['data_sha256'][:12]}" for ref in envelope["inputs"]]
    facts.add_row("made from", ", ".join(made_from) or "–")
    facts.add_row("data", envelope["data_sha256"][:12])
    out.print(facts)
    _print_checks(out, envelope["checks"])
    _print_columns(out, found["columns"])
    _print_rows(out, found["first_rows"])
    if found["keys"]:
        out.print(f"\nkeys: {clean(', '.join(found['keys']))}", markup=False)
    out.print("\nfiles", style="bold")
    for path in [found["path"], *found["files"]]:
        out.print(f"  {path}", markup=False, soft_wrap=True)


def _print_checks(out: Any, checks: Sequence[Mapping[str, Any]]) -> None:
    from rich.text import Text

    if checks:
        out.print("\nchecks", style="bold")
    for check in checks:
        mark = "✓" if check["passed"] else "✗" if check["blocking"] else "!"
        blocking = " (blocking)" if check["blocking"] else ""
        said = f": {clean(check['message'])}" if check["message"] else ""
        out.print(Text.assemble("  ", (mark, _STYLES[mark]), f" {check['name']}{blocking}{said}"))


def _print_columns(out: Any, columns: Sequence[Mapping[str, str]]) -> None:
    from rich.text import Text

    if not columns:
        return
    out.print("\ncolumns", style="bold")
    table = plain_table("", "", "")
    table.show_header = False
    table.columns[0].no_wrap = True
    for column in columns:
        kind = column["type"] if len(column["type"]) <= 24 else column["type"].partition("<")[0]
        table.add_row(f"  {column['name']}", Text(kind, style="dim"), Text(column["description"]))
    out.print(table)


def _print_rows(out: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each row as a block of `column  value`: tables of twenty columns fit no terminal."""
    from rich.text import Text

    if not rows:
        return
    out.print(f"\nfirst {len(rows)} rows", style="bold")
    for row in rows:
        block = plain_table("", "")
        block.show_header = False
        block.columns[0].no_wrap = True
        for name, value in row.items():
            shown = clean(_cell(value))
            block.add_row(Text(f"  {name}", "dim"), Text(shown if len(shown) <= _CELL else f"{shown[: _CELL - 1]}…"))
        out.print(block)
        out.print()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{len(value)}: " + ", ".join(str(item.get("name", item)) for item in value)
    if isinstance(value, list) and len(value) > 12:
        return f"{len(value)} values"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _left_out(counts: Mapping[str, Any]) -> str:
    parts = [_reasons(counts["dropped_by_reason"])]
    if counts["failed_by_kind"]:
        parts.append(f"failed: {_reasons(counts['failed_by_kind'])}")
    if counts["waiting"]:
        parts.append(f"{counts['waiting']} wait")
    return "; ".join(part for part in parts if part)


def _reasons(counts: Mapping[str, int]) -> str:
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{clean(reason)}\N{NO-BREAK SPACE}{count:,}" for reason, count in most_first)


def _calls(usage: Mapping[str, Any]) -> str:
    made = usage["model_calls"] + usage["page_requests"] + usage["search_requests"]
    reused = usage["answers_reused"]
    return f"{made:,}" + (f" +{reused:,} reused" if reused else "") if made or reused else ""
