"""Comparing two runs: the content of the comparison out of their artifacts. It asks nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import UserError
from enrich_assets.core.units import total_cost
from enrich_assets.engine.phase import Phase
from enrich_assets.reading import Run
from enrich_assets.reports.compare.causes import RowStory, stories_of
from enrich_assets.reports.compare.content import (
    CHANGES,
    ArticleChange,
    Cause,
    Change,
    ComparedRun,
    Comparison,
    PhaseNumbers,
    PhasePair,
    ScoreChange,
)
from enrich_assets.reports.compare.differences import (
    code_differs,
    envelope_of,
    model_difference,
    prompt_differences,
    setting_differences,
)
from enrich_assets.reports.compare.outcomes import last_common, outcomes_of


def compare(old: Run, new: Run) -> Comparison:
    """What differs between two runs of a graph, and for each article of their reports that differs why.

    Articles are compared at the last phase that both have; of runs that are not complete only so far. Raises UserError
    for runs of different graphs, one run twice, and runs that have nothing in common; ArtifactDamaged.
    """
    _refuse_what_cannot_be_compared(old, new)
    phases = last_common(old, new)
    if not phases:
        missing = next(run for run in (old, new) if not last_common(run, run))
        raise UserError(
            f"there is nothing to compare yet: {missing.run_id} has published no articles.",
            fix=f"enrich resume {missing.run_id}",
        )
    outcomes = {phase.name: (outcomes_of(old, phase), outcomes_of(new, phase)) for phase in phases}
    last = phases[-1]
    stories = stories_of(old, new, phases, outcomes)
    before, after = _Report(old, last), _Report(new, last)
    articles = sorted(_changes(before, after, stories, last), key=_in_order)
    return Comparison(
        graph=old.graph.name,
        phase=last.name,
        old=_about(old, before),
        new=_about(new, after),
        settings=setting_differences(old.graph, old.settings, new.settings),
        prompts=[found for phase in old.graph.phases for found in prompt_differences(phase, old, new)],
        models=[f for phase in old.graph.phases if (f := model_difference(phase, old, new)) is not None],
        code=[phase.name for phase in old.graph.phases if code_differs(phase, old, new)],
        phases=[_pair(phase, old, new) for phase in old.graph.phases],
        articles=articles,
        unchanged=len((before.rows.keys() | after.rows.keys()) - {article.row_id for article in articles}),
        elsewhere=len(stories.keys() - before.rows.keys() - after.rows.keys()),
        notes=list(_notes(old, new, last)),
    )


class _Report:
    """The rows of the phase at which articles are compared, by row_id, in their order."""

    def __init__(self, run: Run, phase: Phase) -> None:
        columns = run.graph.columns(phase)
        table = run.arrow(phase.name)
        self.scores = [n for n, c in columns.items() if c.arrow == pa.float64() and "points" in c.description]
        wanted = [n for n in ("row_id", "title", "url", "rank", *self.scores) if n in table.column_names]
        self.rows: dict[str, dict[str, Any]] = {str(r["row_id"]): r for r in table.select(wanted).to_pylist()}


def _changes(before: _Report, after: _Report, stories: dict[str, RowStory], last: Phase) -> Iterator[ArticleChange]:
    for row_id in dict.fromkeys((*after.rows, *before.rows)):
        a, b = before.rows.get(row_id), after.rows.get(row_id)
        story = stories.get(row_id)
        if story is None and a is not None and b is not None:
            continue
        shown: dict[str, Any] = b or a or {}
        ranks = tuple(None if row is None else row.get("rank") for row in (a, b))
        scores = [
            ScoreChange(name=name, old=(a or {}).get(name), new=(b or {}).get(name))
            for name in after.scores
            if (a or {}).get(name) != (b or {}).get(name)
        ]
        change: Change = (
            "came" if a is None else "went" if b is None else "moved" if ranks[0] != ranks[1] else "changed"
        )
        unknown = Cause(kind="unknown", phase=last.name, detail="nothing that the runs record explains it")
        yield ArticleChange(
            row_id=row_id,
            title=str(shown.get("title") or ""),
            url=str(shown.get("url") or ""),
            change=change,
            old_rank=ranks[0],
            new_rank=ranks[1],
            scores=scores,
            first_phase=story.first_phase if story else last.name,
            told=story.told if story else "",
            causes=list(story.causes.values()) if story and story.causes else [unknown],
        )


def _in_order(article: ArticleChange) -> tuple[int, int, str]:
    rank = article.new_rank if article.new_rank is not None else article.old_rank
    return (CHANGES.index(article.change), rank or 0, article.row_id)


def _about(run: Run, report: _Report) -> ComparedRun:
    registered = run.document(run.graph.first.name)
    envelopes = dict(run.envelopes())
    paid = [envelope.usage.paid for envelope in envelopes.values()]
    return ComparedRun(
        run_id=run.run_id,
        title=run.title,
        preset=str(registered.get("preset") or ""),
        like=str(registered.get("like") or ""),
        as_of=datetime.fromisoformat(str(registered["as_of"])),
        is_complete=run.is_complete,
        articles=len(report.rows),
        cost=total_cost(paid),
        seconds=sum(envelope.duration_seconds for envelope in envelopes.values()),
    )


def _pair(phase: Phase, old: Run, new: Run) -> PhasePair:
    before, after = envelope_of(old, phase), envelope_of(new, phase)
    same = before is not None and after is not None and before.data_sha256 == after.data_sha256
    return PhasePair(
        phase=phase.name,
        old=_numbers(before),
        new=_numbers(after),
        code_differs=code_differs(phase, old, new),
        same_data=same,
    )


def _numbers(envelope: Envelope | None) -> PhaseNumbers | None:
    if envelope is None:
        return None
    usage = envelope.asked
    return PhaseNumbers(
        rows_in=envelope.counts.rows_in,
        rows_out=envelope.counts.rows_out,
        calls=usage.requests,
        reused=usage.answers_reused,
        cost=usage.paid,
        seconds=envelope.duration_seconds,
    )


def _notes(old: Run, new: Run, last: Phase) -> Iterator[str]:
    for run in (old, new):
        if not run.is_complete:
            yield f"{run.run_id} is not complete: articles are compared as {last.name} published them."
    like = {run.run_id: str(run.document(run.graph.first.name).get("like") or "") for run in (old, new)}
    if like[new.run_id] == old.run_id or like[old.run_id] == new.run_id:
        yield "One run repeats the other: stored pages were replayed, and only what differs was asked again."
    if [e.package_version for _, e in old.envelopes()][:1] != [e.package_version for _, e in new.envelopes()][:1]:
        yield "The runs were made by different versions of enrich_assets."


def _refuse_what_cannot_be_compared(old: Run, new: Run) -> None:
    if old.graph.name != new.graph.name:
        raise UserError(
            f"{old.run_id} is a run of {old.graph.name} and {new.run_id} one of {new.graph.name}.",
            fix="Compare two runs of one graph: enrich runs lists them.",
        )
    if old.run_id == new.run_id:
        raise UserError(f"both are the run {old.run_id}.", fix="Name two runs: enrich runs lists them.")
    for run in (old, new):
        if run.graph.first.name not in run.phases:
            raise UserError(
                f"there is nothing to compare yet: {run.run_id} has published nothing.",
                fix=f"enrich resume {run.run_id}",
            )
