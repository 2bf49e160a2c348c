"""The loopback model server itself: valid by schema, decided by each row's own text."""

from __future__ import annotations

import json
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field

from enrich_assets.engine.answer_schema import batch_schema
from enrich_assets_tests.model_server import ModelServer, answer_to

ROWS = [
    "title: Furnace\ntext: The furnace at Tilburg waits for cheap power. It pours at night. Nobody minds the noise.",
    "title: Robot\ntext: A robot in Odense lifts sacks of flour. It tears one in ninety. The bakers count them.",
]


class Part(BaseModel):
    name: str = Field(min_length=3, max_length=40)
    weight: float = Field(ge=1, le=2)


class Answer(BaseModel):
    score: int = Field(ge=3, le=7)
    category: Literal["chips", "robots", "policy"]
    reason: str = Field(min_length=20, max_length=60)
    summary: str = Field(min_length=80, max_length=140)
    parts: list[Part] = Field(min_length=2, max_length=4)
    note: str | None
    sure: bool


def batch(rows: list[str]) -> list[Any]:
    text = "\n\n".join(f'<row id="{n}">\n{row}\n</row>' for n, row in enumerate(rows, 1))
    answered = answer_to(text, batch_schema(Answer, len(rows)))["rows"]
    assert [item["id"] for item in answered] == list(range(1, len(rows) + 1))
    return [item["answer"] for item in answered]


@pytest.mark.parametrize("number", range(30))
def test_answers_are_valid(number: int) -> None:
    Answer.model_validate(answer_to(f"Text number {number}. It says little. {'More of it. ' * number}", batch_free()))


def batch_free() -> dict[str, Any]:
    return Answer.model_json_schema()


def test_swapped_texts_swap_their_answers_and_company_does_not_matter() -> None:
    first, second = batch(ROWS)
    assert first != second
    assert batch(ROWS[::-1]) == [second, first]
    assert batch([ROWS[1]]) == [second]
    assert answer_to(f'<row id="1">\n{ROWS[0]}\n</row>', batch_free()) == first
    for answer in (first, second):
        Answer.model_validate(answer)


def test_strings_are_taken_from_the_text() -> None:
    answer = batch(ROWS)[0]
    assert "furnace" in answer["summary"].lower()
    assert "robot" not in json.dumps(answer["summary"]).lower()


def test_a_plan_ends_and_counts_stay() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Anything."}]}
    with ModelServer() as server, httpx.Client(base_url=server.base_url) as client:
        server.plan("503", times=2)
        codes = [client.post("/chat/completions", json=body).status_code for _ in range(3)]
        assert codes == [503, 503, 200]
        assert (server.calls, server.answered, len(server.requests)) == (3, 1, 3)
        assert client.get("/models").json()["data"][0]["id"] == "loopback"
        server.plan("500", share=0.3)
        many = [{**body, "messages": [{"role": "user", "content": f"Row {n}"}]} for n in range(100)]
        failed = [client.post("/chat/completions", json=one).status_code == 500 for one in many]
        assert 15 <= sum(failed) <= 45
        assert failed == [client.post("/chat/completions", json=one).status_code == 500 for one in many]
