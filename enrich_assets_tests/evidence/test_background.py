"""A background is only what a stored page really says, and it says from which page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import CallError, EndpointError, FinalError, TransientError
from enrich_assets.engine.clients import Clients, Hit, Prompt
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.evidence.background import Background, Subject, find_background
from enrich_assets.evidence.choosers import by_title
from enrich_assets.evidence.settings import LookupSettings
from enrich_assets.web.extract import extract
from enrich_assets_tests.evidence_fakes import FakeLlm, FakePages, article_html, clients_over, page, refuses

ARTICLE = "http://news.example/corvane-expands"
PROFILE = "http://atlas.example/corvane"
SECOND = "http://almanac.example/c/corvane"
NOISE = "http://other.example/cheese"

DEFINITION = "Corvane Systems is a maker of warehouse control software based in Rotterdam."
STORY = (
    "A depot in Ghent will be the first to run without night staff, its operator said on Tuesday.",
    "The software comes from Corvane Systems, which has worked on the project for two years and a half.",
    "Forklifts report their place every second, and the planner moves pallets before lorries arrive at the gate.",
)
PAGES: Mapping[str, str | CallError] = {
    ARTICLE: article_html("Corvane Systems expands", *STORY),
    PROFILE: article_html(
        "Corvane Systems",
        DEFINITION,
        "It was founded in 2009 by two dock workers and employs 640 people in three countries.",
        "Its programs decide which pallet is moved when, and which door a lorry is sent to.",
    ),
    SECOND: article_html(
        "Corvane Systems, almanac",
        "Corvane Systems is a Dutch software company that sells planners to the owners of warehouses.",
        "The almanac lists its directors, its seat and its capital, as filed with the chamber of commerce.",
    ),
    NOISE: article_html("Cheese", "Cheese is a food made of milk.", "There are many kinds of it, hard and soft ones."),
}
SUBJECT = Subject("Corvane Systems", "company", ARTICLE, "\n".join(STORY))
PROMPT = load_prompt(Path(__file__).parents[2] / "enrich_assets/graphs/intelligence/enriched_background.md")
EXTRACTIVE = LookupSettings(model="extractive", language="en")
MODEL = LookupSettings(model="some/model", language="en")


def without(*urls: str) -> dict[str, str | CallError]:
    return {url: body for url, body in PAGES.items() if url not in urls}


def found(clients: Clients, subject: Subject = SUBJECT, settings: LookupSettings = EXTRACTIVE) -> Background:
    return asyncio.run(find_background(clients, subject, settings=settings, prompt=PROMPT))


def text_of(url: str) -> str:
    body = PAGES[url]
    assert isinstance(body, str)
    return extract(page(url, body)).text


def test_a_definition_on_another_page_is_supported_and_stands_where_it_says() -> None:
    background = found(clients_over(PAGES))
    assert background.grade == "supported"
    assert background.url in (PROFILE, SECOND)
    assert background.domains == 2
    text = text_of(background.url)
    assert background.quote_start is not None
    assert text[background.quote_start : background.quote_start + len(background.quote)] == background.quote
    assert background.page_sha256 == page(background.url, str(PAGES[background.url])).sha256
    assert background.text == background.quote


def test_nothing_known_says_nothing() -> None:
    assert found(clients_over(without(PROFILE, SECOND))) == Background("", "", "", "unsupported", 0, "", None)


def test_a_definition_in_the_article_alone_is_graded_so() -> None:
    pages = {**without(PROFILE, SECOND), ARTICLE: article_html("Corvane expands", DEFINITION, *STORY)}
    background = found(clients_over(pages))
    assert (background.grade, background.url, background.quote) == ("own_article", ARTICLE, DEFINITION)
    assert background.domains == 1


def test_a_copy_of_the_article_at_another_address_is_no_second_source() -> None:
    story = (DEFINITION, *STORY)
    copy = "http://mirror.example/wire/4711"
    pages = {
        NOISE: PAGES[NOISE],
        ARTICLE: article_html("Corvane expands", *story),
        copy: article_html("Corvane expands", *story, "First published elsewhere."),
    }
    background = found(clients_over(pages), replace(SUBJECT, context_text="\n".join(story)))
    assert (background.grade, background.url) == ("own_article", ARTICLE)


def test_one_sentence_on_two_sites_counts_as_one() -> None:
    pages = {**PAGES, SECOND: article_html("Corvane Systems", DEFINITION, "It is listed here without further words.")}
    assert found(clients_over(pages)).domains == 1


def test_a_page_that_cannot_be_read_is_passed_over() -> None:
    clients = clients_over(PAGES)
    broken = replace(clients, pages=FakePages({**PAGES, PROFILE: TransientError("503", where=PROFILE)}))
    background = found(broken)
    assert (background.grade, background.url, background.domains) == ("supported", SECOND, 1)


def test_equal_subjects_of_a_run_are_looked_up_once() -> None:
    clients = clients_over(PAGES)

    async def both() -> None:
        work = [find_background(clients, SUBJECT, settings=EXTRACTIVE, prompt=PROMPT) for _ in range(8)]
        assert len({await one for one in asyncio.as_completed(work)}) == 1

    asyncio.run(both())
    assert isinstance(clients.pages, FakePages)
    assert len(clients.pages.asked) == len(set(clients.pages.asked))


def test_a_failed_lookup_is_tried_again() -> None:
    class Down:
        asked = 0

        async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
            self.asked += 1
            raise TransientError("down")

    search = Down()
    clients = replace(clients_over(PAGES), search=search)
    for _ in range(2):
        with pytest.raises(TransientError):
            found(clients)
    assert search.asked == 2


def passages_in(prompt: Prompt) -> dict[int, str]:
    pattern = r"Passage (\d+):\n<<<DATA \w+\n(.*?)\nDATA>>>"
    return {int(n): text for n, text in re.findall(pattern, prompt.user, re.DOTALL)}


def honest(prompt: Prompt) -> Any:
    claims = []
    for number, text in passages_in(prompt).items():
        for sentence in text.splitlines():
            if sentence.startswith("Corvane Systems is"):
                background = "Corvane Systems makes software for warehouses."
                claims.append({"passage": number, "quote": sentence.partition(".")[0] + ".", "background": background})
    return {"claims": claims}


def claiming(quote: str, background: str = "It is the largest of all.") -> Callable[[Prompt], Any]:
    return lambda prompt: {"claims": [{"passage": 1, "quote": quote, "background": background}]}


def test_a_model_that_quotes_is_believed_with_its_own_words() -> None:
    clients = clients_over(PAGES, honest)
    background = found(clients, settings=MODEL)
    assert background.grade == "supported"
    assert background.text == "Corvane Systems makes software for warehouses."
    assert background.quote in text_of(background.url)
    assert background.domains == 2
    assert isinstance(clients.llm, FakeLlm)
    assert len(clients.llm.prompts) == 1


@pytest.mark.parametrize(
    "quote",
    [
        "Corvane Systems is the largest software company in Europe.",
        DEFINITION.replace("Rotterdam", "Amsterdam"),
        DEFINITION.lower(),
        "Corvane Systems",
        "It was founded in 2009 by two dock workers and employs 640 people in three countries.",
        "Cheese is a food made of milk.",
        "",
        "   ",
        f"{DEFINITION} It is listed on the stock exchange.",
        "Corvane Systems … employs 640 people",
    ],
)
def test_an_invented_or_nameless_quote_is_unsupported_every_time(quote: str) -> None:
    assert found(clients_over(PAGES, claiming(quote)), settings=MODEL) == Background()


def test_a_wrong_passage_number_does_not_make_a_real_quote_wrong() -> None:
    def misnumbered(prompt: Prompt) -> Any:
        return {"claims": [{"passage": 99, "quote": DEFINITION, "background": ""}]}

    background = found(clients_over(PAGES, misnumbered), settings=MODEL)
    assert (background.grade, background.url, background.text) == ("supported", PROFILE, DEFINITION)


@pytest.mark.parametrize(
    "background",
    [
        "Corvane Systems employs 9,000 people.",
        "Corvane Systems belongs to Umbra Holdings.",
        "Corvane Systems is large. " * 60,
    ],
)
def test_a_background_with_a_number_or_name_that_the_page_lacks_gives_way_to_the_quote(background: str) -> None:
    assert found(clients_over(PAGES, claiming(DEFINITION, background)), settings=MODEL).text == DEFINITION


def test_a_background_made_of_the_page_stays() -> None:
    text = "Corvane Systems, founded in 2009, employs 640 people."
    assert found(clients_over(PAGES, claiming(DEFINITION, text)), settings=MODEL).text == text


def test_the_model_sees_only_passages_that_name_the_subject_and_no_address() -> None:
    clients = clients_over(PAGES, honest)
    found(clients, settings=MODEL)
    assert isinstance(clients.llm, FakeLlm)
    prompt = clients.llm.prompts[0]
    assert "Corvane Systems" in prompt.user
    assert "Cheese" not in prompt.user
    assert "http" not in prompt.user
    assert "claims" in prompt.system


def test_a_url_in_an_answer_is_never_fetched() -> None:
    evil = "http://evil.example/x"
    clients = clients_over(PAGES, claiming(f"Corvane Systems is described at {evil} in full.", evil))
    assert found(clients, settings=MODEL) == Background()
    assert isinstance(clients.pages, FakePages)
    assert set(clients.pages.asked) <= set(PAGES)


def test_a_refusing_model_costs_the_background_and_not_the_article() -> None:
    def refuse(prompt: Prompt) -> Any:
        raise FinalError("refused")

    assert found(clients_over(PAGES, refuse), settings=MODEL) == Background()


def test_a_model_that_nobody_can_reach_stops_the_work() -> None:
    def unreachable(prompt: Prompt) -> Any:
        raise EndpointError("401")

    with pytest.raises(EndpointError):
        found(clients_over(PAGES, unreachable), settings=MODEL)


def test_no_passage_means_no_call() -> None:
    assert found(clients_over(PAGES, refuses), Subject("Umbra Holdings", "company", NOISE), MODEL) == Background()


def test_pages_are_chosen_by_title_then_one_a_site() -> None:
    hits = [
        Hit("http://a.example/1", "Depots", "", 9.0),
        Hit("http://a.example/2", "More on depots", "", 8.0),
        Hit("http://b.example/1", "Corvane Systems", "", 7.0),
        Hit("http://a.example/3", "Corvane Systems in Ghent", "", 6.0),
    ]
    assert by_title(hits, "Corvane Systems", limit=3) == [
        "http://b.example/1",
        "http://a.example/3",
        "http://a.example/1",
    ]
