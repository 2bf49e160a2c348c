"""A sample report with everything in it: twelve articles, two evidence grades, a source that is down, drops, costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from enrich_assets.core.envelope import CheckOutcome, Counts, Envelope, Usage
from enrich_assets.engine.graph import RunInfo
from enrich_assets.graphs.intelligence.report import Settings, report

AS_OF = datetime(2026, 11, 2, 9, tzinfo=UTC)

_STORIES = [
    ("Brightmoor opens Kestrel-3 to plants that cannot send drawings abroad", "products", "Vendor Wire"),
    ("Brussels audit unit asks for logs of every automated safety stop", "regulation", "Policy Desk"),
    ("Anvil X1 shipments slip a quarter as packaging lines stay full", "chips", "Open Circuit"),
    ("A bearing maker in Brescia cut scrap by a fifth, and shows how", "industry", "Field Notes"),
    ("Nordhaven study: small vision models match large ones on weld seams", "research", "Signal Review"),
    ("Insurers begin to price predictive maintenance into machine cover", "industry", "Harbor Ledger"),
    ("Ostrava Semiconductors takes its sensor hub to twelve-inch wafers", "chips", "Open Circuit"),
    ("Hospital workshop borrows anomaly detection from machine tools", "health", "Health Current"),
    ("Ledgerline reads supplier invoices in nineteen languages", "products", "Vendor Wire"),
    ("What the new liability rules ask of a firm with 900 people", "regulation", "Policy Desk"),
    ("Tallow Robotics and Corvane Systems join their warehouse controls", "industry", "Harbor Ledger"),
    ("Planning by reward alone forgets the operator, two teams report", "research", "Signal Review"),
]
_ENTITIES = {
    "Brightmoor Labs": ("company", "Brightmoor Labs is a developer of language models based in Leeds."),
    "Kestrel-3": ("product", "Kestrel-3 is a language model by Brightmoor Labs that runs on a customer's own servers."),
    "Mira Castellane": ("person", "Mira Castellane is chief executive of Brightmoor Labs."),
    "Helix Foundry": ("company", "Helix Foundry is a designer of accelerators for inference in factories."),
    "Vantry Dynamics": ("company", ""),
    "Corvane Systems": ("company", "Corvane Systems is a maker of warehouse control software based in Rotterdam."),
}
_ANALYSIS = (
    "The licence covers on-premises use for the first time, so drawings and process parameters never leave the plant. "
    "Brightmoor names three pilot customers, one of them a maker of grinding machines, and quotes a median answer time "
    "of 340 milliseconds on a single server. For a machine tool maker this removes the objection that lawyers "
    "raised most often. Open points are the price of updates, which the announcement leaves out, and the missing "
    "certificate for functional safety, which the company expects in spring."
)


def _entity(name: str) -> dict[str, Any]:
    kind, told = _ENTITIES[name]
    address = f"http://company-atlas.example/profiles/{name.lower().replace(' ', '-')}"
    return {
        "name": name,
        "kind": kind,
        "background": told if kind != "company" or not told else f"{told} It supplies several plants in the region.",
        "url": address if told else "",
        "quote": told,
        "grade": "supported" if told else "unsupported",
        "domains": 1 if told else 0,
        "page_sha256": "ab" * 32 if told else "",
        "quote_start": 412 if told else 0,
    }


def article_row(rank: int) -> dict[str, Any]:
    """The validated row of one article."""
    title, category, source = _STORIES[rank - 1]
    host = source.lower().replace(" ", "-")
    address = f"http://{host}.example/2026/10/{title.lower().replace(' ', '-').replace(',', '')}"
    names = list(_ENTITIES)
    step = rank * 0.31
    return {
        "row_id": f"{rank:016x}",
        "rank": rank,
        "title": title,
        "url": address,
        "canonical_url": address,
        "content_hash": f"{rank:064x}",
        "sketch": [rank, rank + 1, rank + 2],
        "source_id": host.replace("-", "_"),
        "source_name": source,
        "author": "Ida Voss",
        "published_at": AS_OF - timedelta(days=rank, hours=3),
        "language": "en",
        "category": category,
        "categories": [category],
        "analysis": _ANALYSIS,
        "relevance": 9.4 - step,
        "impact": 8.1 - step,
        "novelty": 7.7 - step,
        "credibility": 8.8 - step / 2,
        "actionability": 6.9 - step,
        "tier3_score": 8.6 - step,
        "final_score": 8.4 - step,
        "rationale": "Names a product the reader could buy and a date; figures come from a named pilot.",
        "rank_reason": f"Score {8.6 - step:.1f}; no article above it tells the same story.",
        "follow_up": rank in (3, 7),
        "entities": [_entity(names[(rank + shift) % len(names)]) for shift in range(1 + rank % 3)],
    }


def envelope(phase: str, number: int, **values: Any) -> Envelope:
    """The envelope of a phase with the given counts and usage."""
    return Envelope(
        package_version="0.1.0", graph="intelligence", run_id="20261102_090000", phase=phase, number=number,
        artifact_id=f"{phase}-1", started_at=AS_OF, duration_seconds=values.pop("duration_seconds", 0.4),
        settings_fingerprint="s", code_fingerprint="c", data_sha256="d", content_sha256="e",
        columns=values.pop("columns", {"title": "string"}), **values,
    )  # fmt: skip


def history() -> dict[str, Envelope]:
    """Nine phases of a run over nine sources and 64 articles."""
    asking, embedded = ("tier2", "tier3", "paraphrased", "enriched"), ("extractive",)
    checks = (CheckOutcome(name="enough_articles", passed=False, message="12 articles, 20 were hoped for."),)
    by_rule = {
        "too_old": 13, "no_keyword": 6, "already_reported": 4, "near_duplicate": 3, "exact_duplicate": 1,
        "wrong_language": 1, "too_short": 1,
    }  # fmt: skip
    counts = {
        "initialized": Counts(),
        "scraped": Counts(
            rows_in=9, kept=8, failed=1, created=64, rows_out=64,
            dropped_by_reason={"no_text": 1, "listed_twice": 2}, failed_by_kind={"http_503": 1},
        ),
        "tier1": Counts(rows_in=64, kept=35, dropped=29, rows_out=35, dropped_by_reason=by_rule),
        "tier2": Counts(rows_in=35, kept=26, dropped=9, rows_out=26, dropped_by_reason={"below_threshold": 9}),
        "tier3": Counts(
            rows_in=26, kept=17, dropped=9, rows_out=17, dropped_by_reason={"below_threshold": 6, "beyond_limit": 3}
        ),
        "ranked": Counts(
            rows_in=17, kept=14, dropped=3, rows_out=14, dropped_by_reason={"source_cap": 2, "category_cap": 1}
        ),
        "paraphrased": Counts(rows_in=14, kept=13, dropped=1, rows_out=13, dropped_by_reason={"too_little_prose": 1}),
        "enriched": Counts(rows_in=13, kept=13, rows_out=13),
        "validated": Counts(rows_in=13, kept=12, dropped=1, rows_out=12, dropped_by_reason={"prompt_leftover": 1}),
    }  # fmt: skip
    columns = {"tier3": dict.fromkeys(("relevance", "tier3_score"), "double"), "initialized": {}}
    return {
        name: envelope(
            name,
            number,
            counts=count,
            usage=Usage(page_requests=71 if name == "scraped" else 0, models=embedded if name in asking else ()),
            checks=checks if name == "ranked" else (),
            columns=columns.get(name, {"title": "string"}),
        )
        for number, (name, count) in enumerate(counts.items(), 1)
    }


def source_rows() -> list[dict[str, Any]]:
    """Rows of the side table `sources`."""
    names = ["Harbor Ledger", "Signal Review", "Open Circuit", "Policy Desk", "Field Notes", "Vendor Wire"]
    rows = []
    for name in [*names, "Health Current", "Company Atlas", "Quiet Mirror"]:
        is_down = name == "Quiet Mirror"
        rows.append(
            {
                "source_id": name.lower().replace(" ", "_"),
                "name": name,
                "url": f"http://{name.lower().replace(' ', '-')}.example/feed",
                "kind": "feed",
                "status": "failed" if is_down else "scraped",
                "error": "http 503 Service Unavailable" if is_down else "",
                "entries": 0 if is_down else 9,
                "articles": 0 if is_down else 8,
                "bytes": 0 if is_down else 48_213,
                "seconds": 0.2,
            }
        )
    return rows


def initialized() -> dict[str, Any]:
    """The document of the first phase."""
    return {
        "settings": {"model": "extractive", "tier2": {"model": "extractive"}},
        "preset": "demo",
        "title": "",
        "as_of": AS_OF.isoformat(),
        "earlier": [{"run_id": "20261026_090000"}, {"run_id": "20261019_090000"}, {"run_id": "20261019_090000"}],
        "notes": [],
    }


CATEGORIES = {
    "research": "Research", "products": "Products", "chips": "Chips and hardware", "regulation": "Regulation",
    "industry": "Industry", "health": "Medicine",
}  # fmt: skip


@pytest.fixture
def build() -> Callable[..., dict[str, Any]]:
    """Makes a report document; what is given replaces the sample's rows, history, sources or first document."""

    def make(**given: Any) -> dict[str, Any]:
        title = given.pop("title", "AI for machine tools, week 44")
        settings = Settings.model_validate(
            {
                "company": {"name": "Meridian Tools", "description": "A maker of machine tools with 900 employees."},
                "categories": [
                    {"id": key, "name": name, "description": name, "keywords": [key]}
                    for key, name in CATEGORIES.items()
                ],
                "language": "en",
            }
        )
        return report(
            given.get("rows", [article_row(rank) for rank in range(1, 13)]),
            settings,
            RunInfo(graph="intelligence", run_id="20261102_090000", title=title, as_of=AS_OF, fresh_from=AS_OF),
            given.get("history", history()),
            given.get("initialized", initialized()),
            given.get("sources", source_rows()),
        )

    return make


@pytest.fixture
def sample() -> SimpleNamespace:
    """The parts that a sample report is made of."""
    return SimpleNamespace(article_row=article_row, envelope=envelope, history=history)
