"""Passages: the parts of a page that speak of a subject, each a verbatim slice of the page's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enrich_assets.evidence.quote import names_entity
from enrich_assets.evidence.read import ReadPage
from enrich_assets.models.text import sentences
from enrich_assets.models.weights import most_tokens

NEIGHBOURS = 2
"""Sentences that come along before and after one that names the subject."""


@dataclass(frozen=True)
class Passage:
    """A part of a page."""

    text: str
    page: ReadPage


def numbered_passages(pages: Sequence[ReadPage], about: str, *, tokens: int) -> dict[int, Passage]:
    """The passages of all pages by their number, from 1: an equal share of at most `tokens` together for each page."""
    share = tokens // max(1, len(pages))
    found = [Passage(text, page) for page in pages for text in passages(page.text, about, tokens=share)]
    return dict(enumerate(found, 1))


def passages(text: str, about: str, *, tokens: int) -> list[str]:
    """The sentences that name `about` with their neighbours, joined where they overlap, in the text's order.

    At most `tokens` together, by the upper bound that needs no tokenizer (`models.weights.most_tokens`): the first
    ones, the last of them cut after a sentence. The result is empty where the text does not name the subject, or where
    the first such sentence alone is longer.
    """
    spans = _sentence_spans(text)
    named = [names_entity(text[start:end], about) for start, end in spans]
    found: list[str] = []
    left = tokens
    for first, last in _windows(named):
        # Where there is no room for its neighbours, the sentence that names the subject goes alone.
        core = named.index(True, first)
        while last > core and most_tokens(text[spans[first][0] : spans[last][1]]) > left:
            last -= 1
        while first < core and most_tokens(text[spans[first][0] : spans[last][1]]) > left:
            first += 1
        passage = text[spans[first][0] : spans[last][1]]
        if most_tokens(passage) > left:
            break
        found.append(passage)
        left -= most_tokens(passage)
    return found


def shared_part(text: str, other: str, *, size: int = 5) -> float:
    """Share of the `size`-word shingles of the shorter text that stand in the other one, 0–1 (Broder, 1997)."""
    a, b = _shingles(text, size), _shingles(other, size)
    smaller = min(len(a), len(b))
    return len(a & b) / smaller if smaller else 0.0


def _sentence_spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = 0
    for sentence in sentences(text):
        start = text.find(sentence, at)
        if start < 0:
            continue
        at = start + len(sentence)
        spans.append((start, at))
    return spans


def _windows(named: list[bool]) -> list[tuple[int, int]]:
    windows: list[tuple[int, int]] = []
    for index in (i for i, hit in enumerate(named) if hit):
        first, last = max(0, index - NEIGHBOURS), min(len(named) - 1, index + NEIGHBOURS)
        if windows and first <= windows[-1][1] + 1:
            windows[-1] = (windows[-1][0], last)
        else:
            windows.append((first, last))
    return windows


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.casefold().split()
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
