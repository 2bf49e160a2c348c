"""What became of every row in one phase of a run: kept with which values, dropped, failed; and when two differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from enrich_assets.core.errors import ArtifactError, DeclarationError
from enrich_assets.engine.phase import Phase
from enrich_assets.reading import Run

_EXPLAINS = frozenset({"rank_reason"})
"""Columns that explain others in words; they differ when a number beside them does, or for no reason of the row's."""
_PAGE, _SOURCE = "page_sha256", "source_id"
_LEFT_OUT: tuple[Literal["dropped", "failed"], ...] = ("dropped", "failed")


@dataclass(frozen=True)
class Outcome:
    """What became of a row. `values`: of a kept row the columns that the phase adds, of the others why."""

    state: Literal["kept", "dropped", "failed"]
    values: Mapping[str, Any]
    page: str = ""
    """SHA-256 of the document that it was made of, where the phase makes rows of documents."""
    source: str = ""

    @property
    def reason(self) -> str:
        """Why the row was dropped, or the kind of its failure; '' for a kept one."""
        return "" if self.state == "kept" else str(self.values.get("drop_reason") or self.values.get("failure_kind"))


def outcomes_of(run: Run, phase: Phase) -> dict[str, Outcome]:
    """What became of each row of a phase, by row_id; raises ArtifactMissing, ArtifactDamaged."""
    table = run.arrow(phase.name)
    rows: dict[str, Outcome] = {}
    for state in _LEFT_OUT:
        for row in run.store.side(run.graph.name, run.run_id, phase.name, state).to_pylist():
            values = {k: v for k, v in row.items() if k not in ("row_id", "title", "url")}
            rows[str(row["row_id"])] = Outcome(state, values)
    compared = compared_columns(phase)
    named = [n for n in dict.fromkeys((*compared, "row_id", _PAGE, _SOURCE)) if n in table.column_names]
    for row in table.select(named).to_pylist():
        values = {name: row.get(name) for name in compared}
        made = phase.creates
        rows[str(row["row_id"])] = Outcome(
            "kept", values, str(row.get(_PAGE) or "") if made else "", str(row.get(_SOURCE) or "") if made else ""
        )
    return rows


def compared_columns(phase: Phase) -> list[str]:
    """The phase's own columns that count for a comparison.

    Volatile ones do not, nor the text where a hash of it stands beside it, nor sketches, which follow from the text.
    """
    return [
        name
        for name, column in phase.adds.items()
        if not column.volatile
        and name not in _EXPLAINS
        and not (name == "text" and "content_hash" in phase.adds)
        and not (pa.types.is_list(column.arrow) and pa.types.is_integer(column.arrow.value_type))
    ]


def differ(old: Outcome | None, new: Outcome | None) -> bool:
    """Whether a row ended otherwise, or with other values."""
    if old is None or new is None:
        return old is not new
    return (old.state, old.values) != (new.state, new.values)


def changed_columns(old: Outcome, new: Outcome) -> list[str]:
    """The columns of a row that both runs kept whose values differ."""
    return [name for name, value in new.values.items() if old.values.get(name) != value]


def has_same_answer(phase: Phase, old: Outcome, new: Outcome) -> bool:
    """Whether a model gave the same answer for a row, as far as what is published shows it.

    Columns with the name of a field of the answer show it directly; a dropped row shows the value and the words that
    decided, which a kept row has among its columns.
    """
    fields = set(phase.answer.model_fields) if phase.answer is not None else set()
    if old.state == new.state == "kept":
        changed = set(changed_columns(old, new))
        return not changed & fields and fields <= set(old.values)
    if "failed" in (old.state, new.state):
        return False
    if old.state == new.state:
        return _said(old) == _said(new)
    kept, dropped = (old, new) if old.state == "kept" else (new, old)
    shown = {str(value) for value in kept.values.values()}
    return any(_said(dropped)) and all(text in shown for text in _said(dropped) if text)


def _said(dropped: Outcome) -> tuple[str, str]:
    """The value that decided a drop, and the words beside it."""
    return str(dropped.values.get("drop_value") or ""), str(dropped.values.get("drop_detail") or "")


def told(old: Outcome | None, new: Outcome | None) -> str:
    """What happened to a row in a phase, in words: from the old run to the new one."""
    if old is not None and new is not None and old.state == new.state == "kept":
        return f"other {', '.join(changed_columns(old, new)) or 'values'}"
    return f"{_word(old)} → {_word(new)}"


def _word(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not there"
    if outcome.state == "kept":
        return "kept"
    value = outcome.values.get("drop_value")
    return f"{outcome.state}: {outcome.reason.replace('_', ' ')}" + (f" ({value})" if value else "")


def last_common(old: Run, new: Run) -> tuple[Phase, ...]:
    """The phases with tables that both runs can show, in their order, up to the first that one of them lacks."""
    found: list[Phase] = []
    for phase in old.graph.phases:
        if phase.makes != "table":
            continue
        try:
            old.envelope(phase.name), new.envelope(phase.name)
        except (ArtifactError, DeclarationError):
            break
        found.append(phase)
    return tuple(found)
