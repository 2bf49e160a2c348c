"""Where a command works: the home folder entered, store and ledger open, RUN and PHASE understood.

Neither dagster nor pandas is imported here; commands that execute open the instance themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from enrich_assets.cli.output import say
from enrich_assets.defs.home import enter_home

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph
    from enrich_assets.engine.ledger import Ledger
    from enrich_assets.store.store import Store

DEFAULT_GRAPH = "intelligence"
"""The graph of a new run."""


@dataclass(frozen=True)
class Place:
    """An open store with its ledger."""

    store: Store
    ledger: Ledger

    def find_run(self, reference: str) -> tuple[Graph, str]:
        """Graph and ID of the run that an ID, a title or `latest` means; raises UnknownRun."""
        from enrich_assets.graphs.finding import find_run

        return find_run(self.store, self.ledger, reference)


@contextmanager
def open_place(*, to_execute: bool = False, needs_room: bool = True) -> Iterator[Place]:
    """The place that the environment names.

    `to_execute`: the storage is checked for being writable first, and a foreign DAGSTER_HOME is said. Without
    `needs_room` it may be as good as full, because what follows frees space or stops who takes it. Raises UserError.
    """
    from enrich_assets.core.files import is_local, local_path
    from enrich_assets.engine.ledger import Ledger, ledger_url
    from enrich_assets.store.root import MINIMUM_FREE_BYTES
    from enrich_assets.store.store import Store

    enter_home(say if to_execute else lambda _: None, settles=to_execute)
    store = Store.from_environment()
    if to_execute:
        store.check_writable(MINIMUM_FREE_BYTES if needs_room else 0)
    url = ledger_url(str(store.root))
    nothing_there = is_local(store.root) and not local_path(store.root).is_dir() and url.startswith("sqlite:")
    with ExitStack() as opened:
        if nothing_there and not to_execute:
            # Looking into a place where nothing is yet makes no folder there.
            url = ledger_url(opened.enter_context(TemporaryDirectory()))
        yield Place(store, opened.enter_context(Ledger(url)))
