"""A quote counts only where it really stands, and only if it names what it is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich_assets.evidence.quote import locate, names_entity, tells_about

TEXT = (
    "Old news.\n\nCorvane\u00a0Systems — a “maker” of\n  warehouse software — isn’t new. Caf\u0065\u0301 Noir opened."
)


def test_a_quote_is_found_where_it_stands() -> None:
    span = locate("Old news.", TEXT)
    assert span is not None
    assert (span.start, span.end, span.quote) == (0, 9, "Old news.")


@pytest.mark.parametrize(
    "quote",
    [
        'Corvane Systems - a "maker" of warehouse software - isn\'t new.',
        "“Corvane Systems — a “maker” of warehouse software — isn’t new.”",
        'Corvane  Systems – a "maker" of ware\u00adhouse software – isn\'t new...',
    ],
)
def test_typography_does_not_hide_a_quote_and_the_original_comes_back(quote: str) -> None:
    span = locate(quote, TEXT)
    assert span is not None
    assert TEXT[span.start : span.end] == span.quote
    assert span.quote.startswith("Corvane\u00a0Systems — a “maker” of\n  warehouse")


def test_composed_and_decomposed_letters_are_equal() -> None:
    span = locate("Caf\u00e9 Noir", TEXT)
    assert span is not None
    assert span.quote == "Caf\u0065\u0301 Noir"


@pytest.mark.parametrize(
    "quote", ["", "  ", "“”", "...", "—", "old news.", "Corvane Systems is a maker", "Old news. C x"]
)
def test_what_does_not_stand_there_is_not_found(quote: str) -> None:
    assert locate(quote, TEXT) is None


def test_words_that_were_joined_over_a_gap_are_not_a_quote() -> None:
    assert locate("Old news … Caf\u00e9 Noir opened.", TEXT) is None


@given(st.text(min_size=1, max_size=80), st.data())
def test_every_slice_of_a_text_is_located_and_comes_back_verbatim(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    span = locate(text[start:end], text)
    if any(c.isalnum() for c in text[start:end]):
        assert span is not None
    if span is not None:
        assert text[span.start : span.end] == span.quote


@pytest.mark.parametrize(
    ("quote", "name", "expected"),
    [
        ("Corvane Systems is a maker.", "Corvane Systems", True),
        ("Corvane\u00a0Systems’ new plant", "Corvane Systems", True),
        ("NVIDIA makes chips", "Nvidia", True),
        ("an apple a day", "Apple", False),
        ("Claude 3.5 is a model", "Claude 3", False),
        ("Kestrel-30 is a model", "Kestrel-3", False),
        ("Kestrel-3, a language model", "Kestrel-3", True),
        ("the model Kestrel‑3 (2024)", "Kestrel-3", True),
        ("Anvils are heavy", "Anvil", False),
        ("C++ is a language", "C++", True),
        ("今日、東京電力は発表した", "東京電力", True),
        ("anything", "", False),
    ],
)
def test_a_name_counts_as_a_whole(quote: str, name: str, expected: bool) -> None:
    assert names_entity(quote, name) is expected


def test_a_bare_name_tells_nothing() -> None:
    assert not tells_about("Corvane Systems", "Corvane Systems")
    assert not tells_about("Corvane Systems said so", "Corvane Systems")
    assert tells_about("Corvane Systems makes warehouse software", "Corvane Systems")
    assert tells_about("東京電力は日本の電力会社である", "東京電力")
