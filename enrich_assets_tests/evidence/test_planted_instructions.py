"""Instructions planted in pages, and a model that obeys them: the harm ends at the cell that the page is about."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.columns import table_of
from enrich_assets.engine.ledger import Ledger
from enrich_assets.evidence.quote import names_entity
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.graphs.intelligence.enriched import Entity
from enrich_assets.models.llm import endpoints_of
from enrich_assets.models.transport import Models
from enrich_assets_tests.engine_kit import run
from enrich_assets_tests.evidence.known_web import FACTS, KnownWeb, article_url, opener, pages_of
from enrich_assets_tests.evidence.test_known_facts import BY_NAME, asked_of, honest
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.shared_data import shared_data

EVIL = "collector.example"
SECRET = "the other rows say"
MARK = "Attention, assistant:"


def instructions() -> list[str]:
    """75 instructions for texts and 50 pieces of code to be passed on, as BIPIA has them."""
    found = []
    for name in ("text_attack_train", "code_attack_train"):
        data = json.loads(shared_data("security", "bipia", "benchmark", f"{name}.json").read_text(encoding="utf-8"))
        found += [text for group in data.values() for text in group]
    assert len(found) == 125
    return found


def obeying(body: Mapping[str, Any]) -> str:
    """Does what the page says where one says something, each time in another way; else reads honestly."""
    user = body["messages"][-1]["content"]
    is_lookup = "Passage 1:" in user
    if MARK not in user:
        return honest(body) if is_lookup else named_in(user)
    told = user.partition(MARK)[2].partition("\nDATA>>>")[0].strip()
    number = sum(map(ord, told)) % 8
    name = asked_of(body)[0] if is_lookup else ""
    real = BY_NAME[name].sentence if name in BY_NAME else told
    claim = {"passage": 1, "quote": real, "background": told}
    entity = {"name": told[:60], "kind": "company"}
    fields = {"claims": [claim]} if is_lookup else {"entities": [entity]}
    return [
        f"Of course! {told}",
        json.dumps({**fields, "rows": [{"id": 1, "answer": fields}], "fetch": f"http://{EVIL}/all"}),
        json.dumps({"claims": [{**claim, "quote": told[:300]}]} if is_lookup else fields),
        json.dumps({"claims": [{**claim, "url": f"http://{EVIL}/x"}]} if is_lookup else {"entities": [told]}),
        json.dumps({"claims": [{**claim, "background": f"See http://{EVIL}/{SECRET}"}]} if is_lookup else fields),
        json.dumps({"claims": [{**claim, "passage": n, "quote": f"{SECRET} {n}"} for n in range(40)]})
        if is_lookup
        else json.dumps({"entities": [entity] * 300}),
        json.dumps([fields] * 3),
        json.dumps({"claims": [{**claim, "background": f"Ask {FACTS[0].name} Holding at root@{EVIL}"}]})
        if is_lookup
        else json.dumps({"entities": [{"name": f"http://{EVIL}/take?me", "kind": "product"}]}),
    ][number]


def named_in(user: str) -> str:
    return json.dumps({"entities": [{"name": f.name, "kind": f.kind} for f in FACTS if names_entity(user, f.name)]})


def enriched_rows(place: Path, pages: Mapping[str, str], planted: Mapping[str, str]) -> tuple[PhaseResult, KnownWeb]:
    """The phase over the news articles; `planted` is what the text of an article says besides, by its URL."""
    known = KnownWeb(pages)
    rows = []
    for number in range(len(FACTS) // 3):
        url = article_url(number)
        text = "\n".join(filter(None, [known.text(url), planted.get(url)]))
        rows.append({"row_id": f"r{number:02}", "url": url, "title": "A meeting", "text": text})
    main = INTELLIGENCE.main_input(INTELLIGENCE.phase("enriched"))
    assert main is not None
    place.mkdir()
    with ModelServer(answers=obeying) as server, Ledger(f"sqlite:///{place / 'ledger.db'}") as ledger:
        settings = {"model": "test", "models": {"test": {"model": "openai/loopback", "base_url": server.base_url}}}
        models = Models(endpoints_of(INTELLIGENCE.resolve(settings, where="test")))
        result = run(
            INTELLIGENCE, "enriched", table_of(rows, INTELLIGENCE.columns(main)), ledger, models,
            settings={**settings, "attempts": 2, "max_failed_fraction": 1}, open_clients=opener(known, place, EVIL),
        )  # fmt: skip
    return result, known


def cells(result: PhaseResult) -> dict[str, list[dict[str, Any]]]:
    assert result.table is not None
    return {row["row_id"]: row["entities"] for row in result.table.to_pylist()}


def test_instructions_on_pages_touch_no_other_row_fetch_nothing_and_fill_no_other_field(tmp_path: Path) -> None:
    """Each instruction stands on a profile; a wave has 45 of them in rows 0 to 14, and articles: 15 to 17."""
    calm, _ = enriched_rows(tmp_path / "calm", pages_of(), {})
    expected = cells(calm)
    assert len(expected) == len(FACTS) // 3
    assert Counter(e["grade"] for row in expected.values() for e in row)["supported"] == len(FACTS)
    texts, speaking = instructions(), range(15, 18)
    seen: Counter[str] = Counter()
    for wave in range(0, len(texts), 45):
        planted = dict(zip((fact.name for fact in FACTS[:45]), texts[wave : wave + 45], strict=False))
        pages = pages_of(planted={name: f"{name}. {MARK} {text}" for name, text in planted.items()})
        articles = {article_url(number): f"{MARK} {texts[wave + number]}" for number in speaking}
        result, known = enriched_rows(tmp_path / f"wave{wave}", pages, articles)
        found = cells(result)

        # No other row touched; what the model says of an article costs that article alone.
        touched = {FACTS.index(BY_NAME[name]) // 3 for name in planted} | set(speaking)
        untouched = [row_id for row_id in expected if int(row_id[1:]) not in touched]
        assert len(untouched) >= 2
        for row_id in untouched:
            assert found[row_id] == expected[row_id]
        failed = {row["row_id"] for row in result.failed.to_pylist()}
        assert failed <= {f"r{number:02}" for number in speaking}
        assert {*found, *failed} == set(expected)
        # Nothing fetched but articles and what the search had.
        assert set(known.asked) <= set(pages)
        for row_id, entities in found.items():
            number = int(row_id[1:])
            for cell in entities:
                # No answer outside its schema, no leftover of what the page told the model to do elsewhere.
                entity = Entity.model_validate(cell)
                seen[entity.grade] += 1
                if number not in speaking:
                    assert entity.name in {fact.name for fact in FACTS[3 * number : 3 * number + 3]}
                assert EVIL not in entity.background
                assert SECRET not in entity.background
                if entity.grade != "unsupported":
                    assert entity.quote_start is not None
                    assert known.text(entity.url)[entity.quote_start :].startswith(entity.quote)
                    assert names_entity(entity.quote, entity.name)
    print(f"{len(texts)} instructions: {dict(seen)}")
    # Both happen, or the test has shown nothing.
    assert min(seen["supported"], seen["unsupported"]) >= 40


def test_the_model_of_this_test_does_obey() -> None:
    name = FACTS[0].name
    ways = set()
    for text in instructions():
        user = f"Name: <<<DATA a\n{name}\nDATA>>> a\n\nPassage 1:\n<<<DATA b\n{name}. {MARK} {text}\nDATA>>> b"
        answer = obeying({"messages": [{"role": "user", "content": user}]})
        assert answer != honest({"messages": [{"role": "user", "content": user}]})
        ways.add(re.sub(r"\W.*", "", answer[:3]) or answer[:10])
    assert len(ways) >= 2
