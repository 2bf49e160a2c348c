"""How near the engine comes to the ideal: the same rows asked in several ways, in one run, against one kind of server.

    python -m benchmarks.throughput [--rows 5000] [--latency 0.2] [--in-flight 256] [--lognormal 0.8] [--repeats 3]

Without options three settings are measured: 5,000 rows at 256 in flight, the same at 64, and 2,000 rows with lognormal
latencies (sigma 0.8) at 64. The ways:

    bare        aiohttp and a semaphore: the fastest that a client in Python is expected to be
    engine      run_phase with a fresh SQLite ledger and the direct path; every answer committed
    litellm     litellm.acompletion with gather and a semaphore; nothing is kept
    engine-lite run_phase through litellm; every answer committed
    barrier-10  aiohttp in batches of 10: the next begins when the last of a batch has ended
    barrier-64  the same in batches of 64

Every measurement has a client process of its own and a server process of its own. The ways take turns, and the median
counts; barriers are measured once. Memory is sampled: its peak above what the process held after its imports. `ideal`
is a sliding window without any overhead, computed from the same drawn latencies.

Prints a table for each setting and writes benchmarks/results/throughput.json.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.latency_server import latencies

RESULTS = Path(__file__).parent / "results" / "throughput.json"
WAYS = ("bare", "engine", "litellm", "engine-lite", "barrier-10", "barrier-64")


@dataclass(frozen=True)
class Setting:
    """What is asked for: rows, seconds an answer takes (median with `sigma` > 0), requests at once."""

    rows: int
    latency: float
    in_flight: int
    sigma: float = 0.0

    @property
    def title(self) -> str:
        """The setting in words."""
        spread = f", lognormal {self.sigma:g}" if self.sigma else ""
        return f"{self.rows:,} rows, {self.latency * 1000:.0f} ms{spread}, {self.in_flight} in flight"

    def ideal_seconds(self) -> float:
        """Seconds of a sliding window that costs nothing itself: each row begins as soon as a place is free."""
        places: list[float] = []
        end = 0.0
        for wait in latencies(self.rows, self.latency, self.sigma):
            begun = heapq.heappop(places) if len(places) >= self.in_flight else 0.0
            heapq.heappush(places, begun + wait)
            end = max(end, begun + wait)
        return end


DEFAULT_SETTINGS = (Setting(5000, 0.2, 256), Setting(5000, 0.2, 64), Setting(2000, 0.2, 64, 0.8))


def measure(setting: Setting, way: str, *, profile: str = "") -> dict[str, Any]:
    """One way, once: seconds, rows, CPU ms a row of client and server, MB above the imports."""
    drawn = ["--latency", str(setting.latency), "--sigma", str(setting.sigma), "--rows", str(setting.rows)]
    command = [sys.executable, "-m", "benchmarks.latency_server", *drawn]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server,
        tempfile.TemporaryDirectory(prefix="throughput-") as folder,
    ):
        try:
            assert server.stdout is not None
            base_url = server.stdout.readline().strip()
            before = _stats(base_url)
            asked = {**asdict(setting), "way": way, "base_url": base_url, "folder": folder, "profile": profile}
            client = [sys.executable, "-m", "benchmarks.throughput_client", json.dumps(asked)]
            environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
            done = subprocess.run(client, stdout=subprocess.PIPE, encoding="utf-8", check=True, env=environment)
            after = _stats(base_url)
        finally:
            server.terminate()
    found = json.loads(done.stdout.splitlines()[-1])
    found["server_cpu_ms"] = (after["cpu_seconds"] - before["cpu_seconds"]) * 1000 / setting.rows
    found["calls"] = after["calls"]
    found["most_in_flight"] = after["most_in_flight"]
    return dict(found)


def compare(setting: Setting, ways: tuple[str, ...], repeats: int) -> dict[str, Any]:
    """All ways of one setting, taking turns; of each the medians and every single measurement."""
    single: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for repeat in range(repeats):
        for way in ways:
            if repeat == 0 or not way.startswith("barrier"):
                single[way].append(measure(setting, way))
                print(f"  {way} {repeat + 1}: {single[way][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    medians = {way: {name: median(one[name] for one in found) for name in found[0]} for way, found in single.items()}
    # Against bare in the same turn: what else the machine did then slowed both.
    for way, found in single.items():
        if "bare" in single and not way.startswith("barrier"):
            pairs = zip(single["bare"], found, strict=True)
            medians[way]["of_bare"] = median(bare["seconds"] / one["seconds"] for bare, one in pairs)
        elif "bare" in single:
            medians[way]["of_bare"] = medians["bare"]["seconds"] / medians[way]["seconds"]
    return {
        "setting": asdict(setting),
        "title": setting.title,
        "ideal_seconds": setting.ideal_seconds(),
        "ways": medians,
        "single": single,
    }


def show(found: dict[str, Any]) -> None:
    """The table of one setting."""
    rows, ideal = found["setting"]["rows"], found["ideal_seconds"]
    print(f"\n{found['title']}  (ideal {ideal:.2f} s)")
    print(
        f"{'':<13}{'s':>8}{'rows/s':>9}{'of bare':>9}{'of ideal':>10}{'client ms/row':>15}{'server ms/row':>15}"
        f"{'MB above':>10}{'calls':>7}"
    )
    for way, one in found["ways"].items():
        of_bare = f"{one['of_bare']:.3f}" if "of_bare" in one else ""
        print(
            f"{way:<13}{one['seconds']:>8.2f}{rows / one['seconds']:>9.0f}{of_bare:>9}"
            f"{ideal / one['seconds']:>10.3f}{one['client_cpu_ms']:>15.3f}{one['server_cpu_ms']:>15.3f}"
            f"{one['memory_mb']:>10.1f}{one['calls']:>7.0f}"
        )


def _stats(base_url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/stats", timeout=10) as response:
        return dict(json.load(response))


def main() -> None:
    """Measures, prints the tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, help="texts to ask for")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before an answer, or their median")
    parser.add_argument("--in-flight", type=int, default=256, help="requests at once")
    parser.add_argument("--lognormal", type=float, default=0.0, help="sigma of lognormal latencies")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each way; the median counts")
    parser.add_argument("--ways", default=",".join(WAYS), help="which to measure, with commas")
    parser.add_argument("--profile", default="", help="write a cProfile of one engine run here, and measure nothing")
    given = parser.parse_args()
    ways = tuple(given.ways.split(","))
    unknown = set(ways) - set(WAYS)
    if unknown:
        parser.error(f"no such way: {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    settings = DEFAULT_SETTINGS
    if given.rows is not None:
        settings = (Setting(given.rows, given.latency, given.in_flight, given.lognormal),)
    if given.profile:
        measure(settings[0], ways[0] if len(ways) == 1 else "engine", profile=given.profile)
        return
    found = []
    for setting in settings:
        print(setting.title, file=sys.stderr, flush=True)
        found.append(compare(setting, ways, given.repeats))
        show(found[-1])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
