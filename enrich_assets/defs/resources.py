"""Resources: where runs are stored, the ledger, and the clients of phases. Settings come from the environment.

Belongs here: ConfigurableResources that open what lower rooms hold. What a run does with them belongs to `defs.body`.
https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import dagster as dg

from enrich_assets.core.settings import validated_settings
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Clients, ModelTransport
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.job import Input
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.registration import run_info
from enrich_assets.evidence.clients import open_clients
from enrich_assets.evidence.documents import SCRAPED, documents
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.models.llm import endpoints_of
from enrich_assets.models.transport import Models
from enrich_assets.store.store import Store
from enrich_assets.web.search_index import IndexedPage
from enrich_assets.web.settings import HttpSettings, SearchSettings

STORE, LEDGER, MODELS, WEB = "enrich_store", "enrich_ledger", "enrich_models", "enrich_web"


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where runs are published."""

    storage: str | None = None

    def open(self) -> Store:
        """The store at `storage`, or at ENRICH_STORAGE."""
        return Store(self.storage) if self.storage else Store.from_environment()


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where answers and runs are recorded."""

    url: str | None = None

    @contextmanager
    def open(self, storage: str) -> Iterator[Ledger]:
        """The ledger at `url`, or the one that belongs to a storage."""
        with Ledger(self.url) if self.url else Ledger.for_storage(storage) as ledger:
            yield ledger


class ModelsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """How models are reached."""

    def transport(self, resolved: Mapping[str, Any]) -> ModelTransport:
        """The transport to the endpoints that a run's settings name."""
        return Models(endpoints_of(resolved))


class WebResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """How pages and search services are reached."""

    def clients(self, graph: Graph, resolved: Mapping[str, Any], inputs: Mapping[str, Input], store: Store) -> Any:
        """A function that opens the clients of a row phase: `(calls, asker) -> async context manager`."""
        site = graph.sites.get(str(resolved.get("preset", "")))

        def found() -> Iterable[IndexedPage]:
            registered = inputs[graph.first.name]
            run = run_info(graph, registered.envelope.run_id, registered.document or {})
            own = inputs[SCRAPED].table if SCRAPED in inputs else None
            limit = _search_settings(resolved).index_pages
            graphs = {graph.name, *(name for name, known in GRAPHS.items() if SCRAPED in known.names)}
            # Pages that are served only while their preset runs can be read by no other run.
            elsewhere = set(graph.sites) - {str(resolved.get("preset", ""))}
            return documents(store, sorted(graphs), run, own, limit=limit, without_presets=elsewhere)

        def opened(calls: Calls, asker: Asker) -> AbstractAsyncContextManager[Clients]:
            return _with_site(site, calls, asker, resolved, store, found)

        return opened


@asynccontextmanager
async def _with_site(
    site: Any, calls: Calls, asker: Asker, resolved: Mapping[str, Any], store: Store, documents: Any
) -> AsyncIterator[Clients]:
    opened: AbstractContextManager[Any] = site() if site is not None else _no_site()
    with opened as served:
        async with open_clients(
            calls,
            asker,
            http=HttpSettings.model_validate(resolved.get("http", {})),
            search=_search_settings(resolved),
            storage=store.root,
            documents=documents,
            routes=served.routes if served is not None else {},
        ) as clients:
            yield clients


def _search_settings(resolved: Mapping[str, Any]) -> SearchSettings:
    return validated_settings(SearchSettings, resolved.get("search", {}), where="search")


@contextmanager
def _no_site() -> Iterator[None]:
    yield None


@contextmanager
def opened(given: Any) -> Iterator[tuple[Store, Ledger]]:
    """Store and ledger out of the resources of an op's, a schedule's or a sensor's context."""
    store: Store = getattr(given, STORE).open()
    with getattr(given, LEDGER).open(str(store.root)) as ledger:
        yield store, ledger


def resources() -> dict[str, Any]:
    """The resources of the project's own definitions, under names that are unlikely to meet another's."""
    return {STORE: StoreResource(), LEDGER: LedgerResource(), MODELS: ModelsResource(), WEB: WebResource()}
