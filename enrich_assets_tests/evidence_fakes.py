"""Fakes of the clients that a row phase and the evidence loop call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from enrich_assets.core.errors import EnrichError, FinalError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.clients import Clients, Page, Prompt
from enrich_assets.web.extract import extract
from enrich_assets.web.search_index import EmbeddedIndex, IndexedPage
from enrich_assets.web.texts import ExtractedTexts


@dataclass
class FakePages:
    """Serves HTML by URL; a missing page is a 404, an error in place of HTML is raised."""

    html: Mapping[str, str | EnrichError]
    asked: list[str] = field(default_factory=list)

    async def get(self, url: str, *, rendered: bool = False) -> Page:
        self.asked.append(url)
        await asyncio.sleep(0)
        body = self.html.get(url, FinalError("404", where=url))
        if isinstance(body, EnrichError):
            raise body
        return page(url, body)

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        return replace(page(url, body.decode()), content_type=content_type, fetch_method="file")

    def refuse_forgotten(self, url: str) -> None:
        return None


@dataclass
class FakeLlm:
    """Answers with what `reply(prompt)` gives, validated like a real answer."""

    reply: Callable[[Prompt], Any]
    prompts: list[Prompt] = field(default_factory=list)

    async def ask(self, prompt: Prompt, answer: type[Any], *, model: str) -> Any:
        self.prompts.append(prompt)
        await asyncio.sleep(0)
        return answer.model_validate(self.reply(prompt))


def refuses(prompt: Prompt) -> Any:
    """The model of a test in which none may be asked."""
    raise AssertionError(f"the model was asked: {prompt.user[:200]}")


def page(url: str, html: str) -> Page:
    """A fetched HTML page."""
    body = html.encode()
    return Page(url, url, 200, "text/html", "utf-8", body, sha256(body), datetime(2026, 11, 2, tzinfo=UTC), "http")


def article_html(title: str, *paragraphs: str) -> str:
    """An article page as sites serve it."""
    text = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f"<nav><a href='/'>Home</a></nav><main><article><h1>{title}</h1>\n{text}</article></main></body></html>"
    )


def clients_over(html: Mapping[str, str | EnrichError], reply: Callable[[Prompt], Any] = refuses) -> Clients:
    """Clients whose search index holds every page that can be read."""
    indexed = []
    for url, body in html.items():
        if isinstance(body, str):
            found = extract(page(url, body))
            indexed.append(IndexedPage(url, found.title, found.text))
    return Clients(llm=FakeLlm(reply), pages=FakePages(html), texts=ExtractedTexts(), search=EmbeddedIndex(indexed))
