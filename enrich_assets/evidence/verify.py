"""Verification: what a reader of pages claims becomes a finding only if the stored text bears it out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from enrich_assets.evidence.question import Question
from enrich_assets.evidence.quote import Span, locate, tells_about
from enrich_assets.evidence.read import ReadPage

LONGEST_QUOTE = 600
"""Characters; more is not a quote but a copy."""
LONGEST_ANSWER = 600
"""Characters of an answer."""
# What a reader could follow: it leads nowhere that the page does not lead to.
_ADDRESS = re.compile(r"\b(?:[a-z][a-z0-9+.-]*://|www\.|mailto:)[^\s<>\"']+|[\w.+-]+@[\w-]+\.[\w.-]+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAMES = re.compile(r"\b[^\W\d_a-zà-ÿ]\w+(?:[ -][^\W\d_a-zà-ÿ]\w+)+")


@dataclass(frozen=True)
class Claim:
    """What a reader of pages says: a verbatim quote, an answer made of it, and the page that it names for both."""

    quote: str
    answer: str
    page: ReadPage | None = None


@dataclass(frozen=True)
class Finding:
    """A claim that was verified: where its quote stands, and the answer."""

    page: ReadPage
    span: Span
    answer: str


def verified(claim: Claim, question: Question, pages: Sequence[ReadPage]) -> Finding | None:
    """The finding on the page that the claim names, else on the first of `pages` that carries the quote; else None.

    The quote must name the subject, say something about it and be at most LONGEST_QUOTE characters. An answer with an
    address, a number or a name that the page does not have is replaced by the quote itself.
    """
    for page in [claim.page, *pages] if claim.page is not None else pages:
        span = locate(claim.quote, page.text)
        if span is not None and len(span.quote) <= LONGEST_QUOTE and tells_about(span.quote, question.about):
            return Finding(page, span, _founded(claim.answer, question.about, page) or " ".join(span.quote.split()))
    return None


def _founded(answer: str, about: str, page: ReadPage) -> str:
    answer = " ".join(answer.split())
    if not answer or len(answer) > LONGEST_ANSWER:
        return ""
    known = f"{about}\n{page.title}\n{page.text}".casefold()
    if any(address.casefold() not in known for address in _ADDRESS.findall(answer)):
        return ""
    numbers = set(_NUMBER.findall(known))
    if any(number not in numbers for number in _NUMBER.findall(answer)):
        return ""
    words = set(re.findall(r"\w+", known))
    named = (word for names in _NAMES.findall(answer) for word in re.findall(r"\w+", names))
    return answer if all(word.casefold() in words for word in named) else ""
