"""The report as Markdown (CommonMark with GFM tables), every foreign text escaped so that it shows as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from enrich_assets.graphs.intelligence.report_content import (
    DIMENSIONS,
    Article,
    EntityNote,
    FunnelStep,
    ReportContent,
    Spent,
)
from enrich_assets.reports import phrases
from enrich_assets.reports.text import (
    clean,
    counted,
    day,
    host_of,
    number,
    one_line,
    percent,
    points,
    safe_url,
    seconds,
    short,
    usd,
    words,
)

# Every character that CommonMark or GFM gives a meaning inside a line; `$` opens mathematics in some renderers.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$])")
_LINE_START = re.compile(r"^([-+=#:]|\d{1,9}(?=[.)](?:\s|$)))")
_AUTOLINK = re.compile(r"\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)", re.IGNORECASE)


def markdown(report: ReportContent) -> str:
    """The whole report."""
    blocks: list[str] = [
        *_head(report),
        *_articles(report),
        *_news(report),
        *_funnel(report),
        *_sources(report),
        *_usage(report),
        *_origins(report),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(text: str) -> str:
    """One line of text as Markdown that shows exactly that text: no markup, no HTML, no link."""
    plain = one_line(clean(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _MARKUP.sub(r"\\\1", plain)
    # GFM makes links of bare addresses; a character reference in its trigger shows the same and links nothing.
    plain = _AUTOLINK.sub(lambda m: f"{m[1]}&#58;" if m[1] else f"{m[3]}&#46;", plain)
    start = _LINE_START.match(plain)
    if start is None:
        return plain
    mark = start.group(1)
    return f"{mark}\\{plain[len(mark) :]}" if mark.isdigit() else f"\\{plain}"


def link(text: str, url: str) -> str:
    """A link where the URL may be one; otherwise the text, followed by what stood there instead."""
    target = safe_url(url)
    if not target:
        return f"{escaped(short(text))} (no link: {escaped(short(url))})" if url else escaped(short(text))
    encoded = target.replace("(", "%28").replace(")", "%29").replace("&", "&amp;")
    return f"[{escaped(short(text)) or escaped(short(target))}]({encoded.replace('*', '%2A').replace('$', '%24')})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    rule = ["---:" if index in right else "---" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _head(report: ReportContent) -> Iterator[str]:
    yield f"# {escaped(report.title)}"
    preset = f" · preset {escaped(report.preset)}" if report.preset else ""
    yield (f"For {escaped(report.reader.name)} · {phrases.dateline(report)} · run {escaped(report.run_id)}{preset}")
    note = phrases.embedded_note(report)
    yield f"> **How this was made.** {escaped(note)}" if note else ""
    for text in report.notes:
        yield f"> {escaped(text)}"
    summary = report.summary
    yield (
        f"**{counted(summary.articles_read, 'article')} read**, "
        f"**{number(summary.articles_reported)} in this report** · "
        f"{number(summary.sources_read)} of {counted(summary.sources, 'source')} read · "
        f"{number(summary.entities_supported)} of {counted(summary.entities, 'background')} supported · "
        f"cost {escaped(phrases.cost(report.usage.totals))}"
    )


def _articles(report: ReportContent) -> Iterator[str]:
    yield "## Articles"
    if report.empty is not None:
        yield f"**This report has no article.** {escaped(report.empty.sentence)}"
    described = phrases.first_described(report)
    for article in report.articles:
        yield from _article(article, described)


def _article(article: Article, described: dict[tuple[str, ...], int]) -> Iterator[str]:
    yield f"### {article.place}. {link(article.title, article.url)}"
    facts = [article.source, day(article.published_at), article.category_name]
    if article.follow_up:
        facts.append("follow-up")
    yield f"*{' · '.join(escaped(fact) for fact in facts if fact)}*"
    if article.also_at:
        also = ", ".join(link(copy.source or host_of(copy.url) or "page", copy.url) for copy in article.also_at)
        yield f"Also at: {also}"
    yield escaped(article.analysis)
    scores = [f"{name} {points(getattr(article.scores, name))}" for name in DIMENSIONS]
    yield f"**Score {points(article.scores.total)} of 10:** {' · '.join(scores)}"
    why = " ".join(text for text in (article.rank_reason, article.rationale) if text)
    yield f"**Why it is here:** {escaped(why)}" if why else ""
    if article.entities:
        yield "**Who and what**"
        yield "\n".join(_entity(entity, article, described) for entity in article.entities)


def _entity(entity: EntityNote, article: Article, described: dict[tuple[str, ...], int]) -> str:
    kind = f" ({escaped(words(entity.kind))})" if entity.kind else ""
    line = f"- **{escaped(entity.name)}**{kind} · {escaped(phrases.grade(entity))}."
    first = described[phrases.entity_key(entity)]
    if first != article.place:
        return f"{line} Described under no. {first}."
    told = [phrases.background(entity), phrases.unsupported_note(entity)]
    line += "".join(f" {escaped(text)}" for text in told if text)
    if entity.quote:
        line += f"\n  > “{escaped(entity.quote)}” — {link(host_of(entity.url) or 'page', entity.url)}"
    return line


def _news(report: ReportContent) -> Iterator[str]:
    yield "## What is new"
    yield " ".join(escaped(sentence) for sentence in phrases.news(report))
    yield "\n".join(f"- no. {article.place}: {escaped(short(article.title))}" for article in phrases.follow_ups(report))


def _funnel(report: ReportContent) -> Iterator[str]:
    yield "## What was left out, and why"
    head = ("Phase", "In", "Created", "Kept", "Dropped", "Failed", "Out", "Why")
    rows = [
        (escaped(step.phase), *(number(n) for n in _counts(step)), escaped(phrases.reasons(step)))
        for step in report.funnel
        if step.has_rows
    ]
    yield _table(head, rows, right=range(1, 7)) if rows else "No phase of this run recorded rows."
    yield "\n".join(
        f"- {escaped(step.phase)}: the check {escaped(check.name)} failed. {escaped(check.message)}"
        for step in report.funnel
        for check in step.failed_checks
    )


def _counts(step: FunnelStep) -> tuple[int, ...]:
    return (step.rows_in, step.created, step.kept, step.dropped, step.failed, step.rows_out)


def _sources(report: ReportContent) -> Iterator[str]:
    yield "## Sources"
    down = phrases.down(report)
    if down:
        yield f"**{counted(len(down), 'source')} could not be read:**"
        yield "\n".join(f"- {escaped(source.name)}: {escaped(source.error or source.status)}" for source in down)
    rows = [
        (
            link(source.name, source.url),
            "could not be read" if source.is_down else "read",
            number(source.entries),
            "–" if source.new_items is None else number(source.new_items),
            number(source.articles),
            number(source.reported),
            day(source.last_new_at) or "–",
            percent(unchanged),
            escaped(phrases.trouble(source)) or "–",
        )
        for source, unchanged in zip(report.sources, phrases.unchanged(report), strict=True)
    ]
    head = ("Source", "Status", "Entries", "New", "Articles", "In this report", "Last new", "Unchanged", "Trouble")
    yield _table(head, rows, right=(2, 3, 4, 5, 7)) if rows else "No source was asked."


def _usage(report: ReportContent) -> Iterator[str]:
    yield "## Models, calls and costs"
    head = ("Phase", "Model", "Calls", "Reused", "Pages", "Searches", "Tokens in", "Tokens out", "Cost", "Time")
    totals = report.usage.totals
    lines: list[tuple[str, list[str], Spent]] = [(s.phase, s.models, s) for s in report.usage.phases]
    rows = [
        (
            escaped(name) if name else "**Together**",
            escaped(", ".join(models)) or ("–" if name else ""),
            number(spent.model_calls),
            number(spent.answers_reused),
            number(spent.page_requests),
            number(spent.search_requests),
            number(spent.tokens_in),
            number(spent.tokens_out),
            usd(spent.cost),
            seconds(spent.seconds),
        )
        for name, models, spent in [*lines, ("", [], totals)]
    ]
    yield _table(head, rows, right=range(2, 10))
    if totals.cost is None:
        yield f"Cost of the run: {escaped(phrases.cost(totals))}."
    if totals.unsettled:
        yield f"The cost is {phrases.unknown_outcomes(totals.unsettled)}."


def _origins(report: ReportContent) -> Iterator[str]:
    yield "## Where the numbers come from"
    yield "Each number stands in an artifact of this run; the report's own document lists the origin of every one."
    rows = [(f"`{kind}`", escaped(told)) for kind, told in phrases.origins(report)]
    yield _table(("Number", "Artifact and field"), rows)
