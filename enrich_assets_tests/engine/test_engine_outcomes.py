"""Where rows end, in what order they come out, and how little is held of them."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel

from enrich_assets.core.errors import DeclarationError
from enrich_assets.core.picking import rows_at
from enrich_assets.core.settings import Settings
from enrich_assets.engine.columns import Column, arrow_schema, table_of
from enrich_assets.engine.outcomes import Outcomes
from enrich_assets.engine.phase import Created, Drop, Failed, Phase, Selection, row, table
from enrich_assets.engine.table_builder import TableBuilder, with_columns


class Nothing(Settings):
    """Nothing to set."""


GIVEN = {"title": Column(str, "title"), "text": Column(str, "text"), "tags": Column(list[str], "tags")}


@row(settings=Nothing, adds={"points": Column(int, "points"), "text": Column(str, "text, mended")})
async def scored(row: Any, clients: Any, settings: Any) -> dict[str, Any]:
    """Rows with points."""
    return {}


@row(settings=Nothing, creates=True, adds={"title": Column(str, "title")}, sides={"seen": {"n": Column(int, "n")}})
async def listed(row: Any, clients: Any, settings: Any) -> Created:
    """Rows out of rows."""
    return Created()


@table(settings=Nothing, adds={"rank": Column(int, "rank")})
def ordered(rows: Any, settings: Any) -> Selection:
    """Rows in an order."""
    return Selection([])


def phase_of(function: Any) -> Phase:
    phase: Phase = function.phase
    return phase


def given(count: int, text: str = "text") -> pa.Table:
    rows = [
        {"row_id": f"r{i:05d}", "title": f"Title {i}", "text": f"{text} {i}", "tags": [str(i % 3)]}
        for i in range(count)
    ]
    return table_of(rows, GIVEN)


def outcomes_of(function: Any, source: pa.Table | None) -> Outcomes:
    phase = phase_of(function)
    outcomes = Outcomes(phase, phase.adds if phase.creates else {**GIVEN, **phase.adds}, source)
    outcomes.rows_in = 0 if source is None else source.num_rows
    return outcomes


def test_the_order_is_that_of_the_input_whatever_the_order_of_completion() -> None:
    source = given(3000)
    rows = source.to_pylist()
    in_order, shuffled = list(range(3000)), random.Random(3).sample(range(3000), 3000)
    tables = []
    for order in (in_order, shuffled):
        outcomes = outcomes_of(scored, source)
        for index in order:
            if index % 10 == 1:
                outcomes.take(rows[index], Drop("odd", index), index)
            elif index % 10 == 2:
                outcomes.fail(rows[index], "timeout", f"row {index}", index)
            else:
                outcomes.take(rows[index], {"points": index}, index)
        tables.append((outcomes.table(), outcomes.dropped_table(), outcomes.failed_table()))
        counts = outcomes.counts()
        assert (counts.kept, counts.dropped, counts.failed, outcomes.done) == (2400, 300, 300, 3000)
        assert counts.dropped_by_reason == {"odd": 300} and counts.failed_by_kind == {"timeout": 300}
        assert outcomes.first_failure() == "row 2"
    for one, other in zip(*tables, strict=True):
        assert one.equals(other)
    kept, dropped, failed = tables[1]
    expected = [index for index in range(3000) if index % 10 not in (1, 2)]
    assert kept.column("points").to_pylist() == expected
    assert kept.to_pylist()[0] == {**rows[0], "points": 0}, "a column not returned keeps the input's value"
    assert kept.column("title").to_pylist() == [f"Title {index}" for index in expected]
    assert dropped.column("drop_value").to_pylist() == [str(index) for index in range(1, 3000, 10)]
    assert failed.column("title").to_pylist() == [f"Title {index}" for index in range(2, 3000, 10)]


def test_a_column_that_the_phase_declares_too_is_the_phases() -> None:
    source = given(2)
    outcomes = outcomes_of(scored, source)
    outcomes.take(source.to_pylist()[1], {"points": 1, "text": "mended\x00"}, 1)
    outcomes.take(source.to_pylist()[0], {"points": 0}, 0)
    assert outcomes.table().column("text").to_pylist() == ["text 0", "mended"]
    assert outcomes.table().column_names == ["row_id", "title", "text", "tags", "points"]


def test_where_every_row_is_kept_the_inputs_columns_are_not_copied() -> None:
    source = given(5000)
    outcomes = outcomes_of(scored, source)
    for index, each in enumerate(source.to_pylist()):
        outcomes.take(each, {"points": 1}, index)
    held = pa.total_allocated_bytes()
    made = outcomes.table()
    assert pa.total_allocated_bytes() - held < source.nbytes / 4
    assert made.column("title").chunk(0).buffers()[2].address == source.column("title").chunk(0).buffers()[2].address


def test_what_is_held_of_kept_rows_does_not_grow_with_their_texts() -> None:
    def growth(text: str) -> int:
        source = given(4000, text)
        outcomes = outcomes_of(scored, source)
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        for index in range(4000):
            each = {"row_id": f"r{index:05d}", "title": "t", "text": "short", "unused": f"{text} {index}"}
            outcomes.take(each, {"points": index}, index)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return int(held + pa.total_allocated_bytes() - before)

    short, long = growth("x"), growth("x" * 2000)
    assert long < 1.2 * short
    assert short < 4000 * 150, "bytes: a dict alone takes more"


def test_select_sees_every_column_and_drops_with_the_rows_name() -> None:
    source = given(10)
    outcomes = outcomes_of(scored, source)
    for index, each in reversed(list(enumerate(source.to_pylist()))):
        outcomes.take(each, Drop("none") if index == 4 else {"points": index}, index)
    kept = outcomes.kept_rows()
    assert [seen["points"] for seen in kept] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert dict(kept[4]) == {"row_id": "r00005", "points": 5, "text": "text 5", "title": "Title 5", "tags": ["2"]}
    assert kept[0].get("nothing") is None and "title" in kept[0] and "nothing" not in kept[0]
    outcomes.drop_later({seen["row_id"]: Drop("low", seen["points"]) for seen in kept if seen["points"] < 3})
    assert outcomes.table().column("row_id").to_pylist() == [f"r{n:05d}" for n in (3, 5, 6, 7, 8, 9)]
    dropped = outcomes.dropped_table()
    assert dropped.column("title").to_pylist() == ["Title 0", "Title 1", "Title 2", "Title 4"]
    assert dropped.column("drop_value").to_pylist() == ["0", "1", "2", ""]
    assert outcomes.counts().dropped_by_reason == {"low": 3, "none": 1}
    with pytest.raises(DeclarationError, match="not given: \\['r00000'\\]"):
        outcomes.drop_later({"r00000": Drop("low")})


def test_a_table_phase_decides_the_order() -> None:
    source = given(6)
    outcomes = outcomes_of(ordered, source)
    order = [5, 0, 3]
    kept = [{"row_id": f"r{n:05d}", "rank": place} for place, n in enumerate(order, 1)]
    outcomes.take_selection(source.to_pylist(), Selection(kept, {f"r{n:05d}": Drop("low") for n in (4, 2, 1)}))
    made = outcomes.table()
    assert made.column("title").to_pylist() == ["Title 5", "Title 0", "Title 3"]
    assert made.column("rank").to_pylist() == [1, 2, 3]
    assert outcomes.dropped_table().column("row_id").to_pylist() == ["r00004", "r00002", "r00001"]


def test_of_rows_created_twice_the_first_source_in_the_order_of_the_input_counts() -> None:
    outcomes = outcomes_of(listed, given(3))
    later = Created(
        rows=[{"row_id": "a", "title": "second"}, {"row_id": "c", "title": "C"}],
        dropped=[({"row_id": "d"}, Drop("old"))],
        side={"seen": [{"row_id": "s2", "n": 2}]},
        failure=Failed("timeout", "half of it"),
    )
    earlier = Created(
        rows=[{"row_id": "a", "title": "first"}, {"row_id": "b", "title": "B"}],
        failed=[({"row_id": "e", "title": "E"}, Failed("http 404"))],
        side={"seen": [{"row_id": "s1", "n": 1}]},
    )
    outcomes.take({"row_id": "r2"}, later, 2)
    outcomes.take({"row_id": "r0"}, earlier, 0)
    outcomes.take({"row_id": "r1"}, Drop("empty"), 1)
    assert [(r["row_id"], r["title"]) for r in outcomes.table().to_pylist()] == [
        ("a", "first"), ("b", "B"), ("c", "C")
    ]  # fmt: skip
    counts = outcomes.counts()
    assert (counts.kept, counts.dropped, counts.failed, counts.created, counts.rows_out) == (1, 1, 1, 3, 3)
    assert counts.dropped_by_reason == {"empty": 1, "listed_twice": 1, "old": 1}
    assert counts.failed_by_kind == {"http 404": 1, "timeout": 1}
    assert outcomes.dropped_table().column("row_id").to_pylist() == ["r1", "d", "a"]
    assert outcomes.dropped_table().column("title").to_pylist()[2] == "second"
    assert outcomes.failed_table().column("row_id").to_pylist() == ["r2", "e"]
    assert outcomes.side_tables()["seen"].column("n").to_pylist() == [1, 2]


def test_a_value_that_does_not_fit_is_named_with_its_row_while_rows_still_come() -> None:
    outcomes = outcomes_of(scored, given(5))
    with pytest.raises(DeclarationError, match=r"column 'points' is int64, but row 'r00003' has 1\.5"):
        for index in range(2000):
            outcomes.take({"row_id": f"r{index:05d}"}, {"points": 1.5 if index == 3 else 1}, index)
    assert outcomes.done < 2000


class Part(BaseModel):
    name: str
    sizes: list[int]


def test_a_builder_makes_the_table_that_table_of_makes() -> None:
    columns = {"part": Column(Part, "part"), "word": Column(str, "word"), "share": Column(float, "share")}
    rows: list[dict[str, Any]] = [
        {"row_id": str(i), "part": Part(name=f"é{i}\x00", sizes=[i]), "word": None if i % 2 else "w", "share": i / 3}
        for i in range(2500)
    ]
    builder = TableBuilder(columns)
    for i in random.Random(1).sample(range(2500), 2500):
        builder.add(rows[i], i)
    assert builder.table()[0].equals(table_of(rows, columns))
    assert TableBuilder(columns).table()[0].equals(table_of([], columns))


@pytest.mark.parametrize("chunk", [1, 7, 5000])
def test_rows_are_picked_from_any_chunks_in_any_order(chunk: int) -> None:
    source = given(5000)
    parts = [source.slice(begin, chunk) for begin in range(0, 700 if chunk < 5000 else 5000, chunk)]
    cut = pa.concat_tables(parts)
    positions = np.array(random.Random(2).choices(range(cut.num_rows), k=6000), dtype=np.int64)
    assert rows_at(cut, positions).equals(cut.take(pa.array(positions)))
    none = rows_at(cut, np.array([], dtype=np.int64))
    assert none.num_rows == 0 and none.schema == cut.schema


def test_columns_of_another_type_are_made_anew_and_missing_ones_are_null() -> None:
    source = pa.table({"row_id": ["a", "b"], "title": pa.array(["x", "y"]).dictionary_encode(), "tags": [["1"], None]})
    made = with_columns(source, GIVEN)
    assert [str(field.type) for field in made.schema] == [str(field.type) for field in arrow_schema(GIVEN)]
    assert made.to_pylist()[1] == {"row_id": "b", "title": "y", "text": None, "tags": None}
    wrong = pa.table({"row_id": ["a"], "title": [7]})
    with pytest.raises(DeclarationError, match="column 'title' is string, but row 'a' has 7"):
        with_columns(wrong, GIVEN)
