"""Everything that is said of a phase's result besides its rows: ETL numbers, profile, figures, put on the result.

Belongs here: what is made when. The rules themselves are in the modules beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase
from enrich_assets.stats.etl import processing
from enrich_assets.stats.memory import peak_memory_bytes
from enrich_assets.stats.outcome import Outcome
from enrich_assets.stats.profile import document_profile, profile_json, table_profile

ETL_NOTE = "etl"
"""Key of the few ETL numbers among an envelope's notes."""


def described(
    graph: Graph, phase: Phase, result: PhaseResult, given: pa.Table | None, *, peak_before: int | None
) -> PhaseResult:
    """`result` with its ETL numbers and tables and its profile.

    `given` is the table of its main input, `peak_before` the process's peak memory before it ran, bytes. The envelope's
    notes get `etl`: outliers and validation_errors (rows), duplicates and missing (of the output: rows, values),
    peak_memory_bytes.
    """
    done = processing(phase, result, given, peak_before=peak_before, peak_after=peak_memory_bytes())
    numbers = done.numbers
    columns = numbers["missing"]["columns"].values()
    note = {
        "outliers": numbers["outliers"]["rows"],
        "validation_errors": numbers["validation_errors"]["rows"],
        "duplicates": sum(numbers["duplicates"]["dropped"].values()),
        "missing": sum(column["after"] or 0 for column in columns),
        "peak_memory_bytes": numbers["memory"]["peak_bytes"],
    }
    if result.table is None:
        profile = document_profile(result.document or {})
    else:
        said = {name: column.description for name, column in graph.columns(phase).items()}
        profile = table_profile(result.table, said)
    return result.described(
        processing=numbers,
        processing_tables=done.tables,
        notes={ETL_NOTE: note},
        profile=profile,
        profile_text=profile_json(profile),
    )


def with_figures(
    phase: Phase,
    result: PhaseResult,
    *,
    settings: Any,
    history: Mapping[str, Envelope],
    warn: Callable[[str], None],
) -> PhaseResult:
    """`result` with the files and sparks of the figures that its phase names. One that cannot be drawn is told to
    `warn` and stands in the log: a picture must not cost the phase that it shows."""
    outcome = Outcome(result.counts, result.sides, settings, history, result.document)
    files: dict[str, bytes] = {}
    sparks: dict[str, str] = {}
    log: list[dict[str, Any]] = []
    for figure in phase.figures:
        try:
            drawn, spark = figure.draw(result.table, outcome), figure.spark(result.table, outcome)
        except Exception as error:  # the boundary to figure types, which may be somebody's own
            told = f"The figure {figure.name} could not be drawn: {type(error).__name__}: {error}"
            warn(told)
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            log.append({"at": at, "event": "warning", "figure": figure.name, "message": told[:300]})
            continue
        files |= drawn
        sparks[figure.name] = spark
    return result.with_figures(files, sparks, tuple(log))
