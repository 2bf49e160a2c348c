"""How a source fares over runs: what is new, what went wrong, and when it is marked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from enrich_assets.core.errors import EnrichError, TransientError
from enrich_assets.engine.clients import Clients
from enrich_assets.engine.columns import table_of
from enrich_assets.engine.phase import Created
from enrich_assets.graphs.intelligence.scraped import Settings, scraped
from enrich_assets.graphs.intelligence.source_health import SOURCES, no_source_fails_for_long
from enrich_assets.stats.figures.side_bars import SideBars
from enrich_assets.web.texts import ExtractedTexts
from enrich_assets_tests.evidence_fakes import FakeLlm, FakePages, article_html, refuses

SITE = "http://site.example"
SOURCE = {"id": "site", "name": "The Site", "url": f"{SITE}/", "kind": "listing", "row_id": "site"}
PROSE = "The foundry in Tilburg pours housings for pumps, and a controller decides when each of its furnaces runs. " * 3
DOWN = TransientError("the server answered 503.", where=SITE, kind="http_503")


def read(
    *names: str, before: dict[str, Any] | None = None, front: str | EnrichError = "", **broken: EnrichError
) -> Any:
    """The side row of a source that lists these articles."""
    listed = front or " ".join(f'<a href="/{name}">{name}</a>' for name in names)
    html = {f"{SITE}/{name}": broken.get(name) or article_html(name, PROSE) for name in names}
    clients = Clients(
        llm=FakeLlm(refuses), pages=FakePages({SOURCE["url"]: listed, **html}), texts=ExtractedTexts(), search=None
    )  # type: ignore[arg-type]
    found = asyncio.run(scraped({**SOURCE, "before": before}, clients, Settings()))
    assert isinstance(found, Created)
    (side,) = found.side["sources"]
    return side


def remembered(side: dict[str, Any]) -> dict[str, Any]:
    """A side row as the next run's `initialized` has it."""
    moment = side["last_new_at"]
    return {**{name: side[name] for name in ("listed", "failed_in_row")}, "last_new_at": moment and moment.isoformat()}


def test_in_the_first_run_everything_is_new() -> None:
    side = read("one", "two")
    assert (side["entries"], side["articles"], side["new_items"], side["failed_in_row"]) == (2, 2, 2, 0)
    assert side["last_new_at"] is not None and len(side["listed"]) == 2
    assert side["bytes_fetched"] == side["bytes"] > 0 and side["not_modified_share"] == 0.0


def test_later_only_what_was_not_listed_before_is_new() -> None:
    first = read("one", "two")
    same = read("one", "two", before=remembered(first))
    assert (same["new_items"], same["last_new_at"]) == (0, first["last_new_at"])
    assert read("one", "two", "three", before=remembered(same))["new_items"] == 1


def test_errors_are_counted_by_their_kind() -> None:
    side = read("one", "two", "three", two=DOWN, three=DOWN)
    assert [(error.kind, error.count) for error in side["errors"]] == [("http_503", 2)]
    assert (side["status"], side["articles"]) == ("scraped", 1)


def test_three_failed_runs_in_a_row_mark_a_source_and_one_that_answers_clears_it() -> None:
    history = [read("one")]
    for _ in range(3):
        history.append(read(front=DOWN, before=remembered(history[-1])))
    assert [side["failed_in_row"] for side in history] == [0, 1, 2, 3]
    assert history[-1]["last_new_at"] == history[0]["last_new_at"]
    warned = [no_source_fails_for_long(outcome(side), None) for side in history]
    assert warned[:3] == [None, None, None]
    assert warned[3] is not None and "The Site: 3 runs in a row" in warned[3] and "503" in warned[3]
    again = read("one", before=remembered(history[-1]))
    assert (again["failed_in_row"], again["new_items"]) == (0, 0)


def test_a_date_to_come_does_not_make_a_source_young() -> None:
    side = read("one")
    assert side["last_new_at"] <= datetime.now(UTC)


def outcome(*sides: dict[str, Any]) -> Any:
    return SimpleNamespace(sides={"sources": table_of(list(sides), SOURCES)})


def test_the_figure_shows_failed_sources_before_all_others() -> None:
    rows = [{**read("one"), "name": f"s{i}", "articles": i} for i in range(30)]
    rows.append({**read(front=DOWN), "name": "broken"})
    figure = SideBars("sources", "articles", label="articles per source", top=5)
    drawn = figure.draw(pa.table({}), outcome(*rows))
    assert set(drawn) == {"sources_articles.svg", "sources_articles.png"}
    text = drawn["sources_articles.svg"].decode()
    assert "broken (failed)" in text and "s29" in text and "(26 others)" in text and "s3<" not in text
    assert figure.spark(pa.table({}), outcome(*rows)).startswith("<svg")
