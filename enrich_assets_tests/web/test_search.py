"""Search: BM25 by the book, an order that never wavers, and the two services over their own protocols."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as WireRequest
from werkzeug import Response

from enrich_assets.core.errors import AddressRefused, EndpointError, FinalError, SettingsError, TransientError
from enrich_assets.core.settings import Env, validated_settings
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Hit, Search
from enrich_assets.engine.requests import Stored
from enrich_assets.web.http import HttpClient
from enrich_assets.web.search import open_search
from enrich_assets.web.search_index import EmbeddedIndex, EmbeddedSearch, IndexedPage, snippet
from enrich_assets.web.search_services import SearXNG, Serper
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over
from enrich_assets_tests.shared_data import shared_data


def hits(index: Search, query: str, limit: int = 5) -> list[Hit]:
    return list(asyncio.run(index.find(query, limit=limit)))


def urls(index: Search, query: str, limit: int = 5) -> list[str]:
    return [hit.url for hit in hits(index, query, limit)]


def index_of(**texts: str) -> EmbeddedIndex:
    return EmbeddedIndex(IndexedPage(f"http://{name}.example/", "", text) for name, text in texts.items())


def test_the_score_is_bm25() -> None:
    index = index_of(a="iron iron gate", b="gate of wood", c="sea")
    mean = (3 + 3 + 1) / 3
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * 2.2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / mean))
    (hit,) = hits(index, "iron")
    assert hit.score == pytest.approx(expected, abs=1e-6)


def test_pages_that_hold_the_whole_query_in_order_come_first() -> None:
    index = index_of(a="systems of corvane and systems of corvane", b="the firm corvane systems makes software today")
    assert urls(index, "Corvane Systems")[0] == "http://b.example/"
    assert urls(index, '"Corvane Systems" company')[0] == "http://b.example/"


def test_equal_scores_are_ordered_by_url_whatever_the_order_of_the_pages() -> None:
    pages = [IndexedPage(f"http://{name}.example/", "Title", "same words here") for name in "cabd"]
    expected = [f"http://{name}.example/" for name in "abcd"]
    assert urls(EmbeddedIndex(pages), "words") == expected
    assert urls(EmbeddedIndex(reversed(pages)), "words") == expected


def test_titles_case_hyphens_and_scripts_without_spaces_are_found() -> None:
    index = EmbeddedIndex(
        [
            IndexedPage("http://a.example/", "KESTREL-3 released", "A model."),
            IndexedPage("http://b.example/", "", "東京電力は日本の電力会社である"),
        ]
    )
    assert urls(index, "kestrel-3") == ["http://a.example/"]
    assert urls(index, "東京電力") == ["http://b.example/"]


def test_limits_and_empty_queries() -> None:
    index = index_of(a="x y", b="x z", c="x")
    assert len(hits(index, "x", 2)) == 2
    assert hits(index, "x", 0) == hits(index, "") == hits(index, "—") == hits(index, "nowhere") == []
    assert hits(EmbeddedIndex([]), "x") == []


def test_a_url_counts_once() -> None:
    index = EmbeddedIndex(IndexedPage("http://a.example/", "", text) for text in ("gate", "gate gate"))
    assert len(index) == 1
    assert urls(index, "gate") == ["http://a.example/"]


def test_a_snippet_shows_where_the_words_stand() -> None:
    text = "word " * 200 + "Corvane here " + "word " * 200
    assert "Corvane" in snippet(text, ["corvane"])
    assert len(snippet(text, ["corvane"])) <= 240
    assert snippet("short", ["absent"]) == "short"


class Answers(MemoryAnswers):
    """The ledger's answers, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.not_before: list[datetime | None] = []

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None:
        self.not_before.append(not_before)
        return self.kept.get(request_hash)


NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


WAITS: list[float] = []


async def _no_wait(seconds: float) -> None:
    WAITS.append(seconds)


