"""Why rows differ between two runs: from evidence alone, phase by phase.

For each row the phases are walked in their order. Where what became of it differs, whatever the two runs gave that
phase otherwise is a cause; a difference without one follows from an earlier difference of the row, from other rows
where the phase looks at all of them, or is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enrich_assets.engine.phase import Phase
from enrich_assets.reading import Run
from enrich_assets.reports.compare.content import Cause
from enrich_assets.reports.compare.differences import Given, asks_model, given, reasons_named, source_difference
from enrich_assets.reports.compare.outcomes import Outcome, changed_columns, differ, has_same_answer, told

_REPORTED, _FOLLOW_UP = "already_reported", "follow_up"
Rows = Mapping[str, Outcome]
"""What became of each row of a phase, by row_id."""


@dataclass
class RowStory:
    """Where a row first differed, what happened there, and why it differs."""

    first_phase: str
    told: str
    causes: dict[tuple[str, str, str], Cause] = field(default_factory=dict)

    def add(self, causes: Sequence[Cause]) -> None:
        """Adds causes, each once; a direct one stands before the same one through others."""
        for cause in causes:
            key = (cause.kind, cause.phase, cause.detail)
            known = self.causes.get(key)
            if known is None or (known.through_others and not cause.through_others):
                self.causes[key] = cause


def stories_of(
    old: Run, new: Run, phases: Sequence[Phase], outcomes: Mapping[str, tuple[Rows, Rows]]
) -> dict[str, RowStory]:
    """The story of every row that differs anywhere in the phases, by row_id."""
    walk = _Walk(old, new)
    for phase in phases:
        walk.through(phase, *outcomes[phase.name])
    return walk.stories


class _Walk:
    def __init__(self, old: Run, new: Run) -> None:
        self.old, self.new = old, new
        self.stories: dict[str, RowStory] = {}
        self._ended: set[str] = set()
        # Causes that changed any row so far: by them phases that look at all rows change others.
        self._at_work: dict[tuple[str, str, str], Cause] = {}

    def through(self, phase: Phase, old: Rows, new: Rows) -> None:
        """Tells what happened to the rows in one phase."""
        what = given(phase, self.old, self.new)
        without: list[str] = []
        for row_id in dict.fromkeys((*old, *new)):
            if row_id in self._ended:
                continue
            before, after = old.get(row_id), new.get(row_id)
            if not differ(before, after):
                continue
            is_first = row_id not in self.stories
            story = self.stories.setdefault(row_id, RowStory(phase.name, told(before, after)))
            causes = self._direct(phase, what, before, after, row_id)
            story.add(causes)
            self._at_work |= {(c.kind, c.phase, c.detail): c for c in causes}
            if is_first and not causes:
                without.append(row_id)
            if (
                before is None
                or after is None
                or "kept" not in (before.state, after.state)
                or before.state != after.state
            ):
                self._ended.add(row_id)
        for row_id in without:
            self.stories[row_id].add(self._indirect(phase, old.get(row_id), new.get(row_id)))

    def _direct(
        self, phase: Phase, what: Given, before: Outcome | None, after: Outcome | None, row_id: str
    ) -> list[Cause]:
        if phase.creates:
            return self._of_document(phase, what, before, after, row_id)
        if before is None or after is None:
            return []  # it came from, or went, where nothing of it is known: an earlier phase has the reason
        history = self._history(phase, before, after)
        if phase.shape == "ask" and has_same_answer(phase, before, after):
            found = (*what.decided, *what.code)
        elif phase.shape == "ask" and before.state == after.state == "kept":
            # What both kept shows the answer itself; where all of it is shown, decisions did not make it differ.
            found = (*what.asked, *what.code) or what.decided
        else:
            found = what.all
        return [*_by_reason(phase, found, before, after), *history]

    def _of_document(
        self, phase: Phase, what: Given, before: Outcome | None, after: Outcome | None, row_id: str
    ) -> list[Cause]:
        """Causes in a phase that makes rows of documents: other documents, other settings of the source, other code."""
        known = after if after is not None and after.source else before
        source = known.source if known is not None else ""
        own = [*source_difference(source, self.old, self.new, phase), *what.all] if source else list(what.all)
        if before is not None and after is not None and before.state == after.state == "kept":
            if before.page and after.page and before.page != after.page:
                changed = ", ".join(changed_columns(before, after)) or "text"
                return [Cause(kind="page", phase=phase.name, detail=f"the page changed ({changed})"), *own]
            return own
        if before is not None and after is not None:
            settings = _by_reason(phase, own, before, after)
            detail = f"the page: {told(before, after)}"
            return settings or [Cause(kind="page", phase=phase.name, detail=detail)]
        if own:
            return own
        run = self.old if before is None else self.new
        return [Cause(kind="page", phase=phase.name, detail=_not_listed(run, phase, source))]

    def _history(self, phase: Phase, before: Outcome, after: Outcome) -> list[Cause]:
        """What earlier runs reported, where the phase left a row out, or called it a follow-up, because of it."""
        if "initialized" not in phase.also and self.old.graph.first.name not in phase.also:
            return []
        is_asked = _REPORTED in (before.reason, after.reason) or (
            before.state == after.state == "kept" and _FOLLOW_UP in changed_columns(before, after)
        )
        first = self.old.graph.first.name
        known = [
            sorted({str(article["run_id"]) for article in run.document(first).get("earlier", ())})
            for run in (self.old, self.new)
        ]
        if not is_asked or known[0] == known[1]:
            return []
        names = [", ".join(runs) or "no earlier run" for runs in known]
        detail = f"compared with {names[0]} → {names[1]}"
        return [Cause(kind="history", phase=phase.name, detail=detail)]

    def _indirect(self, phase: Phase, before: Outcome | None, after: Outcome | None) -> list[Cause]:
        """Causes of a first difference for which nothing in the phase itself stands."""
        looks_at_all = phase.shape == "table" or phase.select is not None or bool(_further(phase, self.old))
        if looks_at_all and self._at_work:
            return [cause.model_copy(update={"through_others": True}) for cause in self._at_work.values()]
        if any(outcome is not None and outcome.state == "failed" for outcome in (before, after)):
            detail = f"it failed in one of the runs: {told(before, after)}"
        elif any(asks_model(phase, run) for run in (self.old, self.new)):
            detail = "the model answered otherwise"
        else:
            detail = "nothing that the runs record explains it"
        return [Cause(kind="unknown", phase=phase.name, detail=detail)]


def _by_reason(phase: Phase, causes: Sequence[Cause], before: Outcome, after: Outcome) -> list[Cause]:
    """Without settings that are said to decide other drop reasons than those of the row."""
    reasons = {outcome.reason for outcome in (before, after)} - {""}
    kept = []
    for cause in causes:
        named = reasons_named(phase, cause) if cause.kind == "settings" else set()
        if not named or not reasons or named & reasons:
            kept.append(cause)
    return kept


def _further(phase: Phase, run: Run) -> list[str]:
    """Tables that a phase reads besides its main input."""
    return [name for name in phase.also if name.partition("/")[0] != run.graph.first.name]


def _not_listed(run: Run, phase: Phase, source: str) -> str:
    """Why a source did not give a row to a run: what the run's own table of sources says."""
    if "sources" in phase.sides and source:
        for row in run.store.side(run.graph.name, run.run_id, phase.name, "sources").to_pylist():
            if row["source_id"] == source:
                if row["status"] != "scraped":
                    return f"{source} could not be read in {run.run_id}: {row['error'] or row['status']}"
                return f"{source} did not list it in {run.run_id}"
    return f"no document of it in {run.run_id}"
