"""The clients of a row phase, put together from the rooms below: pages, search, model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from upath import UPath

from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.choosers import chooser_of
from enrich_assets.web.browser import Browser
from enrich_assets.web.extraction_pool import ExtractionPool
from enrich_assets.web.forgotten import ForgottenFile
from enrich_assets.web.http import HttpClient
from enrich_assets.web.pages import PageStore, StoredPages
from enrich_assets.web.search import open_search
from enrich_assets.web.search_index import IndexedPage
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets.web.text_store import TextStore
from enrich_assets.web.texts import ExtractedTexts


@asynccontextmanager
async def open_clients(
    calls: Calls,
    asker: Asker,
    *,
    http: HttpSettings,
    search: SearchSettings,
    storage: UPath,
    documents: Callable[[], Iterable[IndexedPage]],
    routes: Mapping[str, tuple[str, int]],
) -> AsyncIterator[Clients]:
    """Clients that share one http client, a browser and the processes that extract, which are closed at the end.

    `documents` feed the embedded index.
    """
    texts = ExtractedTexts(TextStore(storage), ExtractionPool())
    async with HttpClient(http, routes=routes) as client, Browser(client) as browser, texts:
        yield Clients(
            llm=asker,
            pages=StoredPages(
                client,
                PageStore(storage),
                calls,
                renderer=browser,
                forgotten=ForgottenFile(storage).holding(),
            ),
            texts=texts,
            search=open_search(search, http=client, calls=calls, documents=documents),
            chooser=chooser_of(search),
        )
