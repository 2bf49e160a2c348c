"""How many names of real articles get a background without a model, and how many of those are right.

    python -m benchmarks.backgrounds [--data FOLDER] [--show]

The pages are the three collections of `html/` in the shared test data (ENRICH_TEST_DATA, else ../shared/data): each is
extracted and is both an article whose names are looked up and a page that may say what a name is, as in a run over an
archive. Names, search, choice of pages, quotes, verification and grades are those of the phase `enriched` with the
model `extractive`.

    entities      names that are looked up, at most four an article
    supported     those with a quote on another page than the article, and their share
    own article   those with a quote only in the article, and their share
    right         of the supported ones that a person judged (`judged_backgrounds.json`: a fingerprint of name and
                  quote, and whether the quote really says what the name is), those that are right
    unjudged      supported ones that nobody has judged yet: --show prints them

The judgement says nothing of backgrounds that nobody saw, so `right` is a share of what was found, never of what
could have been found. No text of the pages is kept. Prints the table and writes benchmarks/results/backgrounds.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.extraction import DATA, collection
from enrich_assets.core.errors import FinalError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.clients import Clients, Extracted, Page
from enrich_assets.graphs.intelligence.enriched import Entity, Settings, enriched
from enrich_assets.web.extract import extract
from enrich_assets.web.search_index import EmbeddedIndex, IndexedPage

COLLECTIONS = ("aeb", "aed424", "readability")
RESULTS = Path(__file__).parent / "results" / "backgrounds.json"
JUDGED = Path(__file__).with_name("judged_backgrounds.json")


@dataclass(frozen=True)
class Found:
    """The counts of one pass over all pages."""

    articles: int
    entities: int
    supported: int
    own_article: int
    right: int
    judged: int


class Archive:
    """The extracted pages as clients of the evidence loop: what they are searched in and read from. No network."""

    def __init__(self, pages: Sequence[tuple[Page, Extracted]]) -> None:
        self._known = {page.url: (page, found) for page, found in pages}
        self._index = EmbeddedIndex(IndexedPage(page.url, found.title, found.text) for page, found in pages)

    async def find(self, query: str, *, limit: int = 5) -> Any:
        """The hits of the embedded index."""
        return await self._index.find(query, limit=limit)

    async def get(self, url: str) -> Page:
        """The page at an address of the archive; raises FinalError for another."""
        if url not in self._known:
            raise FinalError(f"{url} is not in the archive")
        return self._known[url][0]

    async def of(self, page: Page) -> Extracted:
        """What was extracted of it."""
        return self._known[page.url][1]


def read_pages(data: Path) -> list[tuple[Page, Extracted]]:
    """All pages of the collections that are there, each under an address of its own, with what extraction finds."""
    pages = [
        Page(**{**_fields(gold.page), "url": url, "final_url": url})
        for name in COLLECTIONS
        if (data / "html" / name).exists()
        for gold in collection(name, data)
        # Most pages of one collection have the same address, and one site counts once.
        if (url := gold.page.url if "fakehost" not in gold.page.url else f"https://{_host(gold.name)}.example/page")
    ]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(extract, pages, chunksize=8))
    return [(page, one) for page, one in zip(pages, found, strict=True) if one.text]


def _fields(page: Page) -> dict[str, Any]:
    return {name: getattr(page, name) for name in page.__dataclass_fields__}


def _host(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


async def look_up(pages: Sequence[tuple[Page, Extracted]]) -> list[Entity]:
    """The entities of every article, with their backgrounds, as the phase makes them."""
    archive = Archive(pages)
    clients = Clients(llm=cast(Any, None), pages=cast(Any, archive), texts=cast(Any, archive), search=archive)
    settings = Settings(model="extractive", language="en")
    found: list[Entity] = []
    for page, article in pages:
        row = {"url": page.url, "title": article.title, "text": article.text, "author": article.author}
        made = await enriched({**row, "source_name": ""}, clients, settings)
        found += made["entities"]
    return found


def fingerprint(entity: Entity) -> str:
    """What a judgement is kept under: neither name nor quote can be read from it."""
    return sha256(f"{entity.name}\n{' '.join(entity.quote.split())}".encode())[:16]


def counted(articles: int, entities: Sequence[Entity], verdicts: dict[str, bool]) -> Found:
    """The counts, each supported background once however many articles name its subject."""
    grades = Counter(entity.grade for entity in entities)
    distinct = {fingerprint(entity) for entity in entities if entity.grade == "supported"}
    known = [verdicts[one] for one in distinct if one in verdicts]
    return Found(articles, len(entities), grades["supported"], grades["own_article"], sum(known), len(known))


def main() -> None:
    """Measures, prints the table and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENRICH_TEST_DATA") or DATA))
    parser.add_argument("--show", action="store_true", help="print every supported background with its judgement")
    given = parser.parse_args()
    pages = read_pages(given.data)
    if not pages:
        parser.exit(message=f"left out: there are no pages in {given.data}/html; set ENRICH_TEST_DATA to its folder\n")
    entities = asyncio.run(look_up(pages))
    verdicts = json.loads(JUDGED.read_text(encoding="utf-8")) if JUDGED.exists() else {}
    supported = {fingerprint(e): e for e in entities if e.grade == "supported"}
    if given.show:
        for key, entity in sorted(supported.items()):
            told = {True: "right", False: "wrong"}.get(verdicts.get(key), "unjudged")
            print(f"{key} {told:<9}{entity.name} ({entity.kind}): {' '.join(entity.quote.split())}\n")
    found = counted(len(pages), entities, verdicts)
    print(f"{'articles':>9}{'entities':>10}{'supported':>11}{'share':>8}{'own article':>13}{'share':>8}{'right':>12}")
    right = f"{found.right} of {found.judged}"
    print(
        f"{found.articles:>9}{found.entities:>10}{found.supported:>11}{found.supported / found.entities:>8.1%}"
        f"{found.own_article:>13}{found.own_article / found.entities:>8.1%}{right:>12}"
    )
    print(f"{len(supported) - found.judged} of {len(supported)} different supported backgrounds are not judged")
    RESULTS.parent.mkdir(exist_ok=True)
    told = {**asdict(found), "different": len(supported)}
    RESULTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
