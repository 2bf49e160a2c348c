"""Which rows of a table a filter leaves, in which order."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from enrich_assets.core.errors import UserError
from enrich_assets.service.cache import Cache
from enrich_assets.service.tables import Query, page_of, row_with, rows_chosen, shown_columns, values_of

DAY = datetime(2026, 1, 31, tzinfo=UTC)
TABLE = pa.table(
    {
        "row_id": ["a", "b", "c", "d"],
        "title": ["Über alles", "b%_.*", None, "zebra"],
        "score": pa.array([7.5, None, 2.0, 9.0]),
        "count": pa.array([1, 2, 3, 10], pa.int64()),
        "new": [True, False, None, True],
        "at": pa.array([DAY, None, DAY.replace(day=1), DAY], pa.timestamp("us", tz="UTC")),
        "tags": [["red", "blue"], [], None, ["BLUE"]],
        "named": [[{"name": "Ada", "kind": "person"}], [], None, [{"name": "Bob", "kind": None}]],
        "reason": ["x", "y", "x", None],
    }
)
CHUNKED = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 2), TABLE.slice(3, 1)])


def ids(query: Query, table: pa.Table = TABLE) -> str:
    return "".join(row["row_id"] for row in page_of(table, rows_chosen(table, query), ["row_id"], 1))


@pytest.mark.parametrize("table", [TABLE, CHUNKED], ids=["one piece", "several"])
@pytest.mark.parametrize(
    ("query", "left"),
    [
        (Query(), "abcd"),
        (Query(text="ÜBER"), "a"),
        (Query(text="%_.*"), "b"),
        (Query(text="blue"), "ad"),
        (Query(text="ada"), "a"),
        (Query(text="10"), "d"),
        (Query(column="title", value="a"), "ad"),
        (Query(column="title", operator="is", value="zebra"), "d"),
        (Query(column="title", operator="empty"), "c"),
        (Query(column="tags", operator="empty"), "bc"),
        (Query(column="tags", operator="filled"), "ad"),
        (Query(column="tags", operator="is", value="blue"), "a"),
        (Query(column="named", value="PERSON"), "a"),
        (Query(column="score", operator="least", value="7.5"), "ad"),
        (Query(column="count", operator="most", value="2"), "ab"),
        (Query(column="count", operator="not", value="3"), "abd"),
        (Query(column="new", operator="is", value="yes"), "ad"),
        (Query(column="at", operator="least", value="2026-01-31"), "ad"),
        (Query(column="at", value="2026-01-01"), "c"),
        (Query(sort="score"), "cadb"),
        (Query(sort="score", descending=True), "dacb"),
        (Query(text="blue", sort="count", descending=True), "da"),
    ],
)
def test_a_query_leaves_the_rows_that_fit_in_order(query: Query, left: str, table: pa.Table) -> None:
    assert ids(query, table) == left


@pytest.mark.parametrize(
    "query",
    [
        Query(column="nothing", value="x"),
        Query(sort="nothing"),
        Query(sort="tags"),
        Query(column="score", operator="least", value="much"),
        Query(column="score", operator="least", value="1e999999"),
        Query(column="at", operator="is", value="tomorrow"),
        Query(column="new", operator="is", value="perhaps"),
        Query(column="tags", operator="least", value="1"),
        Query(column="title", operator="rm", value="1"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(query: Query) -> None:
    if query.value == "1e999999":
        assert ids(query) == "", "it is infinite, and nothing reaches it"
        return
    with pytest.raises(UserError) as refused:
        rows_chosen(TABLE, query)
    assert refused.value.fix


def test_a_page_reads_its_own_rows_and_cuts_long_texts() -> None:
    table = pa.table({"row_id": [str(n) for n in range(120)], "text": ["x" * 10_000] * 120})
    rows = page_of(table, rows_chosen(table, Query()), ["text"], 3)
    assert [row["row_id"] for row in rows] == [str(n) for n in range(100, 120)]
    assert {len(row["text"]) for row in rows} == {241}


def test_columns_values_and_rows_are_found() -> None:
    assert shown_columns(TABLE, ["count", "nothing"]) == ["count"]
    assert shown_columns(TABLE, [])[:3] == ["title", "score", "count"]
    assert values_of(TABLE, "reason") == [("x", 2), ("y", 1)]
    assert row_with(CHUNKED, "c") == 2
    assert row_with(CHUNKED, "z") is None


def test_what_was_read_is_kept_within_its_bound_and_what_failed_is_not() -> None:
    kept: Cache[bytes] = Cache(10, len)
    made: list[str] = []

    def of(name: str, size: int) -> bytes:
        return kept.get(name, lambda: made.append(name) or b"x" * size)  # type: ignore[func-returns-value]

    for name in ("a", "b", "a", "c", "a", "b"):
        of(name, 5)
    assert made == ["a", "b", "c", "b"], "b was used least when c came"
    of("large", 50)
    assert len(kept) == 1
    with pytest.raises(UserError):
        kept.get("wrong", lambda: rows_chosen(TABLE, Query(sort="nothing")))  # type: ignore[arg-type,return-value]
    assert kept.get("wrong", lambda: b"right now") == b"right now"
