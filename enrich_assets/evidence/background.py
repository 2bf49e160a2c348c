"""Backgrounds: find pages about a subject, read them, quote what says who or what it is, verify the quote.

The model, where one is asked, only ever sees numbered passages of pages that the rules here chose; what it answers
names no page to fetch. Whatever it claims is checked against the stored text before it counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.errors import CallError, EndpointError, FinalError, MalformedAnswer
from enrich_assets.engine.clients import Clients, Hit
from enrich_assets.engine.prompts import PromptTemplate
from enrich_assets.evidence.memo import memo_of
from enrich_assets.evidence.passages import passages
from enrich_assets.evidence.quote import names_entity
from enrich_assets.evidence.settings import LookupSettings
from enrich_assets.evidence.verify import Claim, Finding, ReadPage, is_copy, verified
from enrich_assets.models.definitions import definition_sentence
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.web.urls import canonicalize, registered_domain

Grade = Literal["supported", "own_article", "unsupported"]


@dataclass(frozen=True)
class Subject:
    """What is looked up. `context_url` and `context_text` are the article that named it."""

    name: str
    kind: str
    context_url: str
    context_text: str = ""


@dataclass(frozen=True)
class Background:
    """What is known of a subject.

    `supported`: `quote` stands on the page `url`, which is another page than the article. `own_article`: it stands
    only in the article itself. `unsupported`: nothing is known, every text is empty. `domains` counts independent
    sites whose pages carry a verified quote. `quote_start` is the quote's offset, in characters, in the text
    extracted from the document `page_sha256`; None without a quote.
    """

    text: str = ""
    url: str = ""
    quote: str = ""
    grade: Grade = "unsupported"
    domains: int = 0
    page_sha256: str = ""
    quote_start: int | None = None


class PassageClaim(BaseModel):
    """One claim of the model about the subject."""

    model_config = ConfigDict(extra="forbid")

    passage: int = Field(description="number of the passage that the quote was copied from")
    quote: str = Field(description="one sentence of that passage, copied character by character, naming the subject")
    background: str = Field(description="who or what the subject is, one to three sentences, from that passage alone")


class PassageClaims(BaseModel):
    """The model's answer: at most one claim a page, the clearest first; none when no passage says what it is."""

    model_config = ConfigDict(extra="forbid")

    claims: list[PassageClaim]


async def find_background(
    clients: Clients, subject: Subject, *, settings: LookupSettings, prompt: PromptTemplate
) -> Background:
    """The background of a subject, from other pages where they have one, else from its own article.

    `prompt` is rendered with `row` = name, kind and the numbered passages; 'extractive' does not read it. Equal
    subjects are looked up once as long as `clients` live. A page that cannot be read is passed over; raises
    TransientError and EndpointError of the search service and the model.
    """
    memo = memo_of(clients)
    look_up = partial(_look_up, clients, subject.name, subject.kind, settings, prompt)
    findings = await memo.once((subject.name, subject.kind, settings, prompt.sha256), look_up)
    elsewhere = [f for f in findings if not _is_article(f.page, subject)]
    if elsewhere:
        return _background(elsewhere[0], "supported", domains=_independent(elsewhere))
    own = [f for f in findings if canonicalize(subject.context_url) in f.page.addresses]
    if not own:
        article = await _read(clients, subject.context_url)
        own = await _quote(clients, subject.name, subject.kind, [article] if article else [], settings, prompt)
    return _background(own[0], "own_article", domains=1) if own else Background()


def choose(hits: Sequence[Hit], name: str, *, limit: int) -> list[str]:
    """URLs of the hits to read: titles that name the subject first, one page a site, then further ones."""
    ordered = sorted(hits, key=lambda hit: not names_entity(hit.title, name))
    first_of_site: dict[str, str] = {}
    for hit in ordered:
        first_of_site.setdefault(registered_domain(hit.url), hit.url)
    return list(dict.fromkeys([*first_of_site.values(), *(hit.url for hit in ordered)]))[:limit]


async def _look_up(
    clients: Clients, name: str, kind: str, settings: LookupSettings, prompt: PromptTemplate
) -> list[Finding]:
    query = " ".join(filter(None, (f'"{name.replace(chr(34), "")}"', kind if kind != "other" else "")))
    hits = await clients.search.find(query, limit=2 * settings.pages_per_entity + 2)
    urls = choose(hits, name, limit=settings.pages_per_entity)
    read = await asyncio.gather(*(_read(clients, url) for url in urls))
    pages = list({page.sha256: page for page in reversed(read) if page is not None}.values())[::-1]
    return await _quote(clients, name, kind, pages, settings, prompt)


async def _read(clients: Clients, url: str) -> ReadPage | None:
    async def read() -> ReadPage | None:
        try:
            page = await clients.pages.get(url)
            found = await clients.texts.of(page)
        except EndpointError:
            raise
        except CallError:
            return None
        addresses = frozenset(map(canonicalize, (url, page.final_url, found.canonical_url)))
        return ReadPage(url, addresses, page.sha256, found.title, found.text)

    return await memo_of(clients).once(("page", url), read)


async def _quote(
    clients: Clients,
    name: str,
    kind: str,
    pages: Sequence[ReadPage],
    settings: LookupSettings,
    prompt: PromptTemplate,
) -> list[Finding]:
    if settings.model == EXTRACTIVE:
        claims = [(definition_sentence(name, page.text), page) for page in pages]
        findings = [verified(Claim(quote, quote), name, [page]) for quote, page in claims if quote]
        return [finding for finding in findings if finding is not None]
    share = settings.passage_characters // max(1, len(pages))
    cut = [(text, page) for page in pages for text in passages(page.text, name, characters=share)]
    if not cut:
        return []
    row = {"name": name, "kind": kind, "passages": [{"number": i, "text": text} for i, (text, _) in enumerate(cut, 1)]}
    try:
        answer = await clients.llm.ask(prompt.render(row=row, settings=settings), PassageClaims, model=settings.model)
    except (FinalError, MalformedAnswer):
        # The article is worth more than one background: without a usable answer nothing is known of the entity.
        return []
    found: dict[str, Finding] = {}
    for claim in answer.claims:
        named = [cut[claim.passage - 1][1]] if 1 <= claim.passage <= len(cut) else []
        finding = verified(Claim(claim.quote, claim.background), name, [*named, *pages])
        if finding is not None:
            found.setdefault(finding.page.sha256, finding)
    return list(found.values())


def _is_article(page: ReadPage, subject: Subject) -> bool:
    if canonicalize(subject.context_url) in page.addresses:
        return True
    return bool(subject.context_text) and is_copy(page.text, subject.context_text)


def _independent(findings: Sequence[Finding]) -> int:
    sites = {registered_domain(finding.page.url) for finding in findings}
    quotes = {" ".join(finding.span.quote.casefold().split()) for finding in findings}
    # One sentence on many sites was written once.
    return min(len(sites), len(quotes))


def _background(finding: Finding, grade: Grade, *, domains: int) -> Background:
    return Background(
        text=finding.background,
        url=finding.page.url,
        quote=finding.span.quote,
        grade=grade,
        domains=domains,
        page_sha256=finding.page.sha256,
        quote_start=finding.span.start,
    )
