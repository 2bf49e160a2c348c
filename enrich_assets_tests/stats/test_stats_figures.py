"""Figures: honest counts, small files, equal bytes for equal tables."""

from __future__ import annotations

import io
import statistics
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from enrich_assets.core.envelope import Counts, Envelope, Usage
from enrich_assets.stats.figures.bars import Bars
from enrich_assets.stats.figures.by_day import ByDay
from enrich_assets.stats.figures.charts import ticks
from enrich_assets.stats.figures.document_bars import DocumentBars
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.funnel import Funnel
from enrich_assets.stats.figures.histogram import Histogram, histogram
from enrich_assets.stats.figures.lettering import readable, width_of
from enrich_assets.stats.figures.phase_bars import PhaseBars
from enrich_assets.stats.figures.picture import WIDTH
from enrich_assets.stats.figures.scatter import MOST_DOTS, Scatter, rank_correlation
from enrich_assets.stats.figures.spreads import Spreads
from enrich_assets.stats.figures.timeline import Timeline, per_day
from enrich_assets.stats.outcome import Outcome

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
            "other": pa.array([10 - n * 0.2 for n in range(count)]),
            "found": pa.array(
                [[{"kind": "a"}, {"kind": "b"}], [], None, [{"kind": None}], [{"kind": "a"}]] * (count // 5)
            ),
            "name": NASTY * repeats,
            "tags": pa.array([["x", "y"], ["x"], [], None, ["z"]] * (count // 5)),
            "at": pa.array([START + timedelta(hours=7 * n) for n in range(count)], pa.timestamp("us", tz="UTC")),
        }
    )


def envelope(phase: str, counts: Counts, seconds: float, cost: float | None) -> Envelope:
    return Envelope(
        package_version="1", graph="g", run_id="r", phase=phase, number=1, artifact_id="a", started_at=START,
        duration_seconds=seconds, counts=counts, usage=Usage(cost=cost, spent=cost), settings_fingerprint="",
        code_fingerprint="", columns={"row_id": "string"}, data_sha256="", content_sha256="",
    )  # fmt: skip


HISTORY = {
    "read": envelope("read", Counts(rows_in=2, kept=2, created=80, rows_out=80), 3.21, 0.0),
    "a very long name of a phase that somebody chose": envelope(
        "x", Counts(rows_in=80, kept=31, dropped=49, rows_out=31), 123.4, 1.5
    ),
}
DOCUMENT = {"rows": [{"kind": "feed"}, {"kind": "feed"}, {"kind": None}]}


def outcome_of(counts: Counts = COUNTS) -> Outcome:
    is_empty = not counts.rows_in
    return Outcome(counts, history={} if is_empty else HISTORY, document={"rows": []} if is_empty else DOCUMENT)


def moments(*values: datetime | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.timestamp("us", tz="UTC"))])


FIGURES = [
    Histogram("score", label="score, points of 10"),
    Bars("name"),
    Bars("tags"),
    Bars("found", item="kind", label="things per kind"),
    Timeline("at"),
    ByDay("name", "at", label="rows per name and day"),
    Scatter("score", "other", "score, points of 10", "other score, points of 10"),
    Spreads(("score", "other"), label="two scores, points of 10", called="two_scores"),
    DropReasons(),
    Funnel(),
    PhaseBars("duration"),
    PhaseBars("cost"),
    DocumentBars("rows", "kind", label="sources per kind"),
]


def texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_files_are_small_and_equal_for_equal_tables(figure: Any) -> None:
    files = figure.draw(table_of(), outcome_of())
    assert set(files) == {f"{figure.name}.svg", f"{figure.name}.png"}
    png = files[f"{figure.name}.png"]
    assert len(png) <= 30_000
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert picture.getpixel((0, 0)) == (255, 255, 255) and min(low for low, _ in picture.getextrema()) < 50
    assert figure.title in texts(files[f"{figure.name}.svg"])
    assert figure.draw(table_of(), outcome_of()) == files


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_a_table_without_rows_says_so(figure: Any) -> None:
    files = figure.draw(table_of().slice(0, 0), outcome_of(Counts()))
    assert {"no rows", "nothing was paid"} & set(texts(files[f"{figure.name}.svg"]))
    assert figure.spark(table_of().slice(0, 0), outcome_of(Counts())) == ""


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_a_spark_is_small_enough_for_a_data_uri_in_place(figure: Any) -> None:
    many = pa.table(
        {
            "score": [n * 1.1 for n in range(3000)],
            "other": [n * 0.1 for n in range(3000)],
            "found": [[{"kind": f"value {n % 99}"}] for n in range(3000)],
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


def test_bars_explode_lists_and_tell_of_what_is_rare() -> None:
    assert Bars("tags")._counted(table_of(1)) == ([("x", 4), ("(no value)", 2), ("y", 2), ("z", 2)], 0, 0)
    assert Bars("name", top=1)._counted(table_of(1)) == ([("(no value)", 2)], 7, 8)
    assert "and 7 others, 8 together" in texts(Bars("name", top=1).draw(table_of(1), None)["name_bars.svg"])
    assert Bars("found", item="kind")._counted(table_of(1))[0] == [("(no value)", 4), ("a", 4), ("b", 2)]


def test_a_bound_of_the_settings_is_marked_with_its_name() -> None:
    class Settings:
        least, most = 2.0, 40.0

    marked = Histogram("score", bounds=("least", "most", "absent")).draw(
        table_of(), Outcome(COUNTS, settings=Settings())
    )
    assert {"least 2", "most 40"} <= set(texts(marked["score_histogram.svg"]))


def test_what_each_phase_passed_on_stands_before_what_came_in() -> None:
    shown = texts(Funnel().draw(None, outcome_of())["funnel.svg"])
    assert "80" in shown and "31 of 80" in shown
    assert "$1.50" in texts(PhaseBars("cost").draw(None, outcome_of())["phase_cost.svg"])
    unknown = Outcome(COUNTS, history={**HISTORY, "c": envelope("c", Counts(), 1, None)})
    assert {"unknown", "some costs are unknown"} <= set(texts(PhaseBars("cost").draw(None, unknown)["phase_cost.svg"]))


def test_many_pairs_become_shades_and_their_agreement_is_told() -> None:
    few, many = MOST_DOTS, MOST_DOTS + 1
    for count, mark in ((few, b"<circle"), (many, b"<rect")):
        table = pa.table({"x": [float(n) for n in range(count)], "y": [float(n % 97) for n in range(count)]})
        svg = Scatter("x", "y", "x", "y").draw(table, None)["y_by_x.svg"]
        assert svg.count(mark) > 10 and len(svg) < 200_000
    assert rank_correlation(np.arange(9.0), np.arange(9.0) ** 3) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 1, 2, 3]), np.array([4.0, 4, 2, 1])) == pytest.approx(-1)
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None


