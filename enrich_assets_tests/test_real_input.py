"""Real pages and feeds through all ten phases, as Dagster assets: with the embedded model, and with a model server.

Belongs here: what only a whole run over input that nobody in this project wrote can show. The long form takes every
page (`scripts/test --long`); the short form is the same with fewer.
"""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from enrich_assets.core.envelope import Envelope
from enrich_assets.defs.instance import open_instance
from enrich_assets.engine import tables
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.clients import Page, Prompt
from enrich_assets.engine.graph import Graph
from enrich_assets.evidence.background import PassageClaims
from enrich_assets.graphs.intelligence.enriched import NamedEntities
from enrich_assets.models.llm import LiteLlm
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.web.extract import extract
from enrich_assets.web.pages import PageStore
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.newsroom import INVENTED, newsroom_answer, schema_title
from enrich_assets_tests.real_runs import INTELLIGENCE, KEY, USD_IN, USD_OUT, House, settings_for
from enrich_assets_tests.real_site import RealArticle, RealSite, Traffic, only_loopback, real_articles, real_feeds

FEW = 18
PHASES = INTELLIGENCE.names
WIDE: dict[str, Any] = {
    "tier2": {"threshold": 2},
    "tier3": {"threshold": 2, "keep": 250},
    "ranked": {"keep": 250, "per_source": 50, "per_category": 250},
}
"""Sieves so wide that more than a hundred articles reach the report."""


@pytest.fixture(scope="module")
def traffic() -> Iterator[Traffic]:
    """Nothing but loopback is in reach, and what tries to leave is counted."""
    with only_loopback() as watched:
        yield watched


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory, traffic: Traffic) -> Iterator[Any]:
    """A function that gives a new house: its own storage, one Dagster instance for all."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv(KEY, "a-key-of-the-tests")
        instance = open_instance()
        try:
            yield lambda name: House(tmp_path_factory.mktemp(name), instance)
        finally:
            instance.dispose()


@pytest.fixture(scope="module")
def few(traffic: Traffic) -> Iterator[RealSite]:
    """A site of a few real pages."""
    with RealSite(real_articles(FEW)) as site:
        yield site


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """The loopback model."""
    with ModelServer(answers=newsroom_answer) as running:
        yield running


@pytest.fixture(scope="module")
def asked(houses: Any, few: RealSite, server: ModelServer) -> tuple[House, str]:
    """A run over the few pages with the model, undisturbed: the house and the run's ID."""
    house = houses("asked")
    run_id = house.begin(settings_for(few, server))
    assert house.resume(run_id).succeeded
    return house, run_id


