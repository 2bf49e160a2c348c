"""How near the web client comes to bare aiohttp: the same pages read in both ways, in one run, against one server.

    python -m benchmarks.fetching [--pages 500] [--hosts 20] [--bytes 50000] [--latency 0.1] [--in-flight 20,64]

Three measurements:

    rate      politeness off (no robots.txt, no spacing), so many requests in flight: `bare` is aiohttp with a
              semaphore that reads every body whole, `client` is HttpClient with guard, deadline, cap and turns
    schedule  spacing on, robots.txt read: the time of the last page against the schedule that the spacing allows
    together  real pages fetched and extracted in the process pool, against the same pool without fetching; the
              server's CPU is told, because it takes its part of the same cores (`benchmarks.extraction` measures it;
              left out where its test data is absent)

Every measurement has a client process of its own and a server process of its own; the ways take turns and the median
counts. Prints a table and writes benchmarks/results/fetching.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.extraction import DATA, collection, rates

RESULTS = Path(__file__).parent / "results" / "fetching.json"
WAYS = ("bare", "client")
LEAST_TOGETHER = 0.6
"""Fetching and extracting together, as a share of the pool's rate without fetching."""


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """One way, once: seconds, pages read, CPU ms a page of client and server."""
    command = [sys.executable, "-m", "benchmarks.page_server", "--hosts", str(asked["hosts"]),
               "--bytes", str(asked["bytes"]), "--latency", str(asked["latency"])]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            before = _stats(port)
            client = [sys.executable, "-m", "benchmarks.fetching", "--client", json.dumps({**asked, "port": port})]
            done = subprocess.run(client, stdout=subprocess.PIPE, encoding="utf-8", check=True)
            after = _stats(port)
        finally:
            server.terminate()
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    found["server_cpu_ms"] = (after["cpu_seconds"] - before["cpu_seconds"]) * 1000 / asked["pages"]
    found["lost"] = asked["pages"] - found.pop("pages")
    return found


