"""Grading: how much findings are worth together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from enrich_assets.evidence.passages import shared_part
from enrich_assets.evidence.quote import normalised
from enrich_assets.evidence.verify import Finding
from enrich_assets.web.urls import registered_domain

Grade = Literal["supported", "own_article", "unsupported"]
_COPY = 0.6


def independent(findings: Sequence[Finding]) -> int:
    """Sites that say it by themselves: registered domains whose quotes and pages repeat no other one's that counts.

    One sentence on many sites was written once, and so was one article.
    """
    counted: list[Finding] = []
    for finding in findings:
        if not any(_are_one_source(finding, other) for other in counted):
            counted.append(finding)
    return len(counted)


def is_copy(text: str, other: str) -> bool:
    """Whether one text repeats most of the other: the same article at a second address is no second source."""
    return shared_part(text, other) >= _COPY


def _are_one_source(one: Finding, other: Finding) -> bool:
    if registered_domain(one.page.url) == registered_domain(other.page.url):
        return True
    quotes = [" ".join(normalised(finding.span.quote).casefold().split()) for finding in (one, other)]
    return quotes[0] == quotes[1] or is_copy(quotes[0], quotes[1]) or is_copy(one.page.text, other.page.text)
