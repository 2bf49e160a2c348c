"""A search service and a URL chooser of somebody else's distribution: the example of docs/evidence.md, as it stands."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer
from upath import UPath
from werkzeug import Request as WireRequest
from werkzeug import Response

from enrich_assets.core.entry_points import look_again
from enrich_assets.core.errors import EndpointError, SettingsError, TransientError
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.clients import open_clients
from enrich_assets.evidence.find import find
from enrich_assets.evidence.question import Question
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
QUESTION = Question("Corvane Systems", "company", "company")


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a distribution: a module and entry points, as pip would leave them on the path."""

    def install(code: str, entry_points: str) -> None:
        (tmp_path / "library_search.py").write_text(code, encoding="utf-8")
        folder = tmp_path / "library_search-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: library-search\nVersion: 1.0\n", encoding="utf-8"
        )
        groups = tomllib.loads(entry_points)["project"]["entry-points"]
        lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in named.items()) for group, named in groups.items()]
        (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        look_again()

    yield install
    monkeypatch.undo()
    look_again()
    sys.modules.pop("library_search", None)


def with_clients(server: HTTPServer, storage: Path, work: Callable[[Clients, Any], Any], **changes: Any) -> Any:
    settings = yaml.safe_load(example("yaml"))
    host = f"{server.host}:{server.port}"
    search = SearchSettings(**{**settings["search"], "base_url": f"http://{host}", **changes})

    async def no_wait(seconds: float) -> None:
        return None

    async def run() -> Any:
        calls = calls_over(MemoryAnswers(), fresh_from=datetime.now(UTC), backoff=Backoff(attempts=2), sleep=no_wait)
        async with open_clients(
            calls, None, http=HttpSettings(allow_hosts=(host,)), search=search, storage=UPath(storage),
            documents=list, routes={},
        ) as clients:  # fmt: skip
            return await work(clients, calls)

    return asyncio.run(run())


def test_the_example_searches_chooses_and_is_asked_once(
    httpserver: HTTPServer, installed: Callable[[str, str], None], tmp_path: Path
) -> None:
    seen: list[WireRequest] = []

    def answer(request: WireRequest) -> Response:
        seen.append(request)
        urls = ["http://news.example/1", "ftp://old.example/", "http://encyclopedia.example/c", "http://news.example/2"]
        found = [{"link": url, "name": "Corvane", "about": "…"} for url in urls]
        return Response(json.dumps(found), content_type="application/json")

    httpserver.expect_request("/find").respond_with_handler(answer)
    installed(example("python"), example("toml"))

    async def twice(clients: Clients, calls: Any) -> Any:
        first = await find(clients, QUESTION, limit=2)
        assert await find(clients, QUESTION, limit=2) == first
        return first, calls.meter.cost

    chosen, cost = with_clients(httpserver, tmp_path, twice)
    assert chosen == ["http://encyclopedia.example/c", "http://news.example/1"]
    assert [request.args["q"] for request in seen] == ['"Corvane Systems" company']
    assert cost == 0


def test_the_example_settings_are_taken_by_a_run(installed: Callable[[str, str], None]) -> None:
    values = yaml.safe_load(example("yaml"))
    with pytest.raises(SettingsError, match=r"search\.provider"):
        GRAPHS["intelligence"].resolve(values, where="test")
    installed(example("python"), example("toml"))
    resolved = GRAPHS["intelligence"].resolve(values, where="test")
    assert (resolved["search"]["provider"], resolved["search"]["chooser"]) == ("library", "encyclopedias")
    with pytest.raises(SettingsError, match="Did you mean 'library'"):
        GRAPHS["intelligence"].resolve({"search": {"provider": "librari"}}, where="test")


def test_errors_of_the_service_keep_their_kind(
    httpserver: HTTPServer, installed: Callable[[str, str], None], tmp_path: Path
) -> None:
    installed(example("python"), example("toml"))
    httpserver.expect_ordered_request("/find").respond_with_data("no JSON")
    for _ in range(2):
        httpserver.expect_ordered_request("/find").respond_with_data("", status=503)

    def ask(clients: Clients, calls: Any) -> Any:
        return find(clients, QUESTION, limit=2)

    for kind in (EndpointError, TransientError):
        with pytest.raises(kind):
            with_clients(httpserver, tmp_path, ask)


def test_without_a_price_its_cost_is_unknown(
    httpserver: HTTPServer, installed: Callable[[str, str], None], tmp_path: Path
) -> None:
    installed(example("python"), example("toml"))
    httpserver.expect_request("/find").respond_with_json([])

    async def ask(clients: Clients, calls: Any) -> Any:
        await find(clients, QUESTION, limit=2)
        return calls.meter.cost

    assert with_clients(httpserver, tmp_path, ask, usd_per_search=None) is None
    assert with_clients(httpserver, tmp_path, ask, usd_per_search=0.25) == 0.25


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ImportError('no catalogue here')", "no catalogue here"),
        ("encyclopedias_first = 1", "has no attribute 'LibrarySearch'"),
        ("LibrarySearch = encyclopedias_first = 1", "is no function"),
        ("def LibrarySearch(http, settings): return 1\nencyclopedias_first = 1", "makes no search service"),
        (
            "class LibrarySearch:\n def __init__(self, *_): pass\n async def search(self, q, *, limit): return []\n"
            "encyclopedias_first = 1",
            "is no function",
        ),
    ],
)
def test_what_cannot_serve_is_told_before_anything_is_searched(
    httpserver: HTTPServer, installed: Callable[[str, str], None], tmp_path: Path, code: str, says: str
) -> None:
    installed(code, example("toml"))

    def nothing(clients: Clients, calls: Any) -> Any:
        raise AssertionError("the clients opened")

    with pytest.raises(SettingsError, match=says):
        with_clients(httpserver, tmp_path, nothing)
    assert httpserver.log == []


def test_a_chooser_sends_nobody_to_an_address_that_was_not_found(
    httpserver: HTTPServer, installed: Callable[[str, str], None], tmp_path: Path
) -> None:
    evil = "def encyclopedias_first(hits, about, *, limit): return ['http://evil.example/'] + [h.url for h in hits] * 9"
    installed(f"{example('python')}\n{evil}\n", example("toml"))
    found = [{"link": f"http://a.example/{n}", "name": "", "about": ""} for n in range(4)]
    httpserver.expect_request("/find").respond_with_json(found)

    def ask(clients: Clients, calls: Any) -> Any:
        return find(clients, QUESTION, limit=3)

    assert with_clients(httpserver, tmp_path, ask) == [f"http://a.example/{n}" for n in range(3)]