def with_service(
    server: HTTPServer,
    kind: type[Serper] | type[SearXNG],
    work: Callable[[Search, Calls], Awaitable[Any]],
    answers: Answers | None = None,
    *,
    allow: bool = True,
) -> Any:
    async def run() -> Any:
        calls = calls_over(answers or Answers(), fresh_from=NOW, backoff=Backoff(attempts=2), sleep=_no_wait)
        settings = SearchSettings(
            provider="serper" if kind is Serper else "searxng",
            base_url=server.url_for("").rstrip("/"),
            api_key=Env(env="A_KEY"),
        )
        http = HttpSettings(allow_hosts=(f"{server.host}:{server.port}",) if allow else ())
        async with HttpClient(http) as client:
            return await work(open_search(settings, http=client, calls=calls, documents=_no_documents), calls)

    return asyncio.run(run())


def _no_documents() -> list[IndexedPage]:
    raise AssertionError("a service needs no documents")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "k-123")


def find_depots(search: Search, calls: Calls) -> Awaitable[Any]:
    return search.find("depots", limit=2)


def test_serper_speaks_its_protocol(httpserver: HTTPServer) -> None:
    seen: list[WireRequest] = []

    def answer(request: WireRequest) -> Response:
        seen.append(request)
        organic = [{"link": f"http://a.example/{i}", "title": f"T{i}", "snippet": "S"} for i in range(3)]
        return Response(json.dumps({"organic": [{"link": "javascript:alert(1)"}, {"title": "x"}, *organic]}))

    httpserver.expect_request("/search", method="POST").respond_with_handler(answer)
    answers = Answers()

    async def twice(search: Search, calls: Calls) -> Any:
        first = await search.find("depots", limit=2)
        assert await search.find("depots", limit=2) == first
        return first, calls.meter

    found, meter = with_service(httpserver, Serper, twice, answers)
    assert [hit.url for hit in found] == ["http://a.example/0", "http://a.example/1"]
    assert found[0].score > found[1].score
    assert len(seen) == 1
    assert seen[0].headers["X-API-KEY"] == "k-123"
    assert seen[0].get_json() == {"q": "depots", "num": 2}
    assert (meter.search_requests, meter.answers_reused, meter.cost) == (1, 1, None)
    assert "k-123" not in json.dumps([dict(stored.reply.content) for stored in answers.kept.values()])
    assert answers.not_before[0] == NOW - timedelta(hours=24)


def test_searxng_speaks_its_protocol(httpserver: HTTPServer) -> None:
    results = {"results": [{"url": "http://a.example/", "title": "T", "content": "S"}, None, {"url": None}]}
    query = {"q": '"Corvane Systems" company', "format": "json"}
    httpserver.expect_request("/search", method="GET", query_string=query).respond_with_json(results)

    async def find(search: Search, calls: Calls) -> Any:
        return await search.find('"Corvane Systems" company'), calls.meter.cost

    found, cost = with_service(httpserver, SearXNG, find)
    assert found == [Hit("http://a.example/", "T", "S", 1.0)]
    assert cost == 0.0


@pytest.mark.parametrize("kind", [Serper, SearXNG])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, "slow down", TransientError),
        (503, "busy", TransientError),
        (401, "{}", EndpointError),
        (403, "{}", EndpointError),
        (200, "<html>no JSON</html>", EndpointError),
        (200, "[]", EndpointError),
    ],
)
def test_errors_are_of_the_right_kind(
    httpserver: HTTPServer, kind: type[Serper] | type[SearXNG], status: int, body: str, error: type[Exception]
) -> None:
    httpserver.expect_request("/search").respond_with_data(body, status=status)
    with pytest.raises(error) as caught:
        with_service(httpserver, kind, find_depots)
    assert "k-123" not in str(caught.value)
    assert len(httpserver.log) == (2 if error is TransientError else 1)