def test_one_old_page_does_not_stretch_the_days() -> None:
    days = [datetime(1970, 1, 2, tzinfo=UTC), *(START + timedelta(days=n) for n in range(20))]
    table = pa.table({"name": ["a"] * 21, "at": pa.array(days, pa.timestamp("us", tz="UTC"))})
    _, starts, counts, unit, left_out = ByDay("name", "at", label="x")._counted(table)
    assert (unit, len(starts), int(counts.sum()), left_out) == ("day", 31, 20, 1)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_no_label_is_cut_and_none_touches_another(figure: Any) -> None:
    boxes = []
    for e in ElementTree.fromstring(figure.draw(table_of(), outcome_of())[f"{figure.name}.svg"]).iter(
        "{http://www.w3.org/2000/svg}text"
    ):
        size, x, y = float(e.get("font-size") or 0), float(e.get("x") or 0), float(e.get("y") or 0)
        if e.get("transform"):
            continue
        wide = width_of(e.text or "", size * 0.72, is_bold=e.get("font-weight") == "bold") * 100
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[e.get("text-anchor") or "start"]
        assert left >= 0 and left + wide <= WIDTH * 100, e.text
        boxes.append((left, left + wide, y - 0.73 * size, y, e.text))
    for n, (left, right, top, bottom, text) in enumerate(boxes):
        for other in boxes[:n]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, f"{text!r} touches {other[4]!r}"


def test_ticks_are_round_values_within_the_range() -> None:
    assert ticks(0, 10, 6) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.37, 0.93, 4) == pytest.approx([0.4, 0.6, 0.8])
    assert ticks(0, 3, 6, whole=True) == [0, 1, 2, 3]
    assert ticks(5, 5, 6) == [5]


def test_days_are_utc_days_without_gaps_and_long_spans_get_longer_bins() -> None:
    starts, counts, unit, missing = per_day(moments(START, START + timedelta(hours=2), START + timedelta(days=3), None))
    assert starts == [date(2026, 10, d) for d in (20, 21, 22, 23)]
    assert (counts, unit, missing) == ([1, 1, 0, 1], "day", 1)
    for days, expected in ((62, "day"), (63, "week"), (401, "month"), (4_001, "year"), (40_001, "decade")):
        starts, counts, unit, _ = per_day(moments(START, START + timedelta(days=days)))
        assert unit == expected and sum(counts) == 2 and len(starts) <= 63
    starts, counts, unit, _ = per_day(moments(datetime(1, 1, 1, tzinfo=UTC), START))
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


def test_a_figure_takes_less_than_80_milliseconds_of_processor_time() -> None:
    DropReasons().draw(table_of(), outcome_of())
    took = []
    for figure in FIGURES:
        start = time.process_time()
        figure.draw(table_of(), outcome_of())
        took.append(time.process_time() - start)
    assert statistics.median(took) < 0.08


@pytest.mark.parametrize("days_before", [0, 1, 60, 300, 3_000, 30_000, 3_652_058])
def test_a_timeline_reaches_the_last_day_that_there_is(days_before: int) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    starts, counts, _, _ = per_day(moments(last - timedelta(days=days_before), last))
    assert sum(counts) == 2 and counts[0] and counts[-1] and starts == sorted(set(starts))
    table = pa.table({"row_id": ["a", "b"], "at": [last - timedelta(days=days_before), last]})
    assert len(Timeline("at").draw(table, None)) == 2 and Timeline("at").spark(table, None)
