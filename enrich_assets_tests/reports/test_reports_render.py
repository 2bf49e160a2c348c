from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from lxml import etree
from pydantic import ValidationError

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.reports.render import ReportTables, render_reports
from enrich_assets.reports.templating import TEMPLATES
from enrich_assets.reports.workbook import CELL_LIMIT, workbook

Build = Callable[..., dict[str, Any]]


def page_of(content: dict[str, Any]) -> BeautifulSoup:
    return BeautifulSoup(render_reports(content, tables=ReportTables())["report.html"], "html.parser")


def markdown_of(content: dict[str, Any]) -> str:
    return render_reports(content, tables=ReportTables())["report.md"].decode()


def words_of(tag: Any) -> str:
    return " ".join(tag.get_text(" ").split())


def cells(data: bytes, sheet: int) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        texts = ["".join(item.itertext()) for item in etree.fromstring(archive.read("xl/sharedStrings.xml"))]
        root = etree.fromstring(archive.read(f"xl/worksheets/sheet{sheet}.xml"))
    return [
        [
            texts[int(cell.findtext("{*}v"))] if cell.get("t") == "s" else str(cell.findtext("{*}v"))
            for cell in row.findall("{*}c")
        ]
        for row in root.iter("{*}row")
    ]


def test_equal_input_gives_equal_bytes(build: Build, sample: SimpleNamespace) -> None:
    tables = ReportTables(kept=[sample.article_row(1)])
    assert render_reports(build(), tables=tables) == render_reports(build(), tables=tables)


def test_the_page_is_small_and_refers_to_nothing_outside(build: Build) -> None:
    data = render_reports(build(), tables=ReportTables())["report.html"]
    assert len(data) < 200_000
    soup = BeautifulSoup(data, "html.parser")
    assert not soup.find_all(["script", "img", "iframe"])
    assert all(a["rel"] == ["noopener", "noreferrer"] for a in soup.find_all("a") if a["href"].startswith("http"))


def test_headings_are_in_order_and_landmarks_are_there(build: Build) -> None:
    soup = page_of(build())
    levels = [int(tag.name[1]) for tag in soup.find_all(["h1", "h2", "h3", "h4"])]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    assert len(soup.find_all("main")) == 1
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in soup.find_all("a") if a["href"].startswith("#")} <= set(ids)


def test_the_first_screen_says_who_it_is_for_what_it_counts_and_that_no_model_wrote_it(build: Build) -> None:
    soup = page_of(build())
    assert "Meridian Tools" in words_of(soup.find("header", class_="masthead"))
    summary = words_of(soup.find("section", class_="summary"))
    for told in ("64 Articles", "12 In this", "8 of 9", "5 of 6", "0.00 USD", "No language model judged or wrote here"):
        assert told in summary.replace("Articles read 64", "64 Articles").replace("In this report 12", "12 In this")


def test_with_a_model_everywhere_nothing_is_said_of_the_embedded_one(build: Build, sample: SimpleNamespace) -> None:
    envelopes = {
        name: one.model_copy(update={"usage": Usage(models=("openai/x",) if one.usage.models else ())})
        for name, one in sample.history().items()
    }
    content = build(history=envelopes, initialized={})
    assert "embedded extractive" not in words_of(page_of(content))
    assert "embedded extractive" not in markdown_of(content)


def test_where_only_some_phases_used_the_embedded_model_these_are_named(build: Build, sample: SimpleNamespace) -> None:
    mixed = {**sample.history(), "tier3": sample.envelope("tier3", 5, usage=Usage(models=("extractive", "openai/x")))}
    note = "The embedded extractive model did the work of tier2, tier3, paraphrased and enriched: plain text methods"
    for text in (words_of(page_of(build(history=mixed))), markdown_of(build(history=mixed))):
        assert note in text
        assert "No language model judged" not in text


def test_a_card_shows_scores_reason_and_graded_evidence_as_text(build: Build) -> None:
    soup = page_of(build())
    card = soup.find("article", id="article-2")
    shown = words_of(card)
    for told in ("Regulation", "Policy Desk", "31 October 2026", "Relevance 8.8", "8.0 of 10", "Why it is here"):
        assert told in shown
    assert "Supported by 1 site" in shown
    assert "Vantry Dynamics company ? Unsupported No page that was read says" in shown
    assert "“Helix Foundry is a designer of accelerators for inference in factories.”" in shown
    assert card.find("blockquote")["cite"] == "http://company-atlas.example/profiles/helix-foundry"


def test_an_entity_is_told_once_and_then_referred_to(build: Build) -> None:
    content = build()
    quote = "Mira Castellane is chief executive of Brightmoor Labs."
    assert markdown_of(content).count(quote) == 1
    assert "Described under no. 1 ." in words_of(page_of(content).find("article", id="article-2"))


def test_an_empty_report_says_why_in_both(build: Build, sample: SimpleNamespace) -> None:
    closed = sample.envelope("tier1", 3, counts=Counts(rows_in=64, dropped=64, dropped_by_reason={"too_old": 64}))
    content = build(rows=[], history={**sample.history(), "tier1": closed})
    reason = "The phase tier1 let nothing through: of 64 rows, 64 dropped (too old 64)."
    assert reason in words_of(page_of(content))
    assert reason in markdown_of(content)
    assert len(cells(render_reports(content, tables=ReportTables())["articles.xlsx"], 1)) == 1