@pytest.mark.parametrize("kind", [Serper, SearXNG])
@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_time_gets_it(
    httpserver: HTTPServer, kind: type[Serper] | type[SearXNG], status: int
) -> None:
    httpserver.expect_ordered_request("/search").respond_with_data("", status=status, headers={"Retry-After": "7"})
    httpserver.expect_ordered_request("/search").respond_with_json({"organic": [], "results": []})
    WAITS.clear()
    assert with_service(httpserver, kind, find_depots) == []
    assert len(httpserver.log) == 2
    assert max(WAITS) >= 7


def test_a_searxng_instance_is_called_and_not_crawled(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/robots.txt").respond_with_data("User-agent: *\nDisallow: /")
    httpserver.expect_request("/search").respond_with_json({"results": []})
    assert with_service(httpserver, SearXNG, find_depots) == []
    assert [request.path for request, _ in httpserver.log] == ["/search"]


@pytest.mark.parametrize("status", [400, 429])
def test_an_account_without_credits_is_no_matter_of_the_query(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/search").respond_with_json({"message": "Not enough credits"}, status=status)
    with pytest.raises(EndpointError):
        with_service(httpserver, Serper, find_depots)


def test_a_query_that_serper_cannot_read_is_final(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/search").respond_with_json({"message": "Bad query"}, status=400)
    with pytest.raises(FinalError):
        with_service(httpserver, Serper, find_depots)


def test_a_key_does_not_follow_a_redirect(httpserver: HTTPServer) -> None:
    moved = {"location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/search").respond_with_data("", status=307, headers=moved)
    with pytest.raises(FinalError):
        with_service(httpserver, Serper, find_depots)
    assert [request.path for request, _ in httpserver.log] == ["/search"]


@pytest.mark.parametrize("kind", [Serper, SearXNG])
def test_the_address_guard_holds_for_services_too(httpserver: HTTPServer, kind: type[Serper] | type[SearXNG]) -> None:
    with pytest.raises(AddressRefused):
        with_service(httpserver, kind, find_depots, allow=False)
    assert httpserver.log == []


def test_the_settings_choose_and_what_is_missing_is_said() -> None:
    client, calls = HttpClient(HttpSettings()), calls_over(Answers(), fresh_from=NOW)

    def choose(settings: SearchSettings) -> Search:
        return open_search(settings, http=client, calls=calls, documents=list)

    assert isinstance(choose(SearchSettings()), EmbeddedSearch)
    with pytest.raises(SettingsError, match=r"search\.api_key"):
        choose(SearchSettings(provider="serper"))
    with pytest.raises(SettingsError, match="UNSET_KEY"):
        choose(SearchSettings(provider="serper", api_key=Env(env="UNSET_KEY")))
    with pytest.raises(SettingsError, match=r"search\.base_url"):
        choose(SearchSettings(provider="searxng"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"provider": "serpr"}, "Did you mean 'serper' or 'searxng'?"),
        ({"provider": "catalogue"}, "Known: embedded, searxng, serper"),
        ({"chooser": "title"}, "Did you mean 'titles'?"),
    ],
)
def test_an_unknown_name_is_refused_with_its_near_misses(values: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validated_settings(SearchSettings, values, where="search")
    assert says in str(caught.value)


def test_real_questions_find_their_paragraph() -> None:
    """XQuAD, English: plain BM25 reaches recall .918 at 1 and .986 at 5 on these 612 questions."""
    data = json.loads(shared_data("kb", "xquad", "xquad.en.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [
        (f"http://x.example/{article['title']}/{number}", paragraph)
        for article in data
        for number, paragraph in enumerate(article["paragraphs"])
    ]
    index = EmbeddedIndex(IndexedPage(url, "", paragraph["context"]) for url, paragraph in paragraphs)
    found = [(url, urls(index, qa["question"])) for url, paragraph in paragraphs for qa in paragraph["qas"]]
    assert sum(best[:1] == [url] for url, best in found) / len(found) >= 0.915
    assert sum(url in best for url, best in found) / len(found) >= 0.98
