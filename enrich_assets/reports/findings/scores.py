"""Findings about scores: values that pile up at one point, and dimensions that say the same of every article."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from enrich_assets.engine.phase import Phase
from enrich_assets.engine.shapes import EMBEDDED_MODEL
from enrich_assets.reports.findings.finding import Facts, Found, percent, rows_where

PILE_SHARE = 0.5
"""When half of all rows have one and the same score, the order among them is chance."""
FEWEST_ROWS = 8
"""Fewer rows than this share a score easily; eight is also what one request of tier2 judges together."""
_POINTS = "points"


def score_columns(phase: Phase) -> list[str]:
    """The scores that a phase gives: columns of points that end with `score`."""
    return [name for name in _points_columns(phase) if name.endswith("score")]


def dimension_columns(phase: Phase) -> list[str]:
    """The dimensions that a phase judges: its other columns of points."""
    return [name for name in _points_columns(phase) if not name.endswith("score")]


def gives_scores(phase: Phase) -> bool:
    """Whether the phase gives a score."""
    return bool(score_columns(phase))


def judges_dimensions(phase: Phase) -> bool:
    """Whether the phase judges single dimensions."""
    return bool(dimension_columns(phase))


def scores_pile_up(facts: Facts) -> Iterator[Found]:
    """No single value of a score is shared by half of the rows or more."""
    table = facts.table("")
    if table is None or table.num_rows < FEWEST_ROWS:
        return
    for name in score_columns(facts.phase):
        top = max(table.column(name).value_counts().to_pylist(), key=lambda entry: entry["counts"])
        share = top["counts"] / table.num_rows
        if share >= PILE_SHARE and top["values"] is not None:
            yield Found(
                f"{top['counts']:,} of {table.num_rows:,} rows, {percent(share)}, have the {name} {top['values']:g}.",
                f"Scores that are alike do not rank: {_remedy(facts, name)}.",
                rows_where(table, name, top["values"], value=f"{top['values']:g}"),
            )


def dimension_never_varies(facts: Facts) -> Iterator[Found]:
    """Every dimension tells some articles from others."""
    table = facts.table("")
    if table is None or table.num_rows < FEWEST_ROWS:
        return
    for name in dimension_columns(facts.phase):
        values = table.column(name).unique().to_pylist()
        if len(values) == 1 and values[0] is not None:
            yield Found(
                f"{name} is {values[0]:g} for all {table.num_rows:,} rows.",
                f"It adds nothing to the order: {_told_apart(facts, name)}weigh it 0.",
                rows_where(table, name, values[0], value=f"{values[0]:g}"),
                severity="notice",
            )


def _asks(facts: Facts) -> bool:
    """Whether a prompt gave the scores: the embedded model and phases of rules have none."""
    return facts.phase.prompt is not None and bool(set(facts.usage.models) - {EMBEDDED_MODEL})


def _remedy(facts: Facts, name: str) -> str:
    if _asks(facts):
        return "give the prompt a scale with examples, or ask another model"
    if facts.phase.prompt is not None:
        return "name keywords that tell the articles apart, or ask a model"
    return f"the keywords and limits in the settings of {facts.phase.name} tell these rows apart no further"


def _told_apart(facts: Facts, name: str) -> str:
    return f"say in the prompt what a low and a high {name} is, or " if _asks(facts) else ""


def _points_columns(phase: Phase) -> list[str]:
    return [
        name for name, column in phase.adds.items() if column.arrow == pa.float64() and _POINTS in column.description
    ]
