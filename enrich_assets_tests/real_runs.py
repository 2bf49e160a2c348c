"""Runs over the real site, as a command would make them; and, as a program, the rest of a run in a process of its own.

`python -m enrich_assets_tests.real_runs RUN_ID` resumes a run of ENRICH_STORAGE, with nothing but loopback in reach.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from enrich_assets.core.envelope import Envelope
from enrich_assets.defs.instance import open_instance
from enrich_assets.defs.launch import Launched, execute, where_it_stands
from enrich_assets.defs.runs import begin_run
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.resume import Standing, first_open
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.real_site import RealSite, only_loopback

INTELLIGENCE = GRAPHS["intelligence"]
KEY = "ENRICH_TEST_KEY"
USD_IN, USD_OUT = 2.0, 8.0
"""Prices of the loopback model, USD per million tokens."""
_CATEGORIES = {
    "politics": "government president minister election parliament senate congress law court police war vote",
    "business": "company market shares billion sales profit economy trade price bank merger customers",
    "technology": "software app device phone apple google microsoft windows gaming computer internet keyboard",
    "science": "scientists researchers study nasa telescope climate species physics space planet",
    "health": "health patients doctor disease hospital medical treatment risk diet virus",
    "sport": "game team season players coach league goals championship tournament win",
    "culture": "film movie music actor actress director album show series book theater artist",
    "living": "holiday recipe food travel family school car drivers city house children",
}


def settings_for(
    site: RealSite, server: ModelServer | None = None, *, path: str = "direct", **further: Any
) -> dict[str, Any]:
    """Settings of a run over the site: a general newspaper's subjects, English, no article too old.

    With a server its model is asked, through litellm or directly (`path`), else `extractive`.
    """
    model = {} if server is None else {"model": "test", "models": {"test": _endpoint(server, path)}}
    return {
        "title": "Real pages",
        "as_of": "2024-01-15T09:00:00Z",
        "compare_with": 0,
        "attempts": 2,
        "first_delay_seconds": 0,
        "company": {"name": "Readers of a newspaper", "interests": ["climate", "technology", "elections"]},
        "categories": [
            {"id": name, "name": name.title(), "description": f"News of {name}.", "keywords": words.split()}
            for name, words in _CATEGORIES.items()
        ],
        "sources": site.sources,
        "http": {"allow_hosts": site.allow_hosts, "seconds_between_requests": 0},
        "tier1": {"oldest_days": 6000},
        **model,
        **further,
    }


def _endpoint(server: ModelServer, path: str) -> dict[str, Any]:
    return {
        "model": "openai/test-model",
        "base_url": server.base_url,
        "api_key": {"env": KEY},
        "usd_per_million_input": USD_IN,
        "usd_per_million_output": USD_OUT,
        "path": path,
    }


@dataclass(frozen=True)
class House:
    """One storage with its ledger, and the Dagster instance that shows its runs."""

    storage: Path
    instance: dg.DagsterInstance

    @property
    def store(self) -> Store:
        """The published runs."""
        return Store(str(self.storage))

    @contextmanager
    def open_ledger(self) -> Iterator[Ledger]:
        """The ledger of this storage."""
        with Ledger.for_storage(str(self.storage)) as ledger:
            yield ledger

    def begin(self, values: Mapping[str, Any] | None = None, *, graph: Graph = INTELLIGENCE, **further: Any) -> str:
        """Begins a run and gives its ID; `further` as `begin_run` takes it."""
        self.storage.mkdir(parents=True, exist_ok=True)
        with self.open_ledger() as ledger:
            return begin_run(graph, store=self.store, ledger=ledger, instance=self.instance, values=values, **further)

    def resume(self, run_id: str, *, graph: Graph = INTELLIGENCE, up_to: str = "report") -> Launched:
        """Executes every phase from the first open one to `up_to`."""
        start = self._first_open(run_id, graph)
        assert start is not None, f"{run_id} is complete"
        names = graph.names
        phases = graph.phases[names.index(start.phase.name) : names.index(up_to) + 1]
        stated = os.environ.get("ENRICH_STORAGE")
        os.environ["ENRICH_STORAGE"] = str(self.storage)
        try:
            return execute(graph, run_id, phases, instance=self.instance)
        finally:
            if stated is None:
                del os.environ["ENRICH_STORAGE"]
            else:
                os.environ["ENRICH_STORAGE"] = stated

    def stands_at(self, run_id: str, *, graph: Graph = INTELLIGENCE) -> str:
        """Name of the first open phase; empty for a complete run."""
        start = self._first_open(run_id, graph)
        return start.phase.name if start else ""

    def _first_open(self, run_id: str, graph: Graph) -> Standing | None:
        with self.open_ledger() as ledger:
            return first_open(where_it_stands(graph, run_id, self.store, ledger))

    def envelopes(self, run_id: str) -> dict[str, Envelope]:
        """The envelope of every published phase."""
        return {name: self.store.envelope("intelligence", run_id, name) for name in self._published(run_id)}

    def rows(self, run_id: str, phase: str) -> list[dict[str, Any]]:
        """The rows that a phase published."""
        table = self.store.load("intelligence", run_id, phase).table
        assert table is not None
        return list(table.to_pylist())

    def side(self, run_id: str, phase: str, name: str) -> list[dict[str, Any]]:
        """The rows of a side table."""
        return list(self.store.side("intelligence", run_id, phase, name).to_pylist())

    def _published(self, run_id: str) -> Sequence[str]:
        return self.store.phases("intelligence", run_id)


def main() -> int:
    """Resumes the run that the command line names."""
    warnings.simplefilter("ignore")
    instance = open_instance()
    with only_loopback():
        launched = House(Path(os.environ["ENRICH_STORAGE"]), instance).resume(sys.argv[1])
    print(launched, flush=True)
    return 0 if launched.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