def compare(asked: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Both ways, taking turns; of each the medians and every single measurement."""
    single: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        for way in WAYS if repeat % 2 == 0 else WAYS[::-1]:
            single[way].append(measure({**asked, "way": way}))
            print(f"  {way} {repeat + 1}: {single[way][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    medians = {way: {name: median(one[name] for one in found) for name in found[0]} for way, found in single.items()}
    # Against bare in the same turn: what else the machine did then slowed both.
    pairs = list(zip(single["bare"], single["client"], strict=True))
    of_bare = median(bare["seconds"] / client["seconds"] for bare, client in pairs)
    ideal = asked["pages"] / asked["in_flight"] * asked["latency"]
    return {"asked": asked, "ideal_seconds": ideal, "ways": medians, "of_bare": of_bare, "single": single}


def scheduled(asked: dict[str, Any]) -> dict[str, Any]:
    """How long so many pages take with spacing on, and what the schedule allows: robots.txt first, then the pages."""
    found = measure({**asked, "way": "client", "robots": True})
    allowed = asked["pages"] / asked["hosts"] * asked["spacing"] + asked["latency"]
    return {"asked": asked, "allowed_seconds": allowed, "of_allowed": found["seconds"] / allowed, **found}


def together(data: Path, repeats: int) -> dict[str, float]:
    """Rates of the extraction pool with and without fetching: the turn with the median share."""
    pages = [gold.page for gold in collection("aed424", data)]
    turns = sorted((rates(pages, data) for _ in range(repeats)), key=lambda turn: turn["fetched_of_pooled"])
    return turns[len(turns) // 2]


def show(found: dict[str, Any]) -> None:
    """The table of one comparison."""
    asked = found["asked"]
    print(
        f"\n{asked['pages']} pages of {asked['bytes']:,} bytes, {asked['latency'] * 1000:.0f} ms,"
        f" {asked['hosts']} hosts, {asked['in_flight']} in flight  (ideal {found['ideal_seconds']:.2f} s)"
    )
    print(f"{'':<9}{'s':>8}{'pages/s':>9}{'of bare':>9}{'client ms/page':>16}{'server ms/page':>16}{'lost':>6}")
    for way, one in found["ways"].items():
        ratio = f"{found['of_bare']:.3f}" if way == "client" else ""
        print(
            f"{way:<9}{one['seconds']:>8.2f}{asked['pages'] / one['seconds']:>9.0f}{ratio:>9}"
            f"{one['client_cpu_ms']:>16.3f}{one['server_cpu_ms']:>16.3f}{one['lost']:>6.0f}"
        )


async def _bare(urls: list[str], in_flight: int) -> int:
    import aiohttp

    slots, read = asyncio.Semaphore(in_flight), 0

    async def one(session: aiohttp.ClientSession, url: str) -> None:
        nonlocal read
        async with slots, session.get(url) as response:
            read += len(await response.read()) > 0

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, url) for url in urls))
    return read


async def _client(urls: list[str], asked: dict[str, Any]) -> int:
    from enrich_assets.web.http import HttpClient
    from enrich_assets.web.settings import HttpSettings

    settings = HttpSettings(
        allow_hosts=tuple({url.split("/")[2] for url in urls}),
        concurrency=asked["in_flight"],
        concurrency_per_host=asked["in_flight"],
        seconds_between_requests=asked["spacing"],
        robots=asked.get("robots", False),
    )
    async with HttpClient(settings) as client:
        found = await asyncio.gather(*(client.get(url) for url in urls))
    return sum(len(page.body) == asked["bytes"] for page in found)


def _read(asked: dict[str, Any]) -> None:
    """The client process: reads the pages of one measurement and prints what it took."""
    urls = [f"http://127.0.0.{n % asked['hosts'] + 1}:{asked['port']}/page/{n}" for n in range(asked["pages"])]
    # Everything imported and every code path warm before the clock starts, for both ways.
    warm = urls[:1] if asked["way"] == "bare" else []
    asyncio.run(_bare(warm, 1))
    asyncio.run(_client([], {**asked, "in_flight": 1}))
    begun, cpu = time.perf_counter(), time.process_time()
    pages = asyncio.run(_bare(urls, asked["in_flight"]) if asked["way"] == "bare" else _client(urls, asked))
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "pages": pages, "client_cpu_ms": used * 1000 / asked["pages"]}))


def _stats(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as response:
        return dict(json.load(response))


def main() -> None:
    """Measures, prints the tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=500, help="pages to read")
    parser.add_argument("--hosts", type=int, default=20, help="addresses of loopback that they come from")
    parser.add_argument("--bytes", type=int, default=50_000, help="size of a page")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds before a page is sent")
    parser.add_argument("--in-flight", default="20,64", help="requests at once, one measurement each")
    parser.add_argument("--spacing", type=float, default=0.2, help="seconds between two requests at a host")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENRICH_TEST_DATA", DATA)))
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        _read(json.loads(options.client))
        return
    asked = {"pages": options.pages, "hosts": options.hosts, "bytes": options.bytes, "latency": options.latency}
    measured = []
    for in_flight in map(int, options.in_flight.split(",")):
        measured.append(compare({**asked, "in_flight": in_flight, "spacing": 0.0}, options.repeats))
        show(measured[-1])
    schedule = scheduled({**asked, "in_flight": 64, "spacing": options.spacing})
    print(
        f"\nspacing {options.spacing:g} s: {schedule['seconds']:.2f} s, the schedule allows"
        f" {schedule['allowed_seconds']:.2f} s ({schedule['of_allowed']:.3f}), {schedule['lost']} lost"
    )
    results = {"rate": measured, "schedule": schedule}
    if (options.data / "html" / "aed424").is_dir():
        results["together"] = one = together(options.data, options.repeats)
        print(
            f"\nfetch and extraction together: {one['fetched']:.1f} pages/s, {one['pooled']:.1f} without fetching on"
            f" {one['workers']:.0f} workers ({one['fetched_of_pooled']:.3f}, mark {LEAST_TOGETHER}); the server took"
            f" {one['server_cpu_seconds']:.2f} s CPU in {one['fetched_seconds']:.2f} s"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
