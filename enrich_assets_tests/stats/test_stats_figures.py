"""Figures: honest counts, small files, equal bytes for equal tables."""

from __future__ import annotations

import io
import statistics
import time
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from matplotlib import image

from enrich_assets.core.envelope import Counts
from enrich_assets.stats.figures import Bars, DropReasons, Histogram, Timeline, histogram, per_day
from enrich_assets.stats.figures_drawing import readable

START = datetime(2026, 10, 20, 23, tzinfo=UTC)
NASTY = ["$x^2$ & <b>", "line\nbreak\x01", "日本語のカテゴリー", "long " * 30, "", None, "🙂", "\\frac{", "a", "a"]
COUNTS = Counts(
    rows_in=12,
    kept=6,
    dropped=4,
    failed=2,
    dropped_by_reason={"too_old": 1, "near_duplicate": 3},
    failed_by_kind={"http_404": 2},
)


def table_of(repeats: int = 4) -> pa.Table:
    count = len(NASTY) * repeats
    return pa.table(
        {
            "row_id": [str(n) for n in range(count)],
            "score": pa.array(
                [None if n % 9 == 0 else float("nan") if n % 10 == 0 else n * 0.37 for n in range(count)]
            ),
            "name": NASTY * repeats,
            "tags": pa.array([["x", "y"], ["x"], [], None, ["z"]] * (count // 5)),
            "at": pa.array([START + timedelta(hours=7 * n) for n in range(count)], pa.timestamp("us", tz="UTC")),
        }
    )


def outcome_of(counts: Counts = COUNTS) -> Any:
    return SimpleNamespace(counts=counts)


FIGURES = [Histogram("score", label="score, points of 10"), Bars("name"), Bars("tags"), Timeline("at"), DropReasons()]


def texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_files_are_small_and_equal_for_equal_tables(figure: Any) -> None:
    files = figure.draw(table_of(), outcome_of())
    assert set(files) == {f"{figure.name}.svg", f"{figure.name}.png"}
    png = files[f"{figure.name}.png"]
    assert len(png) <= 30_000
    picture = image.imread(io.BytesIO(png), format="png")
    assert tuple(picture[0, 0][:3]) == (1, 1, 1) and float(picture.min()) < 0.2
    assert figure.title in texts(files[f"{figure.name}.svg"])
    assert b"<dc:date>" not in files[f"{figure.name}.svg"]
    assert figure.draw(table_of(), outcome_of()) == files


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_a_table_without_rows_says_so(figure: Any) -> None:
    files = figure.draw(table_of().slice(0, 0), outcome_of(Counts()))
    assert "no rows" in texts(files[f"{figure.name}.svg"])
    assert figure.spark(table_of().slice(0, 0), outcome_of(Counts())) == ""


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_a_spark_is_small_enough_for_a_data_uri_in_place(figure: Any) -> None:
    many = pa.table(
        {
            "score": [n * 1.1 for n in range(3000)],
            "name": [f"value {n}" for n in range(3000)],
            "tags": [[f"value {n % 99}"] for n in range(3000)],
            "at": pa.array([START + timedelta(days=n) for n in range(3000)], pa.timestamp("us", tz="UTC")),
        }
    )
    for table in (table_of(), many):
        spark = figure.spark(table, outcome_of())
        assert 0 < len(spark.encode()) <= 700
        ElementTree.fromstring(spark)


def test_a_histogram_counts_every_number_and_names_what_is_missing() -> None:
    edges, counts = histogram([0.0, 0.5, 1.0, 9.99, 10.0], 10)
    assert counts == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2] and edges[0] == 0 and edges[-1] == 10
    assert histogram([1, 2, 2, 4], 20) == ([0.5, 1.5, 2.5, 3.5, 4.5], [1, 2, 0, 1])
    assert histogram([0.25] * 3, 20)[1] == [3]
    assert histogram([], 20) == ([], [])
    assert histogram([-1e308, 1e308], 20)[1] == [2]
    svg = Histogram("score").draw(table_of(), outcome_of())["score_histogram.svg"]
    assert any(t.startswith("n = 32, 8 without a value") for t in texts(svg))


def test_bars_explode_lists_and_join_what_is_rare() -> None:
    assert Bars("tags")._counted(table_of(1)) == (["x", "(no value)", "y", "z"], [4, 2, 2, 2], ())
    names, counts, muted = Bars("name", top=1)._counted(table_of(1))
    assert (names, counts, muted) == (["(no value)", "(7 others)"], [2, 8], (1,))


def test_days_are_utc_days_without_gaps_and_long_spans_get_longer_bins() -> None:
    starts, counts, unit, missing = per_day([START, START + timedelta(hours=2), START + timedelta(days=3), None])
    assert starts == [date(2026, 10, d) for d in (20, 21, 22, 23)]
    assert (counts, unit, missing) == ([1, 1, 0, 1], "day", 1)
    for days, expected in ((62, "day"), (63, "week"), (401, "month"), (4_001, "year"), (40_001, "decade")):
        starts, counts, unit, _ = per_day([START, START + timedelta(days=days)])
        assert unit == expected and sum(counts) == 2 and len(starts) <= 63
    starts, counts, unit, _ = per_day([datetime(1, 1, 1, tzinfo=UTC), START])
    assert (unit, len(starts), sum(counts)) == ("decade", 203, 2)


def test_drop_reasons_show_every_fate() -> None:
    shown = texts(DropReasons().draw(table_of(), outcome_of())["drop_reasons.svg"])
    for label in ("kept", "dropped: near duplicate", "dropped: too old", "failed: http 404"):
        assert label in shown


def test_labels_are_one_readable_line() -> None:
    assert readable("a\n\x01 b\u202e") == "a b"
    assert readable("x" * 50) == "x" * 34 + "…"
    assert readable("日" * 50) == "日" * 17 + "…"
    shown = texts(Bars("name").draw(table_of(), outcome_of())["name_bars.svg"])
    assert "$x^2$ & <b>" in shown and "日本語のカテゴリー" in shown


def test_a_figure_takes_less_than_150_milliseconds_of_processor_time() -> None:
    DropReasons().draw(table_of(), outcome_of())
    took = []
    for figure in FIGURES:
        start = time.process_time()
        figure.draw(table_of(), outcome_of())
        took.append(time.process_time() - start)
    assert statistics.median(took) < 0.15


@pytest.mark.parametrize("days_before", [0, 1, 60, 300, 3_000, 30_000, 3_652_058])
def test_a_timeline_reaches_the_last_day_that_there_is(days_before: int) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    starts, counts, _, _ = per_day([last - timedelta(days=days_before), last])
    assert sum(counts) == 2 and counts[0] and counts[-1] and starts == sorted(set(starts))
    table = pa.table({"row_id": ["a", "b"], "at": [last - timedelta(days=days_before), last]})
    assert len(Timeline("at").draw(table, None)) == 2 and Timeline("at").spark(table, None)
