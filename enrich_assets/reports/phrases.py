"""Sentences and lookups that the Markdown and the page share, so that both say the same."""

from __future__ import annotations

import re

from enrich_assets.engine.progress import unknown_outcomes as unknown_outcomes
from enrich_assets.graphs.intelligence.report_content import (
    Article,
    EntityNote,
    FunnelStep,
    Origin,
    ReportContent,
    SourceEntry,
    TotalSpent,
)
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.reports.text import counted, day, listed, number, one_line, usd, words


def dateline(report: ReportContent) -> str:
    """The moment that the report speaks of."""
    return f"{day(report.as_of)}, {report.as_of:%H:%M} UTC"


def embedded_note(report: ReportContent) -> str:
    """What the reader must know when the embedded extractive model took part; '' when it did not."""
    if not report.embedded_model.used:
        return ""
    phases = listed(report.embedded_model.phases)
    return (
        f"No language model judged or wrote here. The embedded extractive model did the work of {phases}: plain text "
        "methods that count words and pick sentences out of the articles. Read scores as a first sorting and analyses "
        "as excerpts."
        if all(set(used) == {EXTRACTIVE} for used in report.models.values())
        else f"The embedded extractive model did the work of {phases}: plain text methods that count words and pick "
        "sentences, no language model. Read what comes from there as a first sorting."
    )


def cost(totals: TotalSpent) -> str:
    """The cost of the run: a sum, or what is known of it and where it is unknown."""
    if totals.cost is not None:
        return usd(totals.cost)
    phases = listed(totals.unknown_cost_phases)
    return f"unknown (known part {usd(totals.known_cost)}; no price for {phases})"


def news(report: ReportContent) -> list[str]:
    """What is new against the earlier runs, in sentences."""
    earlier = report.news.compared_with
    if not earlier:
        return ["This run was compared with no earlier one, so every article counts as new."]
    follow_ups = len(report.news.follow_ups)
    sentences = [
        f"Compared with {counted(len(earlier), 'earlier run')} ({listed(earlier)}): "
        f"{counted(report.news.new, 'new article')}, {counted(follow_ups, 'follow-up')}."
    ]
    if report.news.already_reported:
        was = "was" if report.news.already_reported == 1 else "were"
        sentences.append(
            f"{counted(report.news.already_reported, 'article')} that an earlier report already had {was} left out."
        )
    return sentences


def grade(entity: EntityNote) -> str:
    """The grade of a background in words."""
    if entity.is_supported:
        return f"Supported by {counted(entity.domains, 'site')}" if entity.domains else "Supported"
    return "Unsupported" if entity.grade == "unsupported" else words(entity.grade).capitalize()


def background(entity: EntityNote) -> str:
    """The background where it says more than its quote, which is shown anyway."""
    return "" if entity.quote and one_line(entity.background) == one_line(entity.quote) else entity.background


def unsupported_note(entity: EntityNote) -> str:
    """What the reader must know of a background without evidence; '' for a supported one."""
    if entity.is_supported:
        return ""
    if entity.background or entity.quote:
        return "No quote from a page that was read carries this."
    return "No page that was read says who or what this is."


def down(report: ReportContent) -> list[SourceEntry]:
    """The sources that could not be read."""
    return [source for source in report.sources if source.is_down]


def first_described(report: ReportContent) -> dict[tuple[str, ...], int]:
    """Entity as told → number of the first article that tells it, so that it is told once."""
    found: dict[tuple[str, ...], int] = {}
    for article in report.articles:
        for entity in article.entities:
            found.setdefault(entity_key(entity), article.place)
    return found


def entity_key(entity: EntityNote) -> tuple[str, ...]:
    """What makes two notes on an entity the same text."""
    return (entity.kind, entity.name, entity.background, entity.url, entity.quote, entity.grade)


def follow_ups(report: ReportContent) -> list[Article]:
    """The articles that continue a story of an earlier report, in rank order."""
    known = set(report.news.follow_ups)
    return [article for article in report.articles if article.row_id in known]


def trouble(source: SourceEntry) -> str:
    """What goes wrong with a source, in a few words; '' where nothing does."""
    told = []
    if source.failed_in_row:
        told.append(f"failed {counted(source.failed_in_row, 'run')} in a row")
    if source.entry_errors:
        kinds = f" ({listed([words(kind) for kind in source.error_kinds])})" if source.error_kinds else ""
        told.append(f"{counted(source.entry_errors, 'entry', 'entries')} in error{kinds}")
    return ", ".join(told)


def reasons(step: FunnelStep) -> str:
    """Why rows of a phase were left out, with their numbers."""
    dropped = [f"{words(reason)} {number(count)}" for reason, count in step.dropped_by_reason.items()]
    failed = [f"failed: {words(kind)} {number(count)}" for kind, count in step.failed_by_kind.items()]
    return ", ".join([*dropped, *failed])


def unchanged(report: ReportContent) -> list[float | None]:
    """Of each source, the share of answers that said that nothing has changed."""
    known = {traffic.source_id: traffic.not_modified_share for traffic in report.usage.sources}
    return [known.get(source.source_id) for source in report.sources]


def origins(report: ReportContent) -> list[tuple[str, str]]:
    """Every kind of number with its artifact and field, one line a kind: positions as `*`, phases together."""
    kinds: dict[str, list[Origin]] = {}
    for path, found in report.provenance.items():
        kinds.setdefault(re.sub(r"/\d+(?=/)", "/*", _without_key(path)), []).append(found)
    return [(kind, _told(founds)) for kind, founds in kinds.items()]


def note_of(pointer: str, origin: Origin) -> str:
    """The origin of a kind of number as a note; what differs from line to line stands in the line itself."""
    field = re.sub(r"^(rows where source_id is) .*", r"\1 that of the line", origin.field, flags=re.DOTALL)
    if pointer.startswith(("/funnel/", "/usage/phases/")):
        return f"the artifact of the phase in the line · {field.rsplit('.', 1)[0]}"
    row = " of the row that is named" if origin.row_id and pointer.startswith("/articles/") else ""
    row = " of the source in the line" if origin.row_id and pointer.startswith("/sources/") else row
    return f"{origin.artifact} · {field}{row}"


def _without_key(path: str) -> str:
    return re.sub(r"(/dropped_by_reason|/failed_by_kind)/.*", r"\1/*", path)


def _told(founds: list[Origin]) -> str:
    artifacts = list(dict.fromkeys(found.artifact for found in founds))
    field = re.sub(r"\[.*\]", "[…]", founds[0].field)
    field = re.sub(r"^(rows where source_id is) .*", r"\1 …", field, flags=re.DOTALL)
    return f"{artifacts[0] if len(artifacts) == 1 else 'the phase of the row'} · {field}"
