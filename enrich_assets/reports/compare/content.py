"""The content of a comparison, from which the terminal, the page and the JSON are made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from enrich_assets.core.envelope import Frozen

CauseKind = Literal["settings", "prompt", "model", "page", "code", "history", "unknown"]
Change = Literal["came", "went", "moved", "changed"]
CHANGES: tuple[Change, ...] = get_args(Change)
"""In the order in which they are told."""


class ComparedRun(Frozen):
    """One of the two runs."""

    run_id: str
    title: str = ""
    preset: str = ""
    like: str = ""
    """The run that it repeats."""
    as_of: datetime
    is_complete: bool
    articles: int
    """Rows of the last phase that both runs have."""
    cost: float | None
    """USD; None where a price is unknown."""
    seconds: float


class SettingDifference(Frozen):
    """One setting that differs; a text is empty where the run does not have it."""

    path: str
    old: str = ""
    new: str = ""


class PromptDifference(Frozen):
    """One prompt that differs; a hash is empty where the run does not have it."""

    phase: str
    file: str
    old_sha256: str = ""
    new_sha256: str = ""
    lines: list[str] = Field(default_factory=list)
    """Unified difference of the texts; empty where a run did not keep them."""


class ModelDifference(Frozen):
    """A phase that asked another model."""

    phase: str
    old: str
    new: str


class PhaseNumbers(Frozen):
    """What one run did in a phase."""

    rows_in: int
    rows_out: int
    calls: int
    reused: int
    cost: float | None
    seconds: float


class PhasePair(Frozen):
    """One phase in both runs; None where a run has not made it."""

    phase: str
    old: PhaseNumbers | None
    new: PhaseNumbers | None
    code_differs: bool = False
    same_data: bool = False
    """Whether both published the same data."""


class Cause(Frozen):
    """Why an article differs: what differs between the runs in the phase where the article's data differ."""

    kind: CauseKind
    phase: str
    detail: str
    through_others: bool = False
    """It changed other articles, and by them this one's place: ranking and limits look at all of them."""


class ScoreChange(Frozen):
    """A score in both runs; None where the article has none."""

    name: str
    old: float | None
    new: float | None


class ArticleChange(Frozen):
    """One article that differs between the two reports."""

    row_id: str
    title: str
    url: str
    change: Change
    old_rank: int | None = None
    new_rank: int | None = None
    scores: list[ScoreChange] = Field(default_factory=list)
    columns: list[str] = Field(default_factory=list)
    """Further columns whose values differ, such as analysis."""
    first_phase: str
    """The first phase in which its data differ."""
    told: str
    """What happened to it there, in words."""
    causes: list[Cause]


class Comparison(Frozen):
    """Everything that `enrich compare` says of two runs."""

    graph: str
    phase: str
    """The last phase that both have, at whose rows articles are compared."""
    old: ComparedRun
    new: ComparedRun
    settings: list[SettingDifference]
    prompts: list[PromptDifference]
    models: list[ModelDifference]
    code: list[str]
    """Phases whose code differs."""
    phases: list[PhasePair]
    articles: list[ArticleChange]
    unchanged: int
    elsewhere: int
    """Rows that ended otherwise on the way and are in neither report."""
    notes: list[str]

    def of(self, change: Change) -> list[ArticleChange]:
        """The articles with one kind of change."""
        return [article for article in self.articles if article.change == change]
