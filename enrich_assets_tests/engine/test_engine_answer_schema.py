"""Schemas of answers: what the prompt says is said there too, and what earlier versions asked is found again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from enrich_assets.core.errors import DeclarationError, FinalError, MalformedAnswer
from enrich_assets.engine.answer_schema import batch_schema, former_schema_of, narrowed, schema_of
from enrich_assets.engine.asking import parsed
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.engine.sending import Sender
from enrich_assets_tests.engine_kit import MOMENT


class Item(BaseModel):
    name: str


class Answer(BaseModel):
    """Words for readers."""

    points: float = Field(ge=0, le=10)
    kind: str
    items: list[Item]


def test_a_narrowed_schema_says_more_and_the_check_stays() -> None:
    extra = {"kind": {"enum": ["a", "b"]}, "points": {"type": "integer"}, "Item.name": {"maxLength": 5}}
    one = narrowed(Answer, {**extra, "items": {"maxItems": 2, "title": None}})
    schema = schema_of(one)
    assert schema["properties"]["kind"] == {"title": "Kind", "type": "string", "enum": ["a", "b"]}
    assert schema["properties"]["points"] == {"title": "Points", "type": "integer", "minimum": 0, "maximum": 10}
    assert schema["properties"]["items"] == {"items": {"$ref": "#/$defs/Item"}, "type": "array", "maxItems": 2}
    assert schema["$defs"]["Item"]["properties"]["name"]["maxLength"] == 5
    assert schema["title"] == "Answer" and "Words" not in str(schema)
    assert batch_schema(one, 2)["properties"]["rows"]["items"]["properties"]["answer"]["properties"]["kind"]["enum"]
    # An endpoint may ignore all of it: what comes is judged as ever.
    found = parsed('{"points": 2.5, "kind": "c", "items": [{"name": "a long one"}]}', one)
    assert isinstance(found, Answer) and (found.points, found.kind) == (2.5, "c")
    with pytest.raises(MalformedAnswer, match="points"):
        parsed('{"points": 11, "kind": "a", "items": []}', one)


def test_the_wide_schema_stays_as_it_was_and_is_the_former_one() -> None:
    before = schema_of(Answer)
    one = narrowed(Answer, {"kind": {"enum": ["a"]}})
    assert former_schema_of(one) == before == schema_of(Answer)
    assert former_schema_of(Answer) is None
    assert narrowed(Answer, {"kind": {"enum": ["a"]}}) is one, "one model, and one schema, for all rows"


def test_a_field_that_the_answer_does_not_have_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"Answer has no field 'Item\.size'"):
        schema_of(narrowed(Answer, {"Item.size": {"maximum": 1}}))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def ask(ledger: Ledger, request: Request, answer: str | Exception, **renewal: Any) -> tuple[str, int]:
    """The text that the request gives, and how often it was sent."""
    sent = 0

    async def send() -> Reply:
        nonlocal sent
        sent += 1
        if isinstance(answer, Exception):
            raise answer
        return Reply({"text": answer}, cost=0.5)

    calls = Calls(ledger, Sender(ledger, run_id="r", phase="p"), run_id="r", phase="p", fresh_from=MOMENT, **renewal)
    try:
        reply = asyncio.run(calls.make(request, send, endpoint="m"))
    except FinalError as error:
        return error.what, sent
    return reply.content["text"], sent


FORMER, NOW = Request("model", {"schema": "wide"}), Request("model", {"schema": "narrow"}, former={"schema": "wide"})


def test_an_answer_to_the_former_form_of_a_request_costs_nothing_again(ledger: Ledger) -> None:
    assert ask(ledger, FORMER, "old") == ("old", 1)
    assert ask(ledger, NOW, "new") == ("old", 0)


def test_a_failure_of_the_former_form_is_remembered_until_it_is_to_be_asked_again(ledger: Ledger) -> None:
    assert ask(ledger, FORMER, FinalError("too long"))[1] == 1
    assert ask(ledger, NOW, "new") == ("too long", 0)
    assert ask(ledger, NOW, "new", retry_from=datetime.now(UTC)) == ("new", 1)
    assert ask(ledger, NOW, "newest") == ("new", 0)


def test_a_request_that_is_asked_again_is_asked_in_its_present_form(ledger: Ledger) -> None:
    assert ask(ledger, FORMER, "old") == ("old", 1)
    assert ask(ledger, NOW, "new", again_from=datetime.now(UTC)) == ("new", 1)
    assert ask(ledger, NOW, "newest") == ("new", 0)
    assert ask(ledger, FORMER, "newest") == ("old", 0)
