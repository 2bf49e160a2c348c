"""The phase `enriched`: who and what an article is about, each with a background that carries its evidence.

How a background is found and verified is in `evidence`; here stands what an entity is and which ones are looked up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.engine.answer_schema import narrowed
from enrich_assets.engine.clients import Clients
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Row, row
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.evidence.background import Subject, find_background
from enrich_assets.evidence.quote import names_entity
from enrich_assets.evidence.settings import LookupSettings
from enrich_assets.models.names import entities as names_in
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.stats.figures.bars import Bars

LONGEST_NAME = 100
"""Characters; more is no name but a sentence."""

Kind = Literal["company", "institution", "person", "product", "place", "other"]
_ENTITIES_PROMPT = Path(__file__).with_name("enriched_entities.md")
_BACKGROUND_PROMPT = Path(__file__).with_name("enriched_background.md")


class Settings(LookupSettings):
    """Settings of enriched."""

    entities_per_article: int = Field(default=4, ge=0, le=20)
    """Entities that are looked up for one article, the most central first."""


class NamedEntity(BaseModel):
    """One name in an article, as the model answers it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="the name exactly as the article spells it")
    kind: Kind


class NamedEntities(BaseModel):
    """What the model must answer: the names that the article is about, the most central first."""

    model_config = ConfigDict(extra="forbid")

    entities: list[NamedEntity]


class Entity(BaseModel):
    """One entity of an article with what is known of it and where that stands."""

    name: str
    kind: str
    """company, institution, person, product, or other."""
    background: str
    """One to three sentences; empty when nothing is known."""
    url: str
    """The page that the quote stands on."""
    quote: str
    """Verbatim from that page."""
    grade: str
    """supported (on another page than the article) · own_article (only in the article) · unsupported."""
    domains: int
    """Independent sites whose pages carry a verified quote."""
    page_sha256: str
    """Key of the raw page in the page store."""
    quote_start: int | None
    """Offset of the quote in the text extracted from that page, in characters."""


@row(
    reads=["url", "title", "text", "author", "source_name"],
    adds={"entities": Column(list[Entity], "who and what the article is about, each with its background and evidence")},
    settings=Settings,
    also=["scraped"],
    figures=[
        Bars("entities", item="kind", label="entities per type"),
        Bars("entities", item="name", label="articles per entity, the most named"),
        Bars("entities", item="grade", label="entities per grade of evidence"),
    ],
)
async def enriched(article: Row, clients: Clients, settings: Settings) -> dict[str, Any]:
    """One row an article, with the entities it is about: a background of one to three sentences, its source, a
    verified quote and a grade.

    With a model: one call an article to name the entities, and one or two calls an entity to quote. An entity is
    looked up once a run. A quote that does not stand in the stored page makes the entity unsupported.
    """
    named = await _named_entities(article, clients, settings)
    prompt = load_prompt(_BACKGROUND_PROMPT)
    url, text = str(article["url"]), str(article["text"] or "")
    backgrounds = await asyncio.gather(
        *(
            find_background(clients, Subject(entity.name, entity.kind, url, text), settings=settings, prompt=prompt)
            for entity in named
        )
    )
    entities = [
        Entity(
            name=entity.name,
            kind=entity.kind,
            background=known.text,
            url=known.url,
            quote=known.quote,
            grade=known.grade,
            domains=known.domains,
            page_sha256=known.page_sha256,
            quote_start=known.quote_start,
        )
        for entity, known in zip(named, backgrounds, strict=True)
    ]
    return {"entities": entities}


async def _named_entities(article: Row, clients: Clients, settings: Settings) -> list[NamedEntity]:
    limit = settings.entities_per_article
    if limit == 0:
        return []
    if settings.model == EXTRACTIVE:
        # Some are left out below; twice as many leave enough.
        mentions = names_in(_spoken(article), 2 * limit + 2)
        named = [NamedEntity.model_validate({"name": m.name, "kind": m.kind}) for m in mentions]
    else:
        prompt = load_prompt(_ENTITIES_PROMPT).render(row=article, settings=settings)
        extra = {"entities": {"maxItems": limit}, "NamedEntity.name": {"minLength": 1, "maxLength": LONGEST_NAME}}
        answer = narrowed(NamedEntities, extra)
        named = (await clients.llm.ask(prompt, answer, model=settings.model)).entities
    return list(_usable(named, article))[:limit]


def _usable(named: Iterable[NamedEntity], article: Row) -> Iterable[NamedEntity]:
    """Those that the article really names, once each; no places, and neither its publisher nor its author."""
    passed = {str(article[column] or "").casefold() for column in ("source_name", "author")}
    spoken = _spoken(article)
    for entity in named:
        name = " ".join(entity.name.split())
        if entity.kind == "place" or name.casefold() in passed or len(name) > LONGEST_NAME:
            continue
        if not names_entity(spoken, name):
            continue
        passed.add(name.casefold())
        yield NamedEntity(name=name, kind=entity.kind)


def _spoken(article: Row) -> str:
    return f"{article['title']}\n\n{article['text']}"
