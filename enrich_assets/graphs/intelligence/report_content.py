"""The shape of the report's document: what `report` publishes and what the renderers read.

Here stand the models alone. How they are filled is `report.py`; how they look on paper is the room `reports`.
Everything in which two honest runs over the same input may differ (costs, calls, times) stands under `usage`.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from enrich_assets.core.envelope import Counts, Frozen

DIMENSIONS = ("relevance", "impact", "novelty", "credibility", "actionability")
"""The five dimensions of an article's score, each 0–10."""
SCORE_COLUMNS = {**{name: name for name in DIMENSIONS}, "total": "tier3_score", "final": "final_score"}
"""Field of Scores → column of the articles' tables."""
COUNTED = ("rows_in", "kept", "dropped", "failed", "created", "rows_out")
"""Counts of a phase that reports show."""


def counted_at(counts: Counts) -> dict[str, str]:
    """Where a phase's counts have the numbers of COUNTED. Rows that were lost on their way count among the dropped and
    the failed ones; where there are none, the numbers keep their plain names, and a report its hash."""
    found = {name: name for name in COUNTED}
    if counts.rows_dropped > counts.dropped:
        found["dropped"] = "rows_dropped"
    if counts.rows_failed > counts.failed:
        found["failed"] = "rows_failed"
    return found


"""The counts that the funnel takes from an envelope."""


class Origin(Frozen):
    """Where one number comes from: an artifact of the run and the field in it."""

    artifact: str
    """Name of the phase, of a side table (`scraped/sources`), or of the report itself for a sum over its numbers."""
    field: str
    """What to read there: a column, a path in the envelope (`envelope.counts.kept`), a count (`rows`,
    `rows where status is scraped`, `missing author`, `distinct entities.kind+name`), a sum (`sum of errors.count`,
    `sum of /usage/phases/*/cost`) or a length (`length of also_at`)."""
    row_id: str = ""
    """The row, where the field is a column."""


class Reader(Frozen):
    """Whose report this is."""

    name: str = "the reader"
    description: str = ""
    interests: list[str] = Field(default_factory=list)


class Scores(Frozen):
    """Scores of an article, 0–10; None where the phase that gives one did not."""

    relevance: float | None = None
    impact: float | None = None
    novelty: float | None = None
    credibility: float | None = None
    actionability: float | None = None
    total: float | None = None
    """The weighted total of the five."""
    final: float | None = None
    """What the final order was made from."""


class EntityNote(Frozen):
    """One entity of an article with its background and the evidence for it."""

    name: str
    kind: str = ""
    background: str = ""
    url: str = ""
    quote: str = ""
    grade: str = "unsupported"
    domains: int = 0
    """Independent sites that say so."""
    page_sha256: str = ""
    quote_start: int | None = None

    @property
    def is_supported(self) -> bool:
        """Whether the background stands on a quote from a stored page."""
        return self.grade == "supported"


class AlsoAt(Frozen):
    """Another place where an article's text stands."""

    url: str
    source: str = ""
    title: str = ""


class Article(Frozen):
    """One article of the report, with what a later run needs to recognise it."""

    place: int
    """Number in the report, from 1 without gaps."""
    rank: int
    """Rank among all ranked articles; a later phase may have left some out."""
    row_id: str
    title: str
    url: str
    canonical_url: str = ""
    content_hash: str = ""
    sketch: list[int] = Field(default_factory=list)
    source_id: str = ""
    source: str = ""
    author: str = ""
    published_at: datetime | None = None
    language: str = ""
    category: str = ""
    category_name: str = ""
    categories: list[str] = Field(default_factory=list)
    analysis: str = ""
    scores: Scores = Scores()
    rationale: str = ""
    rank_reason: str = ""
    follow_up: bool = False
    also_at: list[AlsoAt] = Field(default_factory=list)
    """The copies of it that were dropped as duplicates."""
    copies: int = 0
    """How many copies those are."""
    entities: list[EntityNote] = Field(default_factory=list)


class FailedCheck(Frozen):
    """A check on an artifact that did not pass."""

    name: str
    message: str
    blocking: bool


class FunnelStep(Frozen):
    """What one phase did with its rows. Counts are rows."""

    phase: str
    number: int
    has_rows: bool
    """False for a phase that publishes a document."""
    rows_in: int
    kept: int
    dropped: int
    failed: int
    created: int
    rows_out: int
    dropped_by_reason: dict[str, int] = Field(default_factory=dict)
    failed_by_kind: dict[str, int] = Field(default_factory=dict)
    failed_checks: list[FailedCheck] = Field(default_factory=list)


