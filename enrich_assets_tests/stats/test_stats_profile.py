"""Profiles: what a column looks like, counted once and the same for equal tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa

from enrich_assets.stats.profile import SCHEMA, document_profile, profile_json, table_profile

MOMENT = datetime(2026, 10, 1, 12, tzinfo=UTC)


def table() -> pa.Table:
    return pa.table(
        {
            "row_id": ["a", "b", "c", "d", "e"],
            "number": pa.array([1.0, 2.0, None, float("nan"), 3.0]),
            "count": pa.array([1, 1, 2, None, 9]),
            "text": ["one", "", None, "one", "öäü" * 40],
            "yes": [True, True, False, None, True],
            "at": pa.array([MOMENT, None, None, None, MOMENT], pa.timestamp("us", tz="UTC")),
            "tags": pa.array([["x", "y"], [], None, ["x"], ["x"]]),
            "things": pa.array([[{"kind": "a"}], [], None, [], []]),
            "nothing": pa.nulls(5),
        }
    )


def test_a_profile_has_a_row_for_each_column_with_what_applies_to_its_type() -> None:
    profile = table_profile(table(), {"number": "a number, points"})
    found = {row["column"]: row for row in profile.to_pylist()}
    assert profile.schema == SCHEMA and list(found) == table().column_names
    number = found["number"]
    assert (number["rows"], number["missing"], number["distinct"]) == (5, 2, 3)
    assert (number["minimum"], number["median"], number["maximum"], number["mean"]) == (1, 2, 3, 2)
    assert number["description"] == "a number, points" and number["top"] is None
    assert found["count"]["top"] == [{"value": "1", "count": 2}]
    text = found["text"]
    assert (text["missing"], text["distinct"], text["top"]) == (2, 2, [{"value": "one", "count": 2}])
    assert (text["length_minimum"], text["length_median"], text["length_maximum"]) == (3, 3, 120)
    assert found["yes"]["top"] == [{"value": "true", "count": 3}] and found["yes"]["missing"] == 1
    assert (found["at"]["earliest"], found["at"]["latest"], found["at"]["missing"]) == (MOMENT, MOMENT, 3)
    tags = found["tags"]
    assert (tags["missing"], tags["distinct"], tags["length_maximum"]) == (1, 2, 2)
    assert tags["top"] == [{"value": "x", "count": 3}]
    assert (found["things"]["missing"], found["things"]["distinct"]) == (1, None)
    assert found["nothing"]["missing"] == 5


def test_a_long_value_that_repeats_is_no_category() -> None:
    profile = table_profile(pa.table({"row_id": ["a", "b"], "text": ["x" * 81] * 2})).to_pylist()
    assert profile[1]["distinct"] == 1 and profile[1]["top"] is None


def test_a_table_without_rows_has_a_profile_too() -> None:
    profile = table_profile(table().slice(0, 0))
    assert profile.num_rows == table().num_columns
    assert {row["missing"] for row in profile.to_pylist()} == {0}


def test_equal_tables_have_equal_profiles_however_they_are_chunked() -> None:
    chunked = pa.concat_tables([table().slice(0, 2), table().slice(2)])
    assert table_profile(chunked).equals(table_profile(table()))
    assert profile_json(table_profile(chunked)) == profile_json(table_profile(table()))


def test_a_profile_to_be_read_leaves_out_what_does_not_apply() -> None:
    columns = {c["column"]: c for c in json.loads(profile_json(table_profile(table())))["columns"]}
    assert "mean" in columns["number"] and "mean" not in columns["text"]
    assert columns["at"]["earliest"].startswith("2026-10-01T12:00:00")


def test_a_document_has_a_row_for_each_key() -> None:
    found = {row["column"]: row for row in document_profile({"title": "A", "rows": [1, 2], "empty": ""}).to_pylist()}
    assert (found["title"]["type"], found["rows"]["type"]) == ("text", "list")
    assert found["rows"]["length_maximum"] == 2 and found["empty"]["missing"] == 1
