"""The loop: find pages for a question, read them, have them quoted, and keep what their stored texts bear out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.find import find
from enrich_assets.evidence.question import Question
from enrich_assets.evidence.read import ReadPage, read
from enrich_assets.evidence.verify import Claim, Finding, verified

Reader = Callable[[Question, Sequence[ReadPage]], Awaitable[Sequence[Claim]]]
"""What answers a question out of pages: a model or a rule. What it claims is believed only once it is verified."""


async def answer(clients: Clients, question: Question, reader: Reader, *, pages: int) -> list[Finding]:
    """The verified findings on at most `pages` pages of a search, at most one a page, in the reader's order.

    A page that cannot be read is passed over. Raises what the search and the reader raise.
    """
    urls = await find(clients, question, limit=pages)
    return await quoted(question, await read(clients, urls), reader)


async def quoted(question: Question, pages: Sequence[ReadPage], reader: Reader) -> list[Finding]:
    """The verified findings on these pages, at most one a page, in the reader's order; raises what the reader does."""
    found: dict[str, Finding] = {}
    for claim in await reader(question, pages):
        finding = verified(claim, question, pages)
        if finding is not None:
            found.setdefault(finding.page.sha256, finding)
    return list(found.values())
