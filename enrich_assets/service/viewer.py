"""What all pages share: the open storage and ledger, runs by name, verified tables that stay in memory, the templates.

What one kind of page shows belongs to `pages`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from fastapi import Request
from fastapi.responses import HTMLResponse

from enrich_assets.core import units
from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError, ArtifactMissing, UserError
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.progress import Pace
from enrich_assets.graphs.finding import find_run
from enrich_assets.reading import Run
from enrich_assets.reports.compare.content import Comparison
from enrich_assets.reports.findings.finding import Finding
from enrich_assets.reports.templating import environment
from enrich_assets.reports.text import clean
from enrich_assets.service import cells
from enrich_assets.service.cache import Cache
from enrich_assets.service.tables import Query, rows_chosen
from enrich_assets.store.artifacts import read_side_table
from enrich_assets.store.store import Store

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
_LARGEST_TABLES = 512 * 1024 * 1024
"""Bytes of tables that stay in memory."""
_LARGEST_CHOICES = 64 * 1024 * 1024
"""Bytes of positions of rows."""
_RUNS_KEPT = 100
_COMPARISONS_KEPT = 20


@dataclass(frozen=True)
class Viewer:
    """One storage with its ledger, as pages read them; may be used from several threads."""

    store: Store
    ledger: Ledger
    tables: Cache[pa.Table] = field(default_factory=lambda: Cache(_LARGEST_TABLES, lambda table: int(table.nbytes)))
    choices: Cache[pa.Array] = field(default_factory=lambda: Cache(_LARGEST_CHOICES, lambda rows: int(rows.nbytes)))
    paces: Cache[Pace] = field(default_factory=lambda: Cache(_RUNS_KEPT, lambda _: 1))
    findings: Cache[list[Finding]] = field(default_factory=lambda: Cache(_RUNS_KEPT, lambda _: 1))
    comparisons: Cache[Comparison] = field(default_factory=lambda: Cache(_COMPARISONS_KEPT, lambda _: 1))

    def run(self, reference: str) -> Run:
        """The run that an ID, a title or `latest` means; raises UnknownRun."""
        return Run(self.store, *find_run(self.store, self.ledger, reference))

    def table(self, run: Run, phase: str, side: str = "") -> tuple[str, pa.Table]:
        """The rows of a phase, or of a side table of it, with the key under which they are kept: their own hash.

        Raises UnknownPhase, UserError for a phase that publishes a document, ArtifactMissing and ArtifactDamaged.
        """
        envelope = run.envelope(phase)
        if not side:
            if not envelope.columns:
                raise UserError(f"{phase} publishes a document, not a table.", fix="The page of the phase shows it.")
            key = f"{run.run_id}/{phase}/{envelope.envelope_sha256}"
            return key, self.tables.get(key, lambda: run.arrow(phase).combine_chunks())
        name = side_tables(envelope).get(side)
        if name is None:
            known = ", ".join(side_tables(envelope)) or "none"
            raise ArtifactMissing(f"{phase} has no side table {side!r:.80}.", fix=f"Its side tables: {known}.")
        key = f"{run.run_id}/{name}/{envelope.files[name]}"
        return key, self.tables.get(key, lambda: read_side_table(run.file(name), name))

    def chosen(self, key: str, table: pa.Table, query: Query) -> pa.Array:
        """Positions of the rows that a query leaves, kept for the next page of them."""
        return self.choices.get((key, query), lambda: rows_chosen(table, query))

    def page(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        """A page made of a template."""
        return HTMLResponse(self.templates.get_template(template).render(values), status)

    @cached_property
    def templates(self) -> jinja2.Environment:
        """The engine of `reports` over the viewer's templates; what it writes is freed of what hides in texts."""
        engine = environment(TEMPLATES).overlay(finalize=lambda value: clean(value) if type(value) is str else value)
        engine.filters |= {
            "money": units.money,
            "duration": lambda seconds: "–" if seconds is None else units.duration(seconds),
            "cell": cells.cell,
            "whole": cells.whole,
        }
        return engine


def viewer_of(request: Request) -> Viewer:
    """The viewer that answers a request."""
    found: Viewer = request.app.state.viewer
    return found


def envelopes_of(run: Run) -> Iterator[tuple[str, Envelope | None, str]]:
    """Of each phase of the graph: its name, its envelope, and what is wrong with it where it has none.

    Both are empty for a phase that published nothing. What else stands in the run's folder is not looked at.
    """
    for phase in run.graph.names:
        try:
            yield phase, run.envelope(phase), ""
        except ArtifactMissing:
            yield phase, None, ""
        except ArtifactError as error:
            yield phase, None, str(error)


def side_tables(envelope: Envelope) -> dict[str, str]:
    """The tables that a phase published beside its artifact, by their short names: the dropped and failed rows, what
    else says how the data was made, what the data look like."""
    files = [name for name in envelope.files if name.endswith(".parquet") and name.count("/") == 2]
    named = {name.rsplit("/", 1)[1].removesuffix(".parquet"): name for name in files if name.startswith("eda/")}
    named |= {name.rsplit("/", 1)[1].removesuffix(".parquet"): name for name in files if name.startswith("etl/")}
    first = ("dropped", "failed")
    order = sorted(named, key=lambda name: (name not in first, named[name].startswith("eda/"), name))
    return {name: named[name] for name in order}
