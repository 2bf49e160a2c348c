"""Of facts that stand on pages most are found, and nothing is called supported that does not stand there."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from enrich_assets.engine.clients import Page
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.evidence.background import Background, Subject, find_background
from enrich_assets.evidence.quote import names_entity, tells_about
from enrich_assets.evidence.settings import LookupSettings
from enrich_assets.web.extract import extract
from enrich_assets.web.pages import PageStore
from enrich_assets_tests.evidence.known_web import FACTS, Fact, KnownWeb, article_url, clients_on, pages_of
from enrich_assets_tests.model_server import ModelServer

PROMPT = load_prompt(Path(__file__).parents[2] / "enrich_assets/graphs/intelligence/enriched_background.md")
BY_NAME = {fact.name: fact for fact in FACTS}


def found(known: KnownWeb, storage: Path, *, base_url: str = "") -> list[Background]:
    """The background of each fact's subject, as an article asks for it that only names the subject."""
    settings = LookupSettings(model="test" if base_url else "extractive", language="en")

    async def all_of_them() -> list[Background]:
        async with clients_on(known, storage, base_url) as clients:
            subjects = [Subject(fact.name, fact.kind, article_url(n // 3)) for n, fact in enumerate(FACTS)]
            looked_up = (find_background(clients, one, settings=settings, prompt=PROMPT) for one in subjects)
            return list(await asyncio.gather(*looked_up))

    return asyncio.run(all_of_them())


def stored_text(storage: Path, background: Background) -> str:
    """The text of the page that a background names, out of the page store alone."""
    body = PageStore(UPath(storage)).get(background.page_sha256)
    url, now = background.url, datetime.now(UTC)
    return extract(Page(url, url, 200, "text/html", "utf-8", body, background.page_sha256, now, "stored")).text


def wrongly_supported(storage: Path, backgrounds: list[Background]) -> list[str]:
    """Names whose background is called supported without a quote that stands in the stored page and names them."""
    wrong = []
    for fact, background in zip(FACTS, backgrounds, strict=True):
        if background.grade == "unsupported":
            assert background == Background()
            continue
        text, start = stored_text(storage, background), background.quote_start
        stands = start is not None and text[start : start + len(background.quote)] == background.quote
        if not (background.quote and stands and names_entity(background.quote, fact.name)):
            wrong.append(fact.name)
    return wrong


def asked_of(body: Mapping[str, Any]) -> tuple[str, dict[int, str]]:
    """Name and passages that a request shows to the model."""
    user = body["messages"][-1]["content"]
    (name,) = re.findall(r"Name: <<<DATA \w+\n(.*?)\nDATA>>>", user)
    found = re.findall(r"Passage (\d+):\n<<<DATA \w+\n(.*?)\nDATA>>>", user, re.DOTALL)
    return name, {int(number): text for number, text in found}


def claims(*found: tuple[int, str, str]) -> str:
    return json.dumps({"claims": [{"passage": n, "quote": quote, "background": told} for n, quote, told in found]})


def honest(body: Mapping[str, Any]) -> str:
    """Copies the sentence that says what the name is, from each passage that has it."""
    name, passages = asked_of(body)
    fact = BY_NAME[name]
    known = [sentence for sentence in (fact.sentence, fact.second) if sentence]
    return claims(*((n, s, s) for n, text in passages.items() for s in known if s in text))


def test_there_are_facts_enough_in_many_forms_and_on_several_sites() -> None:
    assert len(FACTS) == len(BY_NAME) == 60
    assert len({fact.url.split("/")[2] for fact in FACTS}) == 3
    assert sum(bool(fact.second) for fact in FACTS) == 20


def test_the_embedded_model_supports_most_facts_and_nothing_else(tmp_path: Path) -> None:
    known = KnownWeb(pages_of())
    backgrounds = found(known, tmp_path)
    grades = Counter(background.grade for background in backgrounds)
    print(f"extractive: {dict(grades)} of {len(FACTS)} known facts")
    assert wrongly_supported(tmp_path, backgrounds) == []
    assert grades["supported"] >= 0.9 * len(FACTS)
    assert set(known.asked) <= set(known.pages)


def test_a_model_that_reads_supports_most_facts_and_counts_their_sites(tmp_path: Path) -> None:
    known = KnownWeb(pages_of())
    with ModelServer(answers=honest) as server:
        backgrounds = found(known, tmp_path, base_url=server.base_url)
    grades = Counter(background.grade for background in backgrounds)
    print(f"model: {dict(grades)} of {len(FACTS)} known facts")
    assert wrongly_supported(tmp_path, backgrounds) == []
    assert grades["supported"] >= 0.9 * len(FACTS)
    by_two = {fact.name for fact, one in zip(FACTS, backgrounds, strict=True) if one.domains == 2}
    assert by_two == {fact.name for fact in FACTS if fact.second}


def _another(fact: Fact) -> Fact:
    return FACTS[(FACTS.index(fact) + 1) % len(FACTS)]


INVENTIONS: dict[str, Callable[[Fact, dict[int, str]], str]] = {
    "from its own knowledge": lambda fact, _: f"{fact.name} is the market leader in its field.",
    "a word added": lambda fact, _: fact.sentence[:-1] + " indeed.",
    "a number changed": lambda fact, _: re.sub(r"\d", "7", fact.sentence[:-1]) + " 77.",
    "in capitals": lambda fact, _: fact.sentence.upper(),
    "two sentences joined": lambda fact, _: f"A short entry. {fact.sentence}",
    "a gap left out": lambda fact, text: f"{fact.name} {text[1].split()[-3]} {text[1].split()[-1]}",
    "a true one that names another": lambda fact, _: _another(fact).sentence,
    "a true one that names nobody": lambda fact, _: "Visitors are received on weekdays.",
    "the name alone": lambda fact, _: fact.name,
    "nothing": lambda fact, _: "",
    "the other's sentence with this name": lambda fact, _: _another(fact).sentence.replace(
        _another(fact).name, fact.name
    ),
}


@pytest.mark.parametrize("kind", INVENTIONS)
def test_a_model_that_invents_quotes_supports_nothing(kind: str, tmp_path: Path) -> None:
    def invents(body: Mapping[str, Any]) -> str:
        name, passages = asked_of(body)
        return claims((1, INVENTIONS[kind](BY_NAME[name], passages), f"{name} is known everywhere."))

    with ModelServer(answers=invents) as server:
        backgrounds = found(KnownWeb(pages_of()), tmp_path, base_url=server.base_url)
        assert server.answered >= len(FACTS)
    assert set(backgrounds) == {Background()}


def test_what_a_quote_must_say_is_more_than_the_name() -> None:
    assert all(tells_about(fact.sentence, fact.name) for fact in FACTS)
