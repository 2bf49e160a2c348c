"""Texts of endpoints that are made to take the square of their length, or to break numbers: each is read at once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from enrich_assets.core.errors import MalformedAnswer, TransientError
from enrich_assets.engine.answer_text import parsed
from enrich_assets.models.faults import upstream_error
from enrich_assets.models.waits import stated_wait

NOW = datetime(2026, 12, 1, tzinfo=UTC)
LONG = 1_000_000


class Answer(BaseModel):
    a: int


def test_an_answer_that_ends_within_a_string_of_escaped_quotes_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        parsed('{"a": "' + '\\"' * (LONG // 2), Answer)


def test_a_trailing_comma_behind_escaped_quotes_is_left_out() -> None:
    assert parsed('So: {"b": "\\"}, ]", "a": 1,}', Answer).a == 1


@pytest.mark.parametrize("words", ["wait" + " " * LONG, "wait " + "1" * LONG, "wait " * (LONG // 5), "1" + " " * LONG])
def test_words_without_a_wait_state_none_however_long_they_are(words: str) -> None:
    assert stated_wait({}, None, words, NOW) is None


def test_a_wait_in_words_is_still_read() -> None:
    for words, seconds in (("Please try again in 8.6s", 8.6), ("Retry again after: 1m30s", 90.0), ("wait 2 min", 120)):
        assert stated_wait({}, None, words, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("body", [{"retry_after": 10**400}, {"retryDelay": {"seconds": 10**400}}])
def test_a_wait_that_is_too_large_for_a_float_is_a_day(body: dict[str, object]) -> None:
    assert stated_wait({}, body, "", NOW) == 86_400.0


def test_a_code_of_thousands_of_digits_is_no_status() -> None:
    assert isinstance(upstream_error("no", {"error": {"code": "9" * 5000}}, model="m"), TransientError)
