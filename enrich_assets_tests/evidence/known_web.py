"""A small web of known facts on loopback: profiles, almanacs and news on several sites, served over real HTTP.

`FACTS` are sentences that say who or what a name is, each on a page of its own, in the forms that people write them in;
a part also stands, in other words, on a second site. Other pages name the same subjects and say nothing of what they
are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from upath import UPath

from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.clients import open_clients
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets.web.extract import extract
from enrich_assets.web.search_index import IndexedPage
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over
from enrich_assets_tests.evidence_fakes import article_html, page
from enrich_assets_tests.web.web_server import serving

SITES = ("atlas.example", "almanac.example", "courier.example", "who-is-who.example", "trade-post.example")


@dataclass(frozen=True)
class Fact:
    """`sentence` says what `name` is; `url` is its page, `second` another site's sentence, empty where it has none."""

    name: str
    kind: str
    sentence: str
    url: str
    second: str = ""


_COMPANIES = (
    "Almeria Robotics", "Borkum Wind", "Calder Optics", "Danforth Steel", "Elbrus Freight", "Fenwick Dairy",
    "Garonne Batteries", "Holloway Print", "Isarwerk", "Jutland Seeds", "Kilburn Analytics", "Lindgren Pumps",
    "Moravia Glass", "Northgate Rail", "Oberland Cable", "Pemberton Tools", "Quillon Software", "Ravenna Ceramics",
    "Solvang Chips", "Tarnow Foundry", "Umeå Timber", "Verdon Solar", "Westmark Lifts", "Ypres Textiles",
)  # fmt: skip
_PEOPLE = (
    "Adela Brandt", "Bruno Castellan", "Clara Dunmore", "Dmitri Esposito", "Elena Farkas", "Felix Grunwald",
    "Greta Haldane", "Hugo Iversen", "Ines Jankowski", "Jorge Keller", "Katrin Lowell", "Lars Montague",
    "Mina Novak", "Nils Okafor", "Olga Prescott", "Pavel Quint", "Rosa Silvestri", "Stefan Thorne",
)  # fmt: skip
_OTHERS = (
    ("Harrow Institute", "institution"), ("Kepler-9", "product"), ("Lisbon Water Board", "institution"),
    ("Marlin T4", "product"), ("Nordic Grid Council", "institution"), ("Orion Ledger", "product"),
    ("Polar Survey Office", "institution"), ("Quartz 12", "product"), ("Ridge Observatory", "institution"),
    ("Sable Engine", "product"), ("Tidal Fund", "institution"), ("Umbrella Bench", "product"),
    ("Valley Health Trust", "institution"), ("Willow Assistant", "product"), ("Xenon Archive", "institution"),
    ("Yarrow Press", "institution"), ("Zephyr Kit", "product"), ("Bastion Protocol", "product"),
)  # fmt: skip
_COMPANY_FORMS = (
    "{n} is a maker of {thing} based in {place}.",
    "{n}, a maker of {thing} from {place}, was founded in {year}.",
    "{n} ({place}: {code}) is the largest producer of {thing} in the region.",
    "Founded in {year}, {n} is a supplier of {thing} with {count} employees.",
    "{n} makes {thing} in two works outside {place}.",
    "{n} was a family business until {year} and is a listed maker of {thing} today.",
    "Based in {place}, the {thing} maker {n} employs {count} people.",
    "“{n} is a house that sells {thing} and nothing else,” its charter says.",
)
_PERSON_FORMS = (
    "{n} is the chief engineer of a maker of {thing} in {place}.",
    "{n}, head of research at the works in {place}, has studied {thing} since {year}.",
    "{n} (born {year}) is an economist who writes about {thing}.",
    "{n} was a surgeon in {place} before turning to {thing}.",
    "{n} leads the laboratory for {thing} at {place}.",
    "Professor {n} is an authority on {thing} and teaches in {place}.",
)
_OTHER_FORMS = (
    "The {n} is a public body in {place} that watches over {thing}.",
    "{n} is an open collection of records about {thing}, kept since {year}.",
    "{n}, one of the oldest names in {thing}, comes from {place}.",
    "{n} is {place}’s answer to the shortage of {thing}.",
    "The {n}, also known as {code}, is the reference for {thing}.",
    "In {place} people say that {n} is the best known name in {thing}.",
)
_THINGS = ("pumps", "lenses", "sorting machines", "cheese vats", "rail brakes", "storage cells", "wafer saws", "looms")
_PLACES = ("Aarhus", "Brno", "Cork", "Dresden", "Evora", "Gdansk", "Haarlem")


