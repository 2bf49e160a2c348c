"""Verification: what a reader of pages claims becomes a finding only if the stored text bears it out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from enrich_assets.evidence.passages import shared_part
from enrich_assets.evidence.quote import Span, locate, tells_about

LONGEST_QUOTE = 600
"""Characters; more is not a quote but a copy."""
LONGEST_BACKGROUND = 600
"""Characters of a background."""
_COPY = 0.6
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAMES = re.compile(r"\b[^\W\d_a-zà-ÿ]\w+(?:[ -][^\W\d_a-zà-ÿ]\w+)+")


@dataclass(frozen=True)
class ReadPage:
    """A page that was read: its text as extracted, every URL it is known by, the key of its raw document."""

    url: str
    addresses: frozenset[str]
    sha256: str
    title: str
    text: str


@dataclass(frozen=True)
class Claim:
    """What a reader of pages says: a verbatim quote, and a background made of it."""

    quote: str
    background: str


@dataclass(frozen=True)
class Finding:
    """A claim that was verified: where its quote stands, and the background."""

    page: ReadPage
    span: Span
    background: str


def verified(claim: Claim, name: str, pages: Sequence[ReadPage]) -> Finding | None:
    """The finding on the first of `pages` that carries the quote; None when no page does.

    The quote must name the subject, say something about it and be at most LONGEST_QUOTE characters. A background
    with a number or a name that the page does not have is replaced by the quote itself.
    """
    for page in pages:
        span = locate(claim.quote, page.text)
        if span is not None and len(span.quote) <= LONGEST_QUOTE and tells_about(span.quote, name):
            return Finding(page, span, _founded(claim.background, name, page) or " ".join(span.quote.split()))
    return None


def is_copy(text: str, other: str) -> bool:
    """Whether one text repeats most of the other: the same article at a second address is no second source."""
    return shared_part(text, other) >= _COPY


def _founded(background: str, name: str, page: ReadPage) -> str:
    background = " ".join(background.split())
    if not background or len(background) > LONGEST_BACKGROUND:
        return ""
    known = f"{name}\n{page.title}\n{page.text}".casefold()
    numbers = set(_NUMBER.findall(known))
    if any(number not in numbers for number in _NUMBER.findall(background)):
        return ""
    words = set(re.findall(r"\w+", known))
    named = (word for names in _NAMES.findall(background) for word in re.findall(r"\w+", names))
    return background if all(word.casefold() in words for word in named) else ""
