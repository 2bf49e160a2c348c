"""How much of real article pages is found, and how fast.

    python -m benchmarks.extraction [--data FOLDER] [--rounds 2] [--no-rates]

Quality, on the three collections of `html/` in the shared test data (ENRICH_TEST_DATA, else ../shared/data):

    F1          mean over the pages of the F1 of the multisets of 4-shingles of words, as article-extraction-benchmark
                counts them; `of means` is its own figure, the F1 of mean precision and mean recall
    titles      share equal after NFKC, case, white space, and without the site's name
    dates       share within a day of the stated one, over the pages with a stated one
    charset     html5lib's sniffing cases: share that agrees (the one that needs a script to run is left out)

Rates, in pages a second on the pages of aed424: `single` extracts in this process, `pooled` in the worker processes,
`fetched` fetches them from a loopback server and extracts them in the same pool; `of pooled` is its share, and the
server's CPU is told, because it takes its part of the same cores.

Prints the tables with every title and date that was missed, and writes benchmarks/results/extraction.json.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.clients import Page
from enrich_assets.web.charset import codec_of, stated_codec
from enrich_assets.web.extract import extract
from enrich_assets.web.extraction_pool import ExtractionPool
from enrich_assets.web.http import HttpClient
from enrich_assets.web.markup import text_of_html
from enrich_assets.web.settings import HttpSettings

RESULTS = Path(__file__).parent / "results" / "extraction.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MARKS = {"aeb": 0.953, "aed424": 0.921, "readability": 0.918}
LEAST_TITLES = 0.80
LEAST_DATES = 0.85
_WORD = re.compile(r"\w+")
_FETCHED = datetime(2024, 3, 1, tzinfo=UTC)
"""After the newest page of the collections was stored."""


@dataclass(frozen=True)
class Gold:
    """A page and what people found in it; `title` and `day` empty where the collection does not say."""

    name: str
    page: Page
    text: str
    title: str = ""
    day: str = ""
    site: str = ""


@dataclass
class Quality:
    """What was found in one collection."""

    pages: int = 0
    f1: float = 0.0
    f1_of_means: float = 0.0
    titles: float | None = None
    dates: float | None = None
    dated: int = 0
    methods: dict[str, int] = field(default_factory=dict)
    missed_titles: list[tuple[str, str, str]] = field(default_factory=list)
    missed_dates: list[tuple[str, str, str]] = field(default_factory=list)
    worst: list[tuple[float, str]] = field(default_factory=list)


def collection(name: str, data: Path) -> Iterator[Gold]:
    """The pages of a collection: aeb, aed424 or readability."""
    folder = data / "html" / name
    if name == "readability":
        for case in sorted((folder / "test" / "test-pages").iterdir()):
            expected = text_of_html(_unpacked(case / "expected.html.gz").decode("utf-8"))
            yield Gold(case.name, _page(_unpacked(case / "source.html.gz"), "http://fakehost/test/page.html"), expected)
        return
    index = "ground-truth.json" if name == "aeb" else "articles.json"
    for key, gold in sorted(json.loads((folder / index).read_text("utf-8")).items()):
        page = _page(_unpacked(folder / "html" / f"{key}.html.gz"), gold["url"])
        day = gold.get("date", "")
        title, site = gold.get("title", ""), gold.get("site", "")
        yield Gold(key, page, gold["articleBody"], title, "" if day == "NaT" else day, site)


def quality(pages: Sequence[Gold]) -> Quality:
    """Text, titles and dates against what people found."""
    found = Quality(pages=len(pages))
    scores, precisions, recalls, titled, dated = [], [], [], [], []
    methods: Counter[str] = Counter()
    for gold in pages:
        got = extract(gold.page)
        methods[got.method] += 1
        one, other = shingles(got.text), shingles(gold.text)
        common = (one & other).total()
        scores.append((2 * common / max(1, one.total() + other.total()), gold.name))
        precisions.append(common / max(1, one.total()))
        recalls.append(common / max(1, other.total()))
        if gold.title:
            titled.append(comparable(got.title, gold.site) == comparable(gold.title, gold.site))
            if not titled[-1]:
                found.missed_titles.append((gold.page.url, gold.title, got.title))
        if gold.day:
            moment = got.published_at
            apart = abs((moment.date() - date.fromisoformat(gold.day[:10])).days) if moment else None
            dated.append(apart is not None and apart <= 1)
            if not dated[-1]:
                found.missed_dates.append((gold.page.url, gold.day, moment.isoformat() if moment else ""))
    found.f1 = mean(score for score, _ in scores)
    precision, recall = mean(precisions), mean(recalls)
    found.f1_of_means = 2 * precision * recall / (precision + recall)
    found.titles = mean(titled) if titled else None
    found.dates, found.dated = (mean(dated), len(dated)) if dated else (None, 0)
    found.methods = dict(methods.most_common())
    found.worst = sorted(scores)[:5]
    return found


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """The multiset of sequences of four words; a shorter text is one sequence, an empty one none."""
    words = _WORD.findall(text)
    return Counter(tuple(words[at : at + 4]) for at in range(max(1, len(words) - 3))) if words else Counter()


def comparable(title: str, site: str) -> str:
    """A title as it is compared: NFKC, case and white space folded, without the site's name after a separator."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", title).casefold()).strip()
    name = re.sub(r"^https?://(www\.)?|\.[a-z.]+/?$", "", site.casefold())
    head, separator, last = plain.rpartition(" - ") if " - " in plain else plain.rpartition(" | ")
    return head.strip() if separator and name and re.sub(r"\W", "", last).removeprefix("the") == name else plain