def _facts() -> list[Fact]:
    named = [(name, "company", _COMPANY_FORMS) for name in _COMPANIES]
    named += [(name, "person", _PERSON_FORMS) for name in _PEOPLE]
    named += [(name, kind, _OTHER_FORMS) for name, kind in _OTHERS]
    facts = []
    for number, (name, kind, forms) in enumerate(named):
        thing, place = _THINGS[number % len(_THINGS)], _PLACES[number % len(_PLACES)]
        told = {"n": name, "thing": thing, "place": place, "year": 1950 + number, "count": 120 + 7 * number}
        sentence = forms[number % len(forms)].format(**told, code=f"Z{number}")
        site = SITES[number % 3]
        second = f"{name} is a name that {place} connects with {thing}, as the almanac of {1990 + number % 9} has it."
        url = f"http://{site}/{quote('-'.join(name.lower().split()))}"
        facts.append(Fact(name, kind, sentence, url, second if number % 3 == 0 else ""))
    return facts


FACTS = _facts()


def _profile(fact: Fact, planted: str) -> str:
    return article_html(
        escape(fact.name),
        escape("A short entry, last revised in spring, from notes that readers sent in over the years."),
        escape(fact.sentence),
        escape(
            "Visitors are received on weekdays. The archive holds letters, plans and a few photographs of the yard."
        ),
        *([escape(planted)] if planted else []),
    )


def _news(number: int, facts: Sequence[Fact]) -> str:
    # Names, and not a word of who they are: what an article usually says of them.
    return article_html(
        f"Meeting number {number} ends late",
        *(
            escape(f"Nobody had expected {fact.name} to speak first, and the hall fell silent for a while on Tuesday.")
            for fact in facts
        ),
        escape("The minutes will be read out at the next meeting, which is planned for the second week of autumn."),
    )


def pages_of(facts: Sequence[Fact] = tuple(FACTS), planted: Mapping[str, str] | None = None) -> dict[str, str]:
    """HTML by URL. `planted`: a paragraph for the profile of the name."""
    told = planted or {}
    pages = {fact.url: _profile(fact, told.get(fact.name, "")) for fact in facts}
    for number, fact in enumerate(facts):
        if fact.second:
            body = ("An extract from the printed edition, with kind permission of its editors.", fact.second)
            pages[f"http://{SITES[3 + number % 2]}/entry/{number}"] = article_html(
                f"Entry {number}", *map(escape, body)
            )
    for number in range(0, len(facts), 3):
        pages[article_url(number // 3)] = _news(number // 3, facts[number : number + 3])
    return pages


def article_url(number: int) -> str:
    """The news article that names the facts 3 × number to 3 × number + 2."""
    return f"http://{SITES[2]}/news/{number}"


@dataclass
class KnownWeb:
    """The pages behind their hosts. `asked` counts requests by URL, whatever they got."""

    pages: Mapping[str, str]
    asked: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A page by host and path, else 404."""
        url = f"http://{request.host}{request.rel_url}"
        self.asked[url] += 1
        html = self.pages.get(url)
        return web.Response(status=404) if html is None else web.Response(text=html, content_type="text/html")

    def text(self, url: str) -> str:
        """What the extraction makes of a page."""
        return extract(page(url, self.pages[url])).text

    def indexed(self) -> list[IndexedPage]:
        """The pages as an earlier run has scraped them."""
        found = [(url, extract(page(url, html))) for url, html in self.pages.items()]
        return [IndexedPage(url, text.title, text.text) for url, text in found]


def opener(
    known: KnownWeb, storage: Path, *hosts: str
) -> Callable[[Calls, Asker], AbstractAsyncContextManager[Clients]]:
    """What opens the clients of a row phase over the known web: http client, page store, index, and the given model.

    `hosts` lead to the same server: whoever asks there is counted.
    """

    @asynccontextmanager
    async def opened(calls: Calls, asker: Asker) -> AsyncIterator[Clients]:
        async with (
            serving(known.answer) as port,
            open_clients(
                calls,
                asker,
                http=HttpSettings(seconds_between_requests=0, robots=False),
                search=SearchSettings(),
                storage=UPath(storage),
                documents=known.indexed,
                routes=dict.fromkeys((*SITES, *hosts), ("127.0.0.1", port)),
            ) as clients,
        ):
            yield clients

    return opened


def clients_on(known: KnownWeb, storage: Path, base_url: str = "") -> AbstractAsyncContextManager[Clients]:
    """Clients over the known web, answers in memory; `test` is the model at `base_url`."""
    models = Models({"test": ModelEndpoint(model="openai/loopback", base_url=base_url)} if base_url else {})
    calls = calls_over(MemoryAnswers(), fresh_from=datetime.now(UTC))
    return opener(known, storage)(calls, Asker(calls, models, attempts=2))
