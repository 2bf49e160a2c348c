"""One phase in depth for `enrich show RUN PHASE`, and what is said of an attempt that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from enrich_assets.cli.output import clean, console, counted, duration, money, number, plain_table
from enrich_assets.cli.place import Place

if TYPE_CHECKING:
    from enrich_assets.core.envelope import Envelope
    from enrich_assets.core.errors import ArtifactMissing
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.phase import Phase

_STYLES = {"✓": "green", "!": "yellow", "✗": "red"}
_FIRST_ROWS = 5
_CELL = 60


def phase_facts(place: Place, graph: Graph, run_id: str, phase: Phase) -> dict[str, Any]:
    """The envelope, the columns with their descriptions, the first rows and the files of one phase, every hash checked.

    `attempt` is how the last attempt ended, where the ledger says that it failed, was paused or stopped; `cost` (USD)
    is what all attempts have cost, with `unsettled` requests of unknown outcome at their upper bound. Raises
    ArtifactMissing, which says how an attempt ended, and ArtifactDamaged.
    """
    from enrich_assets.cli.progress import cost_of
    from enrich_assets.core.errors import ArtifactMissing
    from enrich_assets.engine.columns import ROW_ID

    attempt = last_attempt(place.ledger.phases(run_id), phase.name)
    try:
        loaded = place.store.load(graph.name, run_id, phase.name, even_blocked=True)
    except ArtifactMissing as error:
        raise _not_made(run_id, phase, attempt) from error
    envelope: Envelope = loaded.envelope
    spent = place.ledger.spent(run_id, phase.name)
    declared = {"row_id": ROW_ID, **graph.columns(phase)}
    folder = str(place.store.run_folder(graph.name, run_id).path)
    suffix = "json" if phase.makes == "document" else "parquet"
    return {
        "description": phase.description,
        "path": f"{folder}/{phase.name}.{suffix}",
        "attempt": attempt,
        "cost": cost_of(envelope.usage.paid, spent),
        "unsettled": spent.unsettled or envelope.usage.unsettled,
        "counts": envelope.counts.shown(),
        "usage": envelope.asked.model_dump(),
        "envelope": envelope.model_dump(mode="json"),
        "columns": [
            {"name": name, "type": kind, "description": declared[name].description if name in declared else ""}
            for name, kind in envelope.columns.items()
        ],
        "first_rows": loaded.table.slice(0, _FIRST_ROWS).to_pylist() if loaded.table is not None else [],
        "keys": sorted(loaded.document) if loaded.document is not None else [],
        "files": [f"{folder}/{name}" for name in sorted(envelope.files)],
    }


def last_attempt(recorded: Sequence[Mapping[str, Any]], phase: str) -> dict[str, str] | None:
    """status and message of a phase that the ledger shows as failed, paused or stopped; None for any other."""
    row = next((row for row in recorded if row["phase"] == phase), None)
    if row is None or row["status"] not in ("failed", "paused", "stopped"):
        return None
    return {"status": str(row["status"]), "message": clean(row["message"] or "")}


def failure_lines(run_id: str, phase: str, attempt: Mapping[str, str]) -> list[str]:
    """What an attempt that failed or was stopped said, and the command to go on with, once."""
    way_on = f"enrich resume {run_id}"
    message = attempt["message"].removeprefix(f"{phase}: ").removeprefix(f"{attempt['status']} ")
    mark = "‖" if attempt["status"] == "paused" else "✗"
    told = f"{mark} {phase} {attempt['status']}" + (f": {message}" if message else "")
    return [told] if way_on in message else [told, f"  go on with: {way_on}"]


def _not_made(run_id: str, phase: Phase, attempt: Mapping[str, str] | None) -> ArtifactMissing:
    from enrich_assets.core.errors import ArtifactMissing

    if attempt is None:
        what, fix = f"{phase.name} is not made yet.", f"enrich resume {run_id} makes it."
    else:
        told, *way_on = failure_lines(run_id, phase.name, attempt)
        what, fix = told[2:], f"enrich resume {run_id}" if way_on else ""
    return ArtifactMissing(what, where=f"run {run_id}", fix=fix)


def print_phase(found: Mapping[str, Any]) -> None:
    """The facts of a phase for people."""
    from rich.text import Text

    from enrich_assets.engine.progress import unknown_outcomes

    out, envelope = console(), found["envelope"]
    counts, usage = found["counts"], found["usage"]
    out.print(Text(f"{envelope['run_id']} · {envelope['number']} {envelope['phase']} · {envelope['status']}", "bold"))
    if found["attempt"]:
        for line in failure_lines(envelope["run_id"], envelope["phase"], found["attempt"]):
            out.print(line, style="red", soft_wrap=True)
    paragraphs = [" ".join(part.split()) for part in found["description"].split("\n\n")]
    out.print(Text("\n\n".join(paragraphs), "dim"))
    out.print()
    facts = plain_table("", "")
    facts.show_header = False
    facts.columns[0].no_wrap = True
    facts.add_row("rows", f"{number(counts['rows_in'])} → {number(counts['rows_out'])}")
    facts.add_row("dropped", reasons(counts["dropped_by_reason"]) or "none")
    facts.add_row("failed", reasons(counts["failed_by_kind"]) or "none")
    facts.add_row(
        "requests",
        f"{usage['model_calls']} model, {usage['page_requests']} page, {usage['search_requests']} "
        f"search; {usage['answers_reused']} from the ledger",
    )
    tokens = f"{number(usage['tokens_in'])} tokens in, {number(usage['tokens_out'])} out"
    note = unknown_outcomes(found["unsettled"])
    facts.add_row("cost", f"{money(found['cost'])}, {tokens}" + (f"; {note}" if note else ""))
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
        out.print(f"\nkeys: {clean(', '.join(found['keys']))}")
    out.print("\nfiles", style="bold")
    out.print(f"  {found['path']}", soft_wrap=True)
    folders: dict[str, list[str]] = {}
    for path in found["files"]:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        out.print(f"  {folder}/", soft_wrap=True)
        out.print(f"    {', '.join(names)}")


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
    out.print(Text.assemble(("\ncolumns", "bold"), ("  described with --json", "dim")))
    named = [Text.assemble(column["name"], (f"\N{NO-BREAK SPACE}{_kind(column['type'])}", "dim")) for column in columns]
    out.print(Text(", ").join(named))


def _print_rows(out: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each row as a paragraph of `column value`: tables of twenty columns fit no terminal."""
    from rich.text import Text

    if not rows:
        return
    out.print(f"\nfirst {counted(len(rows), 'row')}", style="bold")
    for place, row in enumerate(rows, 1):
        cells, told = [], set[str]()
        for name, value in row.items():
            text = _short(value)
            # A long text that repeats, such as a canonical URL or a text that begins with its title, is told once.
            if value not in (None, "", []) and not _is_for_programs(name, value) and text not in told:
                cells.append(Text.assemble((f"{name}\N{NO-BREAK SPACE}", "dim"), text))
                told |= {text} if len(text) > _CELL // 3 else set()
        out.print(Text(f"{place}  ", "bold") + Text(" · ").join(cells))


def _is_for_programs(name: str, value: Any) -> bool:
    """Hashes and sketches."""
    is_sketch = isinstance(value, list) and len(value) > 12 and not isinstance(value[0], Mapping)
    return is_sketch or name.endswith(("_sha256", "_hash"))


def _short(value: Any) -> str:
    shown = " ".join(clean(_cell(value)).split())
    return shown if len(shown) <= _CELL else f"{shown[: _CELL - 1]}…"


def _kind(name: str) -> str:
    return name.partition("<")[0].partition("[")[0]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{len(value)}: " + ", ".join(str(item.get("name", item)) for item in value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def reasons(counts: Mapping[str, int]) -> str:
    """Reasons with their counts, the most frequent first."""
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{clean(reason)}\N{NO-BREAK SPACE}{count:,}" for reason, count in most_first)