def charset_share(data: Path) -> tuple[int, int]:
    """Sniffing cases that agree, and all of them."""
    agreed = cases = 0
    for name in ("tests1.dat", "tests2.dat", "test-yahoo-jp.dat"):
        content = (data / "charset" / "html5lib" / "encoding" / name).read_bytes()
        for part in content.split(b"#data\n")[1:]:
            body, _, expected = part.partition(b"\n#encoding\n")
            cases += 1
            agreed += (stated_codec(body) or "cp1252") == codec_of(expected.split(b"\n")[0].decode("ascii"))
    return agreed, cases


def rates(pages: Sequence[Page], data: Path) -> dict[str, float]:
    """Pages a second: in this process, in the pool, and fetched and extracted in the same pool."""
    extract(pages[0])
    began = time.perf_counter()
    for page in pages:
        extract(page)
    single = len(pages) / (time.perf_counter() - began)
    pool = ExtractionPool()
    try:
        for future in [pool.submit(page, None) for page in pages[: 2 * pool.workers]]:
            future.result()
        began = time.perf_counter()
        for future in [pool.submit(page, None) for page in pages]:
            future.result()
        pooled = len(pages) / (time.perf_counter() - began)
        command = [sys.executable, "-m", "benchmarks.extraction", "--serve", "--data", str(data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
            try:
                assert server.stdout is not None
                host = f"127.0.0.1:{int(server.stdout.readline())}"
                seconds, server_seconds = asyncio.run(_fetched(host, len(pages), pool))
            finally:
                server.terminate()
    finally:
        pool.close()
    return {
        "workers": pool.workers,
        "single": single,
        "pooled": pooled,
        "pooled_of_single": pooled / single,
        "fetched": len(pages) / seconds,
        "fetched_of_pooled": len(pages) / seconds / pooled,
        "server_cpu_seconds": server_seconds,
        "fetched_seconds": seconds,
    }


async def _fetched(host: str, count: int, pool: ExtractionPool) -> tuple[float, float]:
    settings = HttpSettings(
        allow_hosts=(host,), concurrency=16, concurrency_per_host=16, seconds_between_requests=0, robots=False
    )
    async with HttpClient(settings) as client:

        async def one(number: int) -> None:
            got = await client.get(f"http://{host}/{number}")
            await asyncio.wrap_future(pool.submit(_page(got.body, f"http://{host}/{number}"), None))

        began = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(count)))
        seconds = time.perf_counter() - began
        stats = json.loads((await client.get(f"http://{host}/stats")).body)
    return seconds, float(stats["cpu_seconds"])


def _serve(data: Path) -> None:
    """A loopback server of the pages of aed424, by number; prints its port."""
    from aiohttp import web

    bodies = [gold.page.body for gold in collection("aed424", data)]
    began = time.process_time()

    async def page(request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if number == "stats":
            return web.json_response({"cpu_seconds": time.process_time() - began})
        return web.Response(body=bodies[int(number) % len(bodies)], content_type="text/html")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{number}", page)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def _page(body: bytes, url: str) -> Page:
    return Page(url, url, 200, "text/html", "", body, sha256(body), _FETCHED, "stored")


def _unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def show(name: str, found: Quality) -> None:
    """One line of the table, and what was missed."""
    titles = "" if found.titles is None else f"{found.titles:.3f}"
    dates = "" if found.dates is None else f"{found.dates:.3f}"
    methods = ", ".join(f"{method or 'none'} {count}" for method, count in found.methods.items())
    print(
        f"{name:<13}{found.pages:>6}{found.f1:>8.4f}{MARKS[name]:>7.3f}{found.f1_of_means:>10.4f}{titles:>8}{dates:>7}"
        f"  {methods}"
    )


def main() -> None:
    """Measures, prints the tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENRICH_TEST_DATA", DATA)))
    parser.add_argument("--rounds", type=int, default=1, help="measurements of the rates; the best of each counts")
    parser.add_argument("--no-rates", action="store_true", help="quality only")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not (asked.data / "html").is_dir():
        parser.error(f"no test data at {asked.data}: name its folder with --data or ENRICH_TEST_DATA")
    if asked.serve:
        _serve(asked.data)
        return
    results: dict[str, Any] = {}
    print(f"{'':<13}{'pages':>6}{'F1':>8}{'mark':>7}{'of means':>10}{'titles':>8}{'dates':>7}  methods")
    found = {}
    for name in MARKS:
        found[name] = quality(list(collection(name, asked.data)))
        show(name, found[name])
        results[name] = asdict(found[name])
    print("\nTitles of aed424 that differ (people's, then ours):")
    for url, expected, got in found["aed424"].missed_titles:
        print(f"  {url}\n    {expected}\n    {got}")
    print("\nDates of aed424 that differ by more than a day (people's, then ours):")
    for url, expected, got in found["aed424"].missed_dates:
        print(f"  {url}\n    {expected}  {got or 'none'}")
    agreed, cases = charset_share(asked.data)
    results["charset"] = {"agreed": agreed, "cases": cases}
    print(f"\nCharset sniffing: {agreed} of {cases} cases agree")
    if not asked.no_rates:
        pages = [gold.page for gold in collection("aed424", asked.data)]
        rounds = [rates(pages, asked.data) for _ in range(asked.rounds)]
        results["rates"] = rounds
        print("\nPages a second (aed424)")
        for one in rounds:
            print(
                f"  single {one['single']:.1f} · pooled {one['pooled']:.1f} on {one['workers']:.0f} workers "
                f"({one['pooled_of_single']:.2f} of single) · fetched and extracted {one['fetched']:.1f} "
                f"({one['fetched_of_pooled']:.2f} of pooled; server {one['server_cpu_seconds']:.2f} s CPU "
                f"in {one['fetched_seconds']:.2f} s)"
            )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False), encoding="utf-8")
    print(f"\n{RESULTS}")


if __name__ == "__main__":
    main()
