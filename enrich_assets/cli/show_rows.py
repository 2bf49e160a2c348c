"""`enrich show RUN PHASE --rows`: where each row of a phase stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from enrich_assets.cli.output import clean, console, counted, plain_table
from enrich_assets.cli.place import Place

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.phase import Phase
    from enrich_assets.engine.row_states import Published, RowState

_FIRST_ROWS = 50
_FIRST_FAILED = 10


def rows_of(place: Place, graph: Graph, run_id: str, phase: Phase, *, state: str = "") -> tuple[list[RowState], bool]:
    """The rows of a phase in the order of its input, only those of one `state` where it is named; and whether they
    stand as published, because nobody works on the phase. Of a phase that makes rows of its own, those which it dropped
    or which failed follow.

    Raises UserError for a phase without rows and for an unknown state, ArtifactMissing when the phase before it has
    published nothing.
    """
    from enrich_assets.core.errors import UserError
    from enrich_assets.engine.row_states import STATES, row_states

    if state and state not in STATES:
        raise UserError(f"{state!r} is no state of a row.", where="--state", fix=f"Name one: {', '.join(STATES)}.")
    main = graph.main_input(phase)
    if main is None:
        raise UserError(f"{phase.name} is the first phase: no rows come in.", fix="Name a later phase.")
    ledger = place.ledger
    row = next((row for row in ledger.phases(run_id) if row["phase"] == phase.name), None)
    status = "" if row is None else str(row["status"])
    published = _published(place, graph, run_id, phase)
    rows = _input_rows(place, graph, run_id, main)
    if phase.creates and published is not None and status != "running":
        rows += _created_rows(place, graph, run_id, phase, {row_id for row_id, _ in rows})
    found = row_states(
        rows,
        status=status,
        requests=ledger.row_requests(run_id, phase.name),
        # In a phase that asks more than once a row, one answer does not make it complete.
        answered=ledger.row_answers(run_id, phase.name) if phase.shape == "ask" else None,
        published=published,
        failed={row["row_id"]: failure_of(row) for row in ledger.failures(run_id).get(phase.name, [])},
    )
    return [row for row in found if state in ("", row.state)], published is not None and status != "running"


def failed_rows(place: Place, graph: Graph, run_id: str, phase: Phase) -> list[dict[str, str]]:
    """The rows that failed in the last attempt at a phase, whether it published anything or not: row_id, title, url,
    failure_kind, failure_message."""
    from enrich_assets.core.errors import ArtifactError

    failed = place.ledger.failures(run_id).get(phase.name)
    if failed is not None:
        return failed
    try:
        return list(place.store.side(graph.name, run_id, phase.name, "failed").to_pylist())
    except ArtifactError:
        return []


def failure_of(row: Mapping[str, str]) -> str:
    """What happened to a failed row."""
    return f"{row['failure_kind']}: {row['failure_message']}"


def print_failed_rows(failed: Sequence[Mapping[str, str]], run_id: str, phase: str) -> None:
    """The first failed rows with what happened, and how to see and ask all of them."""
    if not failed:
        return
    out = console()
    out.print("\nfailed rows", style="bold")
    for row in failed[:_FIRST_FAILED]:
        named = _line(row["title"] or row["url"] or row["row_id"])
        out.print(f"  {named}: {_line(failure_of(row))}", markup=False, soft_wrap=True)
    more = len(failed) - _FIRST_FAILED
    out.print(
        (f"  and {more:,} more: " if more > 0 else "  in full: ")
        + f"enrich show {run_id} {phase} --rows --state failed\n"
        f"  ask them again, and no others: enrich resume {run_id} --retry-failed",
        markup=False,
        soft_wrap=True,
    )


def rows_for_json(rows: list[RowState]) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) for row in rows]


def print_rows(rows: list[RowState], run_id: str, phase: Phase, *, is_published: bool) -> None:
    """How many rows are in which state, and the first of them."""
    out = console()
    states = Counter(row.state for row in rows)
    told = ", ".join(f"{state} {count:,}" for state, count in states.most_common())
    out.print(f"{run_id} · {phase.name} · {counted(len(rows), 'row')}" + (f": {told}" if told else ""), style="bold")
    if not rows:
        return
    table = plain_table("row", "state", "tried", "title", "why", right=("tried",))
    for column in table.columns:
        column.no_wrap = True
    table.columns[3].overflow = table.columns[4].overflow = "ellipsis"
    table.columns[3].ratio, table.columns[4].ratio = 2, 3
    table.expand = True
    for row in rows[:_FIRST_ROWS]:
        why = row.last_error or row.drop_reason
        table.add_row(clean(row.row_id), row.state, str(row.attempts or ""), _line(row.title), _line(why))
    out.print(table)
    if not is_published:
        out.print("not published yet: completed means that the answer is kept", style="dim")
    if len(rows) > _FIRST_ROWS:
        out.print(f"the first {_FIRST_ROWS}; all of them: enrich show {run_id} {phase.name} --rows --json")


def _input_rows(place: Place, graph: Graph, run_id: str, main: Phase) -> list[tuple[str, str]]:
    from enrich_assets.core.errors import ArtifactMissing

    try:
        loaded = place.store.load(graph.name, run_id, main.name)
    except ArtifactMissing as error:
        # That one alone might lack its own input.
        error.fix = f"Its rows come from there: enrich resume {run_id} makes it."
        raise
    if loaded.table is None:
        rows = (loaded.document or {}).get("rows", [])
    else:
        named = [name for name in ("row_id", "title", "name") if name in loaded.table.column_names]
        rows = loaded.table.select(named).to_pylist()
    return [(str(row["row_id"]), str(row.get("title") or row.get("name") or "")) for row in rows]


def _created_rows(place: Place, graph: Graph, run_id: str, phase: Phase, inputs: set[str]) -> list[tuple[str, str]]:
    """The rows among the dropped and failed ones that came in with no input: the phase made them."""
    found = {}
    for name in ("dropped", "failed"):
        for row in place.store.side(graph.name, run_id, phase.name, name).to_pylist():
            found[str(row["row_id"])] = str(row.get("title") or row.get("name") or row.get("url") or "")
    return [(row_id, title) for row_id, title in found.items() if row_id not in inputs]


def _published(place: Place, graph: Graph, run_id: str, phase: Phase) -> Published | None:
    from enrich_assets.core.errors import ArtifactMissing
    from enrich_assets.engine.row_states import Published

    try:
        dropped, failed = (place.store.side(graph.name, run_id, phase.name, name) for name in ("dropped", "failed"))
    except ArtifactMissing:
        return None
    return Published(
        {row["row_id"]: row["drop_reason"] for row in dropped.to_pylist()},
        {row["row_id"]: failure_of(row) for row in failed.to_pylist()},
    )


def _line(text: str) -> str:
    return " ".join(clean(text[:500]).split())