def test_an_unknown_cost_is_written_as_unknown(build: Build, sample: SimpleNamespace) -> None:
    paid = sample.envelope("tier2", 4, usage=Usage(model_calls=9, cost=0.5, models=("openai/x",)))
    unknown = sample.envelope("tier3", 5, usage=Usage(model_calls=9, cost=None, models=("local/y",)))
    content = build(history={**sample.history(), "tier2": paid, "tier3": unknown})
    sentence = "unknown (known part 0.50 USD; no price for tier3)"
    for text in (words_of(page_of(content)), markdown_of(content)):
        assert sentence in text
    assert "unknown known part 0.50 USD" in words_of(page_of(content).find("section", class_="summary"))


def test_requests_of_unknown_outcome_are_said_once_and_only_where_there_are_any(
    build: Build, sample: SimpleNamespace
) -> None:
    usage = Usage(model_calls=9, cost=0.5, spent=0.7, unsettled=2, models=("openai/x",))
    content = build(history={**sample.history(), "tier2": sample.envelope("tier2", 4, usage=usage)})
    for text in (words_of(page_of(content)), markdown_of(content)):
        assert text.count("2 requests of unknown outcome or usage are counted at the upper bound") == 1
        assert "0.70 USD" in text
    assert "unknown outcome" not in markdown_of(build())


def test_an_unknown_extra_phase_stands_in_the_funnel(build: Build, sample: SimpleNamespace) -> None:
    extra = sample.envelope(
        "fact_checked", 10, counts=Counts(rows_in=12, kept=11, dropped=1, rows_out=11, dropped_by_reason={"odd": 1})
    )
    content = build(history={**sample.history(), "fact_checked": extra})
    assert "fact_checked 11 of 12 11 kept, 1 dropped, 0 failed odd 1" in words_of(page_of(content))
    assert "| fact\\_checked | 12 | 0 | 11 | 1 | 0 | 11 | odd 1 |" in markdown_of(content)


def test_sources_that_are_down_and_checks_that_failed_are_named(build: Build) -> None:
    content = build()
    for text in (words_of(page_of(content)), markdown_of(content)):
        assert "Quiet Mirror" in text and "http 503 Service Unavailable" in text
        assert "12 articles, 20 were hoped for." in text


def test_numbers_tell_where_they_come_from(build: Build) -> None:
    soup = page_of(build())
    assert soup.find("section", {"aria-labelledby": "funnel"}).find("span", title="tier1 · envelope.counts.dropped")
    assert soup.find("article").find("span", title="tier3 · relevance").get_text() == "9.1"


def test_something_that_is_no_report_is_refused() -> None:
    with pytest.raises(ValidationError):
        render_reports({"title": "x"}, tables=ReportTables())


def test_the_workbook_has_three_sheets_with_frozen_heads_and_filters(sample: SimpleNamespace) -> None:
    dropped = {
        "phase": "tier1", "row_id": "r", "title": "T", "url": "http://a.example", "drop_reason": "too_old",
        "drop_value": "412.5", "drop_detail": "days",
    }  # fmt: skip
    failed = {"phase": "scraped", "row_id": "f", "failure_kind": "http_404", "failure_message": "gone", "attempts": 1}
    data = workbook(kept=[sample.article_row(1)], dropped=[dropped], failed=[failed])
    assert cells(data, 2)[0][:3] == ["phase", "reason", "value"]
    assert cells(data, 2)[1][:4] == ["tier1", "too_old", "412.5", "T"]
    assert cells(data, 3)[0][:3] == ["phase", "kind", "message"]
    assert cells(data, 3)[1][:3] == ["scraped", "http_404", "gone"]
    assert cells(data, 1)[1][0] == "1"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = etree.fromstring(archive.read("xl/workbook.xml")).findall(".//{*}sheet")
        assert [sheet.get("name") for sheet in names] == ["kept", "dropped", "failed"]
        root = etree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    assert root.find(".//{*}pane").get("state") == "frozen"
    assert root.find("{*}autoFilter") is not None


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "  =", "\x01=", "＝"])
def test_a_formula_gets_an_apostrophe(start: str) -> None:
    row = cells(workbook(kept=[{"title": f"{start}1+1"}], dropped=[], failed=[]), 1)[1]
    assert row[0].startswith("'")


def test_a_long_cell_is_cut_at_the_limit_of_utf_16_units() -> None:
    row = cells(workbook(kept=[{"title": "😀" * CELL_LIMIT}], dropped=[], failed=[]), 1)[1]
    assert row[0].endswith("…")
    assert len(row[0].encode("utf-16-le")) // 2 <= CELL_LIMIT


def test_controls_odd_numbers_and_old_dates_do_not_break_a_workbook() -> None:
    values = {
        "title": "a\x00b\x1fc\ud800", "relevance": float("nan"), "impact": float("inf"), "word_count": 2**70,
        "published_at": datetime(1601, 1, 1, tzinfo=UTC), "follow_up": True, "added": {"k": [1]},
    }  # fmt: skip
    head, row = cells(workbook(kept=[values], dropped=[], failed=[]), 1)
    assert row[0] == "abc?"
    assert head[-1] == "added"
    assert {"nan", "inf", str(2**70), "1601-01-01T00:00:00", '{"k": [1]}'} <= set(row)


def luminance(colour: str) -> float:
    """Relative luminance of `#rgb` or `#rrggbb` (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    css = (TEMPLATES / "_styles.css.j2").read_text(encoding="utf-8")
    roots = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    assert len(roots) == 3
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", roots[0]))
    if scheme != "light":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", roots[["dark", "print"].index(scheme) + 1]))
    pairs = [(text, back) for text in ("ink", "muted", "accent") for back in ("page", "card")]
    pairs += [("ink", "note"), ("accent", "chip"), ("good", "good-back"), ("warn", "warn-back"), ("warn", "card")]
    for text, back in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, text, back)
