"""Pages over 500 runs and over a table of 100,000 rows, asked for as people do: one after the other."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

import pyarrow as pa
import pytest

from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.store import Store
from enrich_assets_tests.service.synthetic import many_runs, publish
from enrich_assets_tests.service.viewer_kit import Served, served

ROWS = 100_000
MARK_SECONDS = 0.3
"""The median that pages are held to on a machine that does nothing else."""
BUSY_SECONDS = 1.5


def timed(viewer: Served, path: str, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        viewer.get(path)
        taken.append(time.perf_counter() - began)
    return taken


def articles(rows: int) -> pa.Table:
    """Rows like articles: a title, 600 characters of text, scores, a category, tags."""
    pick = random.Random(7)
    words = [f"word{number}" for number in range(4000)]
    texts = [" ".join(pick.choices(words, k=80)) for _ in range(2000)]
    return pa.table(
        {
            "row_id": [f"{number:016x}" for number in range(rows)],
            "title": [" ".join(pick.choices(words, k=8)) for _ in range(rows)],
            "url": [f"https://news.example/{number}" for number in range(rows)],
            "source_name": pick.choices(["Harbor Ledger", "Open Circuit", "Policy Desk"], k=rows),
            "text": [f"{texts[number % 2000]} {number}" for number in range(rows)],
            "tier1_score": [round(pick.random() * 10, 2) for _ in range(rows)],
            "category": pick.choices(["industry", "health", None], k=rows),
            "tags": pa.array([["a", "b"]] * rows, pa.list_(pa.field("element", pa.string()))),
        }
    )


def judged(name: str, pages: dict[str, list[float]], bound: float) -> None:
    for path, taken in pages.items():
        print(f"{name}: median {1000 * statistics.median(taken):.0f} ms, most {1000 * max(taken):.0f} ms: {path}")
    for path, taken in pages.items():
        assert statistics.median(taken) < bound, path
    whole = statistics.median([seconds for taken in pages.values() for seconds in taken])
    print(f"{name}: median of all pages {1000 * whole:.0f} ms")


def measure(folder: Path, times: int, bound: float, rows: int) -> None:
    storage = folder / "data"
    storage.mkdir()
    with Ledger.for_storage(str(storage)) as ledger:
        run_id = many_runs(ledger, 500)[-1]
        publish(Store(storage), ledger, run_id, "tier1", articles(rows))
    table = f"/runs/{run_id}/phases/tier1/table"
    with served(storage) as viewer:
        began = time.perf_counter()
        viewer.get(table)
        print(f"the first page of the table, with every hash checked: {time.perf_counter() - began:.1f} s")
        runs = ["/runs", "/runs?page=7", "/runs?text=news+4", "/runs?state=failed", f"/runs/{run_id}", "/compare"]
        judged("500 runs", {path: timed(viewer, path, times) for path in runs}, bound)
        # Each asks for something new every time, so that nothing is found already chosen.
        asked: dict[str, list[float]] = {}
        for number in range(times):
            for path in (
                f"{table}?page={number + 2}",
                f"{table}?page={rows // 50 - number}",
                f"{table}?text=word{number}+word",
                f"{table}?column=tier1_score&operator=least&value=9.{number}",
                f"{table}?column=category&operator=is&value=health&page={number + 1}",
                f"{table}?sort=title&order={('up', 'down')[number % 2]}&text=word{number}",
                f"{table}?sort=tier1_score&order=down&column=title&value=word{number}",
                f"/runs/{run_id}/row?id={number:016x}",
            ):
                kind = (
                    path.split("?")[0].rsplit("/", 1)[-1]
                    + "?"
                    + "&".join(part.split("=")[0] for part in path.split("?")[1].split("&"))
                )
                asked.setdefault(kind, []).extend(timed(viewer, path, 1))
        judged(f"{rows:,} rows", asked, bound)


def test_pages_are_quick_over_many_runs_and_rows(tmp_path: Path) -> None:
    measure(tmp_path, 3, BUSY_SECONDS, ROWS // 5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_median_of_every_page_stays_below_its_mark(tmp_path: Path) -> None:
    measure(tmp_path, 9, MARK_SECONDS, ROWS)