class SourceEntry(Frozen):
    """One source, how reading it went and how it fares.

    `entries` listed, `articles` taken, `reported` in this report. `new_items`, `failed_in_row` and `entry_errors` are
    None for a run of before they were recorded.
    """

    source_id: str
    name: str
    url: str = ""
    kind: str = ""
    status: str = ""
    error: str = ""
    entries: int = 0
    articles: int = 0
    reported: int = 0
    new_items: int | None = None
    """Entries that its run before did not list."""
    failed_in_row: int | None = None
    """Runs in a row in which it failed, this one included."""
    last_new_at: datetime | None = None
    """When it last had a new item, UTC."""
    entry_errors: int | None = None
    """Errors that its entries met."""
    error_kinds: list[str] = Field(default_factory=list)
    """Kinds of those errors, most frequent first."""

    @property
    def is_down(self) -> bool:
        """Whether the source could not be read."""
        return self.status != "scraped"


class SourceTraffic(Frozen):
    """What reading a source took."""

    source_id: str
    bytes: int = 0
    seconds: float = 0.0
    not_modified_share: float | None = None
    """Share of its requests that the server answered with 304, 0–1; None without requests."""


class Spent(Frozen):
    """Calls, tokens and cost. `seconds` of wall time.

    `cost` is what all attempts have cost in USD, None where a price is unknown; it counts `unsettled` requests, whose
    outcome nobody knows, at their upper bound. Calls and tokens are those of the published making.
    """

    model_calls: int = 0
    page_requests: int = 0
    search_requests: int = 0
    answers_reused: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    unsettled: int = 0
    seconds: float = 0.0


SPENT = tuple(name for name in Spent.model_fields if name != "seconds")
"""What an envelope's usage records; the seconds are its duration."""


class PhaseSpent(Spent):
    """What one phase spent, and the models it used."""

    phase: str
    models: list[str] = Field(default_factory=list)


class TotalSpent(Spent):
    """The sum over all phases. `cost` is None as soon as one phase's cost is unknown."""

    known_cost: float = 0.0
    """Sum of the costs that are known, USD."""
    unknown_cost_phases: list[str] = Field(default_factory=list)


class Usage(Frozen):
    """What the run spent, by phase and together, and what each source took."""

    phases: list[PhaseSpent] = Field(default_factory=list)
    totals: TotalSpent = TotalSpent()
    sources: list[SourceTraffic] = Field(default_factory=list)


class News(Frozen):
    """What is new since the earlier runs that this one was compared with."""

    compared_with: list[str] = Field(default_factory=list)
    new: int = 0
    follow_ups: list[str] = Field(default_factory=list)
    """`row_id` of the articles that continue a story of an earlier report."""
    already_reported: int = 0
    """Articles that were dropped because an earlier report had them."""


class Summary(Frozen):
    """The run in a few numbers."""

    sources: int = 0
    sources_read: int = 0
    sources_down: int = 0
    articles_read: int = 0
    articles_reported: int = 0
    entities: int = 0
    """Distinct entities of the reported articles."""
    entities_supported: int = 0


class Embedded(Frozen):
    """Whether the embedded extractive model took part, and in which phases."""

    used: bool = False
    phases: list[str] = Field(default_factory=list)


class Empty(Frozen):
    """Why the report has no article: the first phase that let nothing through, and a sentence for people."""

    phase: str = ""
    sentence: str


class ReportContent(Frozen):
    """The whole report as data."""

    title: str
    run_id: str
    graph: str
    preset: str = ""
    as_of: datetime
    language: str = "en"
    reader: Reader = Reader()
    summary: Summary = Summary()
    models: dict[str, list[str]] = Field(default_factory=dict)
    """Models by phase, for the phases that use one."""
    embedded_model: Embedded = Embedded()
    articles: list[Article] = Field(default_factory=list)
    empty: Empty | None = None
    news: News = News()
    funnel: list[FunnelStep] = Field(default_factory=list)
    sources: list[SourceEntry] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    usage: Usage = Usage()
    volatile: list[str] = Field(default_factory=lambda: ["usage"])
    """Keys that the artifact's data hash leaves out."""
    provenance: dict[str, Origin] = Field(default_factory=dict)
    """JSON pointer (RFC 6901) of a number in this document → where it comes from."""
