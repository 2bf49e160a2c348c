"""Errors of settings read as sentences for the person who wrote the file, whatever pydantic calls them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import pytest
from pydantic import Field, field_validator

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.settings import Settings, validated_settings


class Inner(Settings):
    """Settings below a key."""

    needed: int
    """Has to be there."""


class Sample(Settings):
    """One field of each kind."""

    whole: int = Field(default=1, ge=1, le=9)
    """A count."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """A share."""
    flag: bool = False
    """A switch."""
    text: str = Field(default="ab", min_length=2, max_length=4)
    """Text."""
    code: str = Field(default="en", pattern="^[a-z]{2}$")
    """A code."""
    many: tuple[str, ...] = Field(default=("a",), min_length=1, max_length=2)
    """A list."""
    kind: Literal["feed", "page"] = "feed"
    """A choice."""
    moment: datetime | None = None
    """A moment."""
    named: dict[str, int] = Field(default={})
    """Keys with values."""
    inner: Inner | None = None
    """More settings."""
    even: int = 2
    """A number with a rule of its own."""

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("it is odd")
        return value


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"whole": "many"}, "whole: should be a whole number (got 'many')."),
        ({"whole": 1.5}, "whole: should be a whole number (got 1.5)."),
        ({"whole": 0}, "whole: should be at least 1 (got 0)."),
        ({"whole": 10}, "whole: should be at most 9 (got 10)."),
        ({"share": "much"}, "share: should be a number (got 'much')."),
        ({"share": 0}, "share: should be more than 0.0 (got 0)."),
        ({"share": 1}, "share: should be less than 1.0 (got 1)."),
        ({"share": float("inf")}, "share: should be a finite number (got inf)."),
        ({"flag": "perhaps"}, "flag: should be true or false (got 'perhaps')."),
        ({"text": 7}, "text: should be text (got 7): put it in quotes."),
        ({"text": "a"}, "text: should have at least 2 characters (got 'a')."),
        ({"text": "abcde"}, "text: should have at most 4 characters (got 'abcde')."),
        ({"code": "EN"}, "code: should look like ^[a-z]{2}$ (got 'EN')."),
        ({"many": "a"}, "many: should be a list (got 'a')."),
        ({"many": []}, "many: should have 1 or more items (got [])."),
        ({"many": ["a", "b", "c"]}, "many: should have at most 2 items (got ['a', 'b', 'c'])."),
        ({"kind": "fed"}, "kind: should be 'feed' or 'page' (got 'fed')."),
        ({"moment": "soon"}, "moment: should be a date with a time, like 2026-01-31T09:30:00Z (got 'soon')."),
        ({"named": [1]}, "named: should be keys with values (got [1])."),
        ({"inner": 3}, "inner: should be keys with values (got 3)."),
        ({"inner": {}}, "inner.needed: has to be given."),
        ({"even": 3}, "even: it is odd (got 3)."),
        ({"hole": 3}, "hole: unknown key; did you mean 'whole' or 'code'?"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(values: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        validated_settings(Sample, values, where="mine.yaml")
    assert error.value.what == told


def test_what_has_no_words_of_its_own_keeps_pydantics() -> None:
    class Unusual(Settings):
        """A kind that no settings have."""

        raw: bytes = b""
        """Bytes."""

    with pytest.raises(SettingsError, match="raw: Input should be a valid bytes"):
        validated_settings(Unusual, {"raw": 3}, where="mine.yaml")
