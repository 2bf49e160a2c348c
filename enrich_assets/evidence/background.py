"""Backgrounds: who or what a subject is, quoted from pages about it, from other pages than its own article first.

The model, where one is asked, only ever sees numbered passages of pages that the rules of the loop chose; what it
answers names no page to fetch. Whatever it claims is checked against the stored text before it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.errors import FinalError, MalformedAnswer
from enrich_assets.engine.answer_schema import narrowed
from enrich_assets.engine.clients import Clients
from enrich_assets.engine.prompts import PromptTemplate
from enrich_assets.evidence.answering import Reader, answer, quoted
from enrich_assets.evidence.grade import Grade, independent, is_copy
from enrich_assets.evidence.memo import memo_of
from enrich_assets.evidence.passages import numbered_passages
from enrich_assets.evidence.question import Question
from enrich_assets.evidence.read import ReadPage, read
from enrich_assets.evidence.settings import LookupSettings
from enrich_assets.evidence.verify import Claim, Finding
from enrich_assets.models.definitions import definition_sentence
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.web.urls import canonicalize

MOST_CLAIMS = 3
"""As the prompts of the graphs say."""
LONGEST_QUOTE, LONGEST_BACKGROUND = 400, 500
"""Characters of one sentence, and of three: without a limit a small model writes on until its tokens run out."""


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


def claims_about(passages: int) -> dict[str, dict[str, Any]]:
    """What the prompt says of the claims about so many passages, as keywords of the schema."""
    return {
        "claims": {"maxItems": MOST_CLAIMS},
        "PassageClaim.passage": {"minimum": 1, "maximum": passages},
        "PassageClaim.quote": {"minLength": 1, "maxLength": LONGEST_QUOTE},
        "PassageClaim.background": {"minLength": 1, "maxLength": LONGEST_BACKGROUND},
    }


async def find_background(
    clients: Clients, subject: Subject, *, settings: LookupSettings, prompt: PromptTemplate
) -> Background:
    """The background of a subject, from other pages where they have one, else from its own article.

    `prompt` is rendered with `row` = about, sought and the numbered passages; 'extractive' does not read it. Equal
    subjects are looked up once as long as `clients` live. A page that cannot be read is passed over; raises
    TransientError and EndpointError of the search service and the model.
    """
    question = Question(subject.name, subject.kind, hint="" if subject.kind == "other" else subject.kind)
    reader: Reader = _defined
    if settings.model != EXTRACTIVE:
        reader = partial(_told_by_model, clients, settings, prompt)
    look_up = partial(answer, clients, question, reader, pages=settings.pages_per_entity)
    findings = await memo_of(clients).once((question, settings, prompt.sha256), look_up)
    elsewhere = [f for f in findings if not _is_article(f.page, subject)]
    if elsewhere:
        return _background(elsewhere[0], "supported", domains=independent(elsewhere))
    own = [f for f in findings if canonicalize(subject.context_url) in f.page.addresses]
    if not own:
        own = await quoted(question, await read(clients, [subject.context_url]), reader)
    return _background(own[0], "own_article", domains=1) if own else Background()


async def _defined(question: Question, pages: Sequence[ReadPage]) -> list[Claim]:
    """The embedded reader: each page's sentence that defines the name."""
    sentences = [(definition_sentence(question.about, page.text), page) for page in pages]
    return [Claim(sentence, sentence, page) for sentence, page in sentences if sentence]


async def _told_by_model(
    clients: Clients,
    settings: LookupSettings,
    prompt: PromptTemplate,
    question: Question,
    pages: Sequence[ReadPage],
) -> list[Claim]:
    passages = numbered_passages(pages, question.about, tokens=settings.passage_tokens)
    if not passages:
        return []
    told = [{"number": number, "text": passage.text} for number, passage in passages.items()]
    row = {"about": question.about, "sought": question.sought, "passages": told}
    form = narrowed(PassageClaims, claims_about(len(passages)))
    try:
        said = await clients.llm.ask(prompt.render(row=row, settings=settings), form, model=settings.model)
    except (FinalError, MalformedAnswer):
        # The article is worth more than one background: without a usable answer nothing is known of the entity.
        return []
    named = {number: passage.page for number, passage in passages.items()}
    return [Claim(claim.quote, claim.background, named.get(claim.passage)) for claim in said.claims]


def _is_article(page: ReadPage, subject: Subject) -> bool:
    if canonicalize(subject.context_url) in page.addresses:
        return True
    return bool(subject.context_text) and is_copy(page.text, subject.context_text)


def _background(finding: Finding, grade: Grade, *, domains: int) -> Background:
    return Background(
        text=finding.answer,
        url=finding.page.url,
        quote=finding.span.quote,
        grade=grade,
        domains=domains,
        page_sha256=finding.page.sha256,
        quote_start=finding.span.start,
    )
