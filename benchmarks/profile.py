"""What it takes to describe a large table: its profile, its ETL numbers and its figures, of a table in memory.

The table has 20 columns: numbers, texts, categories, dates and lists. One process makes it and leaves it as Parquet,
another one reads it and describes it; the time is that of describing, the peak that of the whole second process.

    python -m benchmarks.profile [--rows 1000000]

Prints a table and writes benchmarks/results/profile.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LIMIT_SECONDS, LIMIT_BYTES = 60.0, 2_000_000_000
RESULTS = Path(__file__).parent / "results" / "profile.json"


def table_of(rows: int) -> Any:
    """`rows` × 20 columns, `row_id` among them; equal for equal `rows`."""
    import numpy as np
    import pyarrow as pa

    draw = np.random.default_rng(20_261_001)
    words = np.array([f"word{n}" for n in range(5_000)])

    def texts(count: int) -> Any:
        picked = words[draw.integers(0, len(words), (rows, count))]
        joined = picked[:, 0]
        for place in range(1, count):
            joined = np.char.add(np.char.add(joined, " "), picked[:, place])
        return pa.array(joined.astype(object), pa.string())

    def gaps(values: Any, share: float) -> Any:
        return pa.array(values, mask=draw.random(rows) < share)

    def lists(items: Any, most: int) -> Any:
        sizes = draw.integers(0, most + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), items(int(offsets[-1])))

    def categories(count: int, size: int) -> Any:
        return pa.array(np.array([f"category {n}" for n in range(size)], object)[draw.integers(0, size, count)])

    moments = 1_790_000_000_000_000 + draw.integers(0, 90 * 86_400, rows) * 1_000_000
    columns: dict[str, Any] = {
        "row_id": pa.array([f"{n:016x}" for n in range(rows)]),
        "title": texts(4),
        "text": texts(12),
        "url": pa.array([f"https://example.org/{n % (rows - rows // 100)}" for n in range(rows)]),
        "score": gaps(draw.normal(6, 1.5, rows), 0.01),
        "second_score": draw.normal(5, 2, rows),
        "heavy": draw.lognormal(3, 1.5, rows),
        "few": draw.integers(0, 11, rows),
        "many": gaps(draw.integers(0, 10**9, rows), 0.2),
        "impact": draw.uniform(0, 10, rows),
        "novelty": draw.uniform(0, 10, rows),
        "source": categories(rows, 12),
        "category": categories(rows, 300),
        "author": categories(rows, 50_000),
        "is_new": pa.array(draw.random(rows) < 0.3),
        "published_at": pa.array(moments, pa.timestamp("us", tz="UTC"), mask=draw.random(rows) < 0.05),
        "fetched_at": pa.array(moments + 3_600_000_000, pa.timestamp("us", tz="UTC")),
        "day": pa.array((moments // 86_400_000_000).astype(np.int32)).cast(pa.date32()),
        "tags": lists(lambda count: categories(count, 40), 5),
        "sketch": lists(lambda count: pa.array(draw.integers(0, 2**31, count)), 8),
    }
    return pa.table(columns)


def measure_once(path: Path) -> dict[str, Any]:
    """Seconds by part, the process's peak before and after, and how many files came of it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from enrich_assets.core.envelope import Counts
    from enrich_assets.stats.etl import missing, repeated_rows
    from enrich_assets.stats.figures.bars import Bars
    from enrich_assets.stats.figures.by_day import ByDay
    from enrich_assets.stats.figures.drop_reasons import DropReasons
    from enrich_assets.stats.figures.histogram import Histogram
    from enrich_assets.stats.figures.scatter import Scatter
    from enrich_assets.stats.figures.spreads import Spreads
    from enrich_assets.stats.figures.timeline import Timeline
    from enrich_assets.stats.memory import peak_memory_bytes
    from enrich_assets.stats.outcome import Outcome
    from enrich_assets.stats.outliers import outliers
    from enrich_assets.stats.profile import profile_json, table_profile

    table = pq.read_table(path)
    rows = table.num_rows
    before = peak_memory_bytes()
    figures = [
        Histogram("score", label="score, points of 10"),
        Histogram("heavy"),
        Bars("source"),
        Bars("title"),
        Bars("tags"),
        Timeline("published_at"),
        ByDay("source", "published_at", label="rows per source and day"),
        Scatter("score", "second_score", "score, points", "second score, points"),
        Spreads(("score", "second_score", "impact", "novelty"), label="scores, points", called="scores"),
        DropReasons(),
    ]
    cpu_begun = time.process_time()
    outcome = Outcome(Counts(rows_in=rows + 10, kept=rows, dropped=10, dropped_by_reason={"too_old": 10}))
    seconds: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        begun = time.perf_counter()
        found = work()
        seconds[name] = time.perf_counter() - begun
        return found

    profile = timed("profile", lambda: table_profile(table))
    timed("profile as JSON", lambda: profile_json(profile))
    strays = timed("outliers", lambda: outliers(table, table.column_names[1:]))
    timed("missing values", lambda: missing(table, table))
    timed("rows that repeat", lambda: repeated_rows(table))
    files = {}
    for figure in figures:
        files |= timed(f"figure {figure.name}", lambda one=figure: one.draw(table, outcome))
        timed(f"spark {figure.name}", lambda one=figure: one.spark(table, outcome))
    return {
        "rows": rows,
        "columns": table.num_columns,
        "table_bytes": table.nbytes,
        "seconds": seconds,
        "total_seconds": sum(seconds.values()),
        "processor_seconds": time.process_time() - cpu_begun,
        "peak_before_bytes": before,
        "peak_bytes": peak_memory_bytes(),
        "figures": len(figures),
        "largest_file_bytes": max(len(data) for data in files.values()),
        "outliers": strays.num_rows,
        "missing": pc.sum(profile.column("missing")).as_py(),
    }


def main() -> None:
    """Prints the table and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        import pyarrow.parquet as pq

        pq.write_table(table_of(given.rows), given.make)
        return
    if given.measure:
        print(json.dumps(measure_once(given.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        command, path = [sys.executable, "-m", "benchmarks.profile"], str(Path(folder, "table.parquet"))
        subprocess.run([*command, "--rows", str(given.rows), "--make", path], check=True)
        measured = [*command, "--measure", path]
        done = subprocess.run(measured, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for name, took in found["seconds"].items():
        print(f"{name:<44}{took:>8.2f} s")
    total, peak = found["total_seconds"], found["peak_bytes"]
    print(f"\n{found['rows']:,} rows × {found['columns']} columns, {found['table_bytes'] / 1e6:,.0f} MB in memory")
    print(f"time {total:.1f} s, below {LIMIT_SECONDS:g} s wanted: {'met' if total < LIMIT_SECONDS else 'missed'}")
    print(f"of that {found['processor_seconds']:.1f} s processor time; the rest is waiting, also for others")
    print(
        f"peak of the process {peak / 1e6:,.0f} MB ({found['peak_before_bytes'] / 1e6:,.0f} MB before), "
        f"below {LIMIT_BYTES / 1e6:,.0f} MB wanted: {'met' if peak < LIMIT_BYTES else 'missed'}"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    written = {"limit_seconds": LIMIT_SECONDS, "limit_bytes": LIMIT_BYTES, **found}
    RESULTS.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
