"""What a report is made from: a run as it was published, and the run's news where the phase `report` made them.

Every report type reads this and nothing else, so that a report made with the run and one made years later are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactError, ArtifactMissing
from enrich_assets.graphs.intelligence.report_content import ReportContent
from enrich_assets.reading import Run
from enrich_assets.reports.text import clean

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Figure:
    """A figure of a phase as SVG."""

    phase: str
    name: str
    """Below the run's folder: `eda/tier2/drop_reasons.svg`."""
    svg: bytes

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.name.rsplit("/", 1)[-1].removesuffix(".svg").replace("_", " ")


@dataclass(frozen=True)
class Material:
    """A run, the document of its phase `report`, and whether figures are wanted.

    The phase that makes the reports is left out of all of them: it is not published while they are made.
    """

    run: Run
    document: Mapping[str, Any] | None = None
    with_figures: bool = True

    @classmethod
    def of(cls, run: Run, *, with_figures: bool = True) -> Material:
        """The material of a published run; one that did not reach its report has no document.

        Raises ArtifactDamaged for a report that cannot be trusted.
        """
        try:
            document: Mapping[str, Any] | None = run.document(run.graph.last.name)
        except ArtifactDamaged:
            raise
        except ArtifactError:
            document = None
        return cls(run, document, with_figures)

    @cached_property
    def envelopes(self) -> dict[str, Envelope]:
        """Envelopes of the phases before the report, in their order; phases that published nothing are left out."""
        found = {}
        for phase in self.run.graph.before(self.run.graph.last):
            try:
                found[phase.name] = self.run.envelope(phase.name)
            except ArtifactMissing:
                continue
        return found

    @cached_property
    def news(self) -> ReportContent:
        """The content of the news; raises ArtifactMissing for a run that did not reach its report."""
        if self.document is None:
            raise ArtifactMissing(
                f"the run {self.run.run_id} has no report yet.",
                fix=f"enrich resume {self.run.run_id} goes on. Of what there is now: enrich report {self.run.run_id} "
                "--type summary,quality",
            )
        return ReportContent.model_validate(clean(dict(self.document)))

    @cached_property
    def registration(self) -> Mapping[str, Any]:
        """The run's first document: title, preset, settings; empty where it is missing."""
        try:
            return dict(self.run.document(self.run.graph.first.name))
        except ArtifactMissing:
            return {}

    @property
    def title(self) -> str:
        """The run's title, or a name made of its ID."""
        return str(clean(str(self.registration.get("title") or ""))) or f"Run {self.run.run_id}"

    def side(self, phase: str, name: str) -> pa.Table:
        """A side table of a phase; it is read once."""
        if (phase, name) not in self._sides:
            self._sides[phase, name] = self.run.store.side(self.run.graph.name, self.run.run_id, phase, name)
        return self._sides[phase, name]

    def profile(self, phase: str) -> pa.Table:
        """The profile of a phase's table, a row a column."""
        from enrich_assets.store.artifacts import read_side_table

        name = f"eda/{phase}/profile.parquet"
        return read_side_table(self.run.store.side_file(self.run.graph.name, self.run.run_id, phase, name), name)

    @cached_property
    def _sides(self) -> dict[tuple[str, str], pa.Table]:
        return {}

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of the phases as SVG, where they are wanted, phase by phase."""
        return tuple(self._figures()) if self.with_figures else ()

    def _figures(self) -> Iterator[Figure]:
        store, graph = self.run.store, self.run.graph.name
        for phase, envelope in self.envelopes.items():
            for name in sorted(envelope.files):
                if name.startswith("eda/") and name.endswith(".svg"):
                    yield Figure(phase, name, store.side_file(graph, self.run.run_id, phase, name))