@pytest.mark.parametrize(
    ("pages", "feeds", "model", "least", "further"),
    [
        pytest.param(32, 6, "", 12, {}, id="short"),
        pytest.param(32, 6, "litellm", 12, {}, id="short-litellm"),
        pytest.param(None, 20, "", 100, WIDE, id="long", marks=pytest.mark.long),
        pytest.param(None, 20, "litellm", 100, WIDE, id="long-litellm", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(600)
def test_real_pages_and_feeds_go_through_all_ten_phases(
    houses: Any,
    traffic: Traffic,
    server: ModelServer,
    pages: int | None,
    feeds: int,
    model: str,
    least: int,
    further: dict[str, Any],
) -> None:
    articles = real_articles(pages)
    house = houses("whole")
    before = server.calls, server.tokens_in, server.tokens_out
    with RealSite(articles, real_feeds(feeds)) as site:
        run_id = house.begin(settings_for(site, server if model else None, path=model, **further))
        launched = house.resume(run_id)
        assert launched.succeeded, launched
        listed = {site.url_of(article): article for article in articles}
        assert max(site.fetched.values()) == 1, "a page was fetched twice"
    envelopes = house.envelopes(run_id)
    _show(envelopes)

    assert tuple(envelopes) == PHASES
    assert house.stands_at(run_id) == ""
    assert envelopes["scraped"].counts.rows_out >= len(articles)
    assert envelopes["report"].counts.kept >= least
    _every_row_is_accounted_for(house, run_id, set(listed))
    _texts_are_those_of_the_pages(house, run_id, listed)
    _analyses_keep_their_length(house, run_id)
    grades = _grades_whose_quotes_stand_in_their_page(house, run_id)
    print(dict(grades))
    assert grades["supported"] + grades["own_article"] >= 3
    assert grades["supported"] >= (1 if model else 0)
    assert {"reports/report.md", "reports/report.html"} <= set(envelopes["report"].files)
    assert traffic.addresses == []
    assert envelopes["scraped"].counts.failed_by_kind["dns"] > 0, "the feed files link to the internet"
    _calls_are_counted_and_priced(envelopes, server, before)


def test_a_repeated_run_calls_no_model_and_fetches_no_page(
    asked: tuple[House, str], few: RealSite, server: ModelServer
) -> None:
    house, run_id = asked
    calls, fetched = server.calls, few.fetched.total()
    again = house.begin(like=run_id)
    assert house.resume(again).succeeded

    assert (server.calls, few.fetched.total()) == (calls, fetched)
    assert _hashes(house, again) == _hashes(house, run_id)
    assert sum(envelope.usage.model_calls for envelope in house.envelopes(again).values()) == 0


def test_another_threshold_costs_nothing_up_to_the_phase_that_has_it(
    asked: tuple[House, str], few: RealSite, server: ModelServer
) -> None:
    house, run_id = asked
    fetched = few.fetched.total()
    stricter = house.begin(like=run_id, overrides=["tier3.threshold=5.2"])
    assert house.resume(stricter, up_to="tier3").succeeded

    used = {name: envelope.usage.model_calls for name, envelope in house.envelopes(stricter).items()}
    assert (used["tier2"], used["tier3"], few.fetched.total()) == (0, 0, fetched)
    kept = {row["row_id"]: row["tier3_score"] for row in house.rows(run_id, "tier3")}
    assert min(kept.values()) < 5.2, "the sample must have something to lose"
    assert {row["row_id"] for row in house.rows(stricter, "tier3")} == {i for i, s in kept.items() if s >= 5.2}


def test_one_word_in_a_prompt_repeats_that_prompts_calls_alone(
    asked: tuple[House, str], few: RealSite, server: ModelServer, tmp_path: Path
) -> None:
    house, run_id = asked
    graph = _with_prompt_word(INTELLIGENCE, "tier3", ("You judge news", "You weigh news"), tmp_path)
    calls, fetched = server.calls, few.fetched.total()
    changed = house.begin(like=run_id, graph=graph)
    assert house.resume(changed, graph=graph).succeeded

    used = {name: envelope.usage.model_calls for name, envelope in house.envelopes(changed).items()}
    assert used["tier3"] == house.envelopes(run_id)["tier3"].counts.rows_in > 0
    assert {name for name, count in used.items() if count} == {"tier3"}
    assert (server.calls - calls, few.fetched.total()) == (used["tier3"], fetched)
    # The prompts belong to the code: with the old ones the run stands where they count.
    assert house.stands_at(changed, graph=graph) == ""
    assert house.stands_at(changed) == "tier3"


def test_swapped_texts_swap_their_scores(
    houses: Any, asked: tuple[House, str], few: RealSite, server: ModelServer
) -> None:
    house, run_id = asked
    # Of one source, because the prompt names it, and judged by both phases.
    judged = {row["url"]: row for row in house.rows(run_id, "tier3")}
    one, other = _two_of_one_source(list(judged.values()))
    few.swap(one["url"], other["url"])
    try:
        swapped = houses("swapped")
        second = swapped.begin(settings_for(few, server))
        assert swapped.resume(second, up_to="tier3").succeeded
    finally:
        few.swap(one["url"], other["url"])

    found = {row["url"]: row for row in swapped.rows(second, "tier3")}
    scores = ("tier2_score", "category", "relevance", "impact", "novelty", "credibility", "actionability")
    assert [one[name] for name in scores] != [other[name] for name in scores]
    assert [found[one["url"]][name] for name in scores] == [other[name] for name in scores]
    assert [found[other["url"]][name] for name in scores] == [one[name] for name in scores]
    others = set(judged) - {one["url"], other["url"]}
    assert {url: found[url]["tier3_score"] for url in others} == {url: judged[url]["tier3_score"] for url in others}


def test_a_run_survives_a_model_that_fails_one_time_in_ten(
    houses: Any, asked: tuple[House, str], few: RealSite, server: ModelServer
) -> None:
    house = houses("faulty")
    before = server.calls, server.tokens_in, server.tokens_out
    run_id = house.begin(settings_for(few, server, path="litellm", attempts=5))
    server.plan("429", every=30, retry_after=0.05).plan("500", every=29).plan("half_json", every=28)
    try:
        assert house.resume(run_id).succeeded
    finally:
        server.heal()

    envelopes = house.envelopes(run_id)
    assert all(envelope.counts.failed == 0 for envelope in envelopes.values())
    assert sum(envelope.usage.retries for envelope in envelopes.values()) > 0
    # The other run went the direct way and met no fault: neither shows in what is published.
    assert _hashes(house, run_id) == _hashes(*asked)
    _calls_are_counted_and_priced(envelopes, server, before)


def test_a_wrong_key_stops_the_run_with_one_clear_error_and_a_right_one_continues_it(
    houses: Any, asked: tuple[House, str], few: RealSite, server: ModelServer
) -> None:
    house = houses("locked")
    run_id = house.begin(settings_for(few, server, path="litellm"))
    calls = server.calls
    server.plan("invalid_key")
    try:
        launched = house.resume(run_id)
    finally:
        server.heal()

    assert (launched.succeeded, launched.failed_phase) == (False, "tier2")
    assert server.calls - calls <= 20
    assert "refuses the key" in launched.failure
    assert "Check the environment variable" in launched.failure
    assert f"enrich resume {run_id}" in launched.failure
    assert house.stands_at(run_id) == "tier2"
    first_half = {name: envelope.artifact_id for name, envelope in house.envelopes(run_id).items()}
    assert tuple(first_half) == PHASES[:3]
    fetched = few.fetched.total()

    assert house.resume(run_id).succeeded
    whole = {name: envelope.artifact_id for name, envelope in house.envelopes(run_id).items()}
    assert {name: whole[name] for name in first_half} == first_half
    assert few.fetched.total() == fetched
    assert _hashes(house, run_id) == _hashes(*asked)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "moments", [pytest.param((6,), id="once"), pytest.param((1, 7, 12, 20), id="four-times", marks=pytest.mark.long)]
)
def test_no_committed_answer_is_asked_again_after_a_kill(
    houses: Any,
    asked: tuple[House, str],
    few: RealSite,
    server: ModelServer,
    tmp_path: Path,
    moments: Sequence[int],
) -> None:
    house = houses("killed")
    run_id = house.begin(settings_for(few, server, concurrency=2))
    assert house.resume(run_id, up_to="paraphrased").succeeded
    assert house.stands_at(run_id) == "enriched"

    committed: set[str] = set()
    for moment in moments:
        server.requests.clear()
        server.latency = 0.1
        try:
            _kill_in_the_middle_of_enriched(house, run_id, moment, tmp_path)
        finally:
            server.latency = 0.0
        asked_now = [_request_hash(seen.body, server) for seen in server.requests]
        assert committed.isdisjoint(asked_now)
        committed |= _committed_model_answers(house, run_id, "enriched")
        assert len(committed) >= moment
        assert house.stands_at(run_id) == "enriched"

    server.requests.clear()
    assert house.resume(run_id).succeeded
    asked_after = [_request_hash(seen.body, server) for seen in server.requests]
    assert asked_after, "the kill came too late to show anything"
    assert committed.isdisjoint(asked_after)
    assert len(set(asked_after)) == len(asked_after)
    assert _hashes(house, run_id) == _hashes(*asked)
    undisturbed = asked[0].envelopes(asked[1])["enriched"].usage.model_calls
    assert len(committed) + len(asked_after) == undisturbed


def _every_row_is_accounted_for(house: House, run_id: str, listed: set[str]) -> None:
    envelopes = house.envelopes(run_id)
    for name, envelope in envelopes.items():
        counts = envelope.counts
        assert counts.rows_in == counts.kept + counts.dropped + counts.failed, name
    sides = {name: {side: house.side(run_id, name, side) for side in ("dropped", "failed")} for name in PHASES}
    for name, side in sides.items():
        counts = envelopes[name].counts
        assert len(side["dropped"]) == sum(counts.dropped_by_reason.values()), name
        assert len(side["failed"]) == sum(counts.failed_by_kind.values()), name
    scraped = house.rows(run_id, "scraped")
    seen = {row["url"] for row in [*scraped, *sides["scraped"]["dropped"], *sides["scraped"]["failed"]]}
    assert listed <= seen
    before = {row["row_id"] for row in scraped}
    for name in PHASES[2:-1]:
        kept = [row["row_id"] for row in house.rows(run_id, name)]
        gone = [row["row_id"] for side in sides[name].values() for row in side]
        assert sorted(before) == sorted([*kept, *gone]), name
        before = set(kept)


def _texts_are_those_of_the_pages(house: House, run_id: str, listed: dict[str, RealArticle]) -> None:
    """The word overlap (F1 of the word sets) with the ground truth; its mean on these pages is near 0.95."""
    overlaps = []
    for row in house.rows(run_id, "scraped"):
        article = listed.get(row["url"])
        if article is not None and article.text:
            found, wanted = _words(row["text"]), _words(article.text)
            overlaps.append(2 * len(found & wanted) / (len(found) + len(wanted)))
            assert not article.published or row["published_at"] in (article.published, *_undated(row))
    assert sum(overlaps) / len(overlaps) > 0.9


def _undated(row: dict[str, Any]) -> Sequence[datetime]:
    # A listing names no dates: there the page's own counts.
    return [row["published_at"]] if row["source_id"] in ("field_report", "open_page") else []


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _analyses_keep_their_length(house: House, run_id: str) -> None:
    for row in house.rows(run_id, "paraphrased"):
        assert 500 <= len(row["analysis"]) <= 600
        assert row["analysis_characters"] == len(row["analysis"])


def _grades_whose_quotes_stand_in_their_page(house: House, run_id: str) -> Counter[str]:
    """How many entities have each grade; every quote is looked up anew in the stored document that it names."""
    pages = PageStore(house.store.root)
    grades: Counter[str] = Counter()
    for row in house.rows(run_id, "validated"):
        for entity in row["entities"]:
            assert INVENTED not in f"{entity['quote']} {entity['background']}"
            assert entity["name"] != "Glass Umbrella Works"
            if entity["grade"] != "unsupported":
                text = _text_of(pages, entity["page_sha256"], entity["url"])
                start = entity["quote_start"]
                assert text[start : start + len(entity["quote"])] == entity["quote"]
                assert (entity["grade"] == "supported") == (entity["url"] not in (row["url"], row["canonical_url"]))
            grades[entity["grade"]] += 1
    return grades


@cache
def _text_of(pages: PageStore, key: str, url: str) -> str:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return extract(Page(url, url, 200, "text/html", "", pages.get(key), key, moment, "stored")).text


def _calls_are_counted_and_priced(
    envelopes: dict[str, Envelope], server: ModelServer, before: tuple[int, int, int]
) -> None:
    usages = [envelope.usage for envelope in envelopes.values()]
    calls, tokens_in, tokens_out = before
    assert sum(usage.model_calls for usage in usages) == server.calls - calls
    assert sum(usage.tokens_in for usage in usages) == server.tokens_in - tokens_in
    assert sum(usage.tokens_out for usage in usages) == server.tokens_out - tokens_out
    price = ((server.tokens_in - tokens_in) * USD_IN + (server.tokens_out - tokens_out) * USD_OUT) / 1_000_000
    assert sum(usage.cost or 0.0 for usage in usages) == pytest.approx(price)


def _hashes(house: House, run_id: str) -> dict[str, str]:
    """The data hash of every phase that says nothing of the run itself."""
    envelopes = house.envelopes(run_id)
    return {name: envelopes[name].data_sha256 for name in PHASES[1:-1]}


def _with_prompt_word(graph: Graph, phase: str, change: tuple[str, str], folder: Path) -> Graph:
    """A copy of the graph whose phase has a copy of its prompt with one word changed."""
    original = graph.phase(phase)
    assert original.prompt is not None
    text = original.prompt.read_text(encoding="utf-8")
    assert text.count(change[0]) == 1
    prompt = folder / f"{phase}_changed.md"
    prompt.write_text(text.replace(*change), encoding="utf-8")
    changed = copy.copy(graph)
    changed.phases = tuple(replace(p, prompt=prompt) if p is original else p for p in graph.phases)
    return changed


def _two_of_one_source(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    for row in rows:
        # The feed states both dates, so that only the texts change places.
        for other in rows:
            if other is not row and other["source_id"] == row["source_id"]:
                return row, other
    raise AssertionError("no source has two judged articles")


def _kill_in_the_middle_of_enriched(house: House, run_id: str, moment: int, folder: Path) -> None:
    """Resumes the run in another process, and kills that once `moment` answers of `enriched` are committed."""
    environment = {**os.environ, "ENRICH_STORAGE": str(house.storage)}
    command = [sys.executable, "-m", "enrich_assets_tests.real_runs", run_id]
    root = Path(__file__).resolve().parent.parent
    with (folder / "child.log").open("w+", encoding="utf-8") as log:
        child = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 90
            while len(_committed_model_answers(house, run_id, "enriched")) < moment and child.poll() is None:
                assert time.monotonic() < deadline, "the child asked nothing"
                time.sleep(0.05)
            log.seek(0)
            assert child.poll() is None, log.read()
        finally:
            child.kill()
            child.wait(10)


def _committed_model_answers(house: House, run_id: str, phase: str) -> set[str]:
    engine = sa.create_engine(f"sqlite:///{house.storage / 'ledger.db'}")
    answers = tables.answers.c
    query = sa.select(answers.request_hash).where(
        answers.run_id == run_id, answers.phase == phase, answers.kind == "model"
    )
    try:
        with engine.connect() as connection:
            return set(connection.execute(query).scalars())
    finally:
        engine.dispose()


def _request_hash(body: dict[str, Any], server: ModelServer) -> str:
    """The ledger's name for a request as the server saw it."""
    endpoint = ModelEndpoint(model="openai/test-model", base_url=server.base_url)
    answer = {"NamedEntities": NamedEntities, "PassageClaims": PassageClaims}[schema_title(body)]
    system, user = (message["content"] for message in body["messages"])
    asker = Asker(cast(Any, None), LiteLlm({"test": endpoint}), attempts=1)
    return asker.request(Prompt(system, user), answer, model="test").hash


def _show(envelopes: dict[str, Envelope]) -> None:
    for name, envelope in envelopes.items():
        counts, usage = envelope.counts, envelope.usage
        print(
            f"{name:12} in {counts.rows_in:4} kept {counts.kept:4} dropped {counts.dropped:4} failed {counts.failed:4} "
            f"out {counts.rows_out:4} calls {usage.model_calls:4} {envelope.duration_seconds:6.2f} s "
            f"{counts.dropped_by_reason or ''} {counts.failed_by_kind or ''}"
        )
