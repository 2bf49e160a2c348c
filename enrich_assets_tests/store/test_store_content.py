"""Equal values have equal hashes, whatever way Arrow lays them out; different values have different ones."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrich_assets.core.errors import DeclarationError
from enrich_assets.store.content import content_sha256, data_sha256, document_sha256

ENTITY = pa.struct([pa.field("name", pa.string()), pa.field("domains", pa.int64())])


def articles() -> pa.Table:
    return pa.table(
        {
            "row_id": pa.array(["c", "a", "b", "d"]),
            "title": pa.array(["Größe", None, "", "z"]),
            "score": pa.array([1.5, None, float("nan"), -0.0]),
            "rank": pa.array([3, None, 1, 0], pa.int64()),
            "follow_up": pa.array([True, False, None, True]),
            "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None, None, None], pa.timestamp("us", tz="UTC")),
            "tags": pa.array([["x", None], [], None, ["y"]], pa.list_(pa.string())),
            "entities": pa.array([[{"name": "N", "domains": 2}], None, [], [None]], pa.list_(ENTITY)),
        }
    )


def both(table: pa.Table) -> tuple[str, str]:
    return data_sha256(table), content_sha256(table)


def test_chunks_slices_and_parquet_do_not_count() -> None:
    table = articles()
    expected = both(table)
    assert both(pa.concat_tables([table.slice(0, 1), table.slice(1, 2), table.slice(3)])) == expected
    assert both(pa.concat_tables([table.slice(2), table]).slice(2)) == expected
    assert both(pa.concat_tables([table, table.slice(0, 0)])) == expected
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=2, compression="zstd")
    assert both(pq.read_table(io.BytesIO(sink.getvalue()))) == expected


def test_what_lies_under_a_null_does_not_count() -> None:
    mask = pa.py_buffer(np.packbits([1, 0], bitorder="little").tobytes())
    numbers = [
        pa.Array.from_buffers(pa.int64(), 2, [mask, pa.py_buffer(np.array([7, under], "<i8").tobytes())])
        for under in (0, 99)
    ]
    texts = [
        pa.Array.from_buffers(
            pa.string(), 2, [mask, pa.py_buffer(np.array([0, 1, end], "<i4").tobytes()), pa.py_buffer(b"abcd")]
        )
        for end in (1, 4)
    ]
    lists = [
        pa.ListArray.from_arrays(pa.array([0, 1, end], pa.int32()), pa.array([1, 2, 3]), mask=pa.array([False, True]))
        for end in (1, 3)
    ]
    for one, two in (numbers, texts, lists):
        first, second = (pa.table({"row_id": ["a", "b"], "x": column}) for column in (one, two))
        assert first.equals(second)
        assert both(first) == both(second)


def test_missing_validity_and_dictionary_encoding_do_not_count() -> None:
    plain = pa.table({"row_id": ["a", "b"], "x": ["u", "u"]})
    full = pa.py_buffer(b"\xff")
    array = plain.column("x").chunk(0)
    with_validity = pa.Array.from_buffers(pa.string(), 2, [full, *array.buffers()[1:]])
    assert both(plain.set_column(1, "x", with_validity)) == both(plain)
    assert both(plain.set_column(1, "x", array.dictionary_encode())) == both(plain)
    assert both(plain.set_column(1, "x", array.cast(pa.large_string()))) == both(plain)


def test_signed_zero_and_not_a_number_have_one_spelling() -> None:
    odd = np.array([0x7FF8000000000001, 0x8000000000000000], dtype="<u8").view("<f8")
    one = pa.table({"row_id": ["a", "b"], "x": pa.array(odd)})
    two = pa.table({"row_id": ["a", "b"], "x": pa.array([float("nan"), 0.0])})
    assert content_sha256(one) == content_sha256(two)


def test_data_hash_ignores_order_and_volatile_columns_and_content_hash_does_not() -> None:
    table = articles()
    turned = table.take([3, 0, 2, 1]).select(list(reversed(table.column_names)))
    assert data_sha256(turned) == data_sha256(table)
    assert content_sha256(turned) != content_sha256(table)
    later = table.set_column(3, "rank", pa.array([9, 9, 9, 9]))
    assert data_sha256(later) != data_sha256(table)
    assert data_sha256(later, ["rank"]) == data_sha256(table, ["rank"])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
        (pa.array(["", "a"]), pa.array([None, "a"])),
        (pa.array([0, 1]), pa.array([None, 1])),
        (pa.array([0, 1]), pa.array([0.0, 1.0])),
        (pa.array([0, 1], pa.int64()), pa.array([0, 1], pa.int32())),
        (pa.array([True, False]), pa.array([False, True])),
        (pa.array([["a"], ["b"]]), pa.array([["a", "b"], []])),
        (pa.array([[], ["b"]]), pa.array([None, ["b"]])),
        (pa.array([{"k": None}, {"k": 1}]), pa.array([None, {"k": 1}])),
        (pa.array([1, 2], pa.timestamp("us")), pa.array([1, 2], pa.timestamp("us", tz="UTC"))),
        (pa.array([["a", None]] * 2), pa.array([["a", ""]] * 2)),
    ],
)
def test_a_difference_in_values_or_types_counts(one: pa.Array, two: pa.Array) -> None:
    tables = [pa.table({"row_id": ["a", "b"], "x": column}) for column in (one, two)]
    assert data_sha256(tables[0]) != data_sha256(tables[1])
    assert content_sha256(tables[0]) != content_sha256(tables[1])


def test_hashes_are_pinned_so_that_another_library_version_cannot_change_them_unseen() -> None:
    assert data_sha256(articles()) == "edbe10e2ee363db3e0fec9d38373bd3bd1ad6da0c7466d73ddc893b0af344d0d"
    assert document_sha256({"a": 1, "t": 2}, ["t"]) == document_sha256({"a": 1})


def test_an_empty_table_keeps_its_columns_and_types() -> None:
    empty = articles().slice(0, 0)
    assert both(empty) == both(empty.schema.empty_table())
    assert data_sha256(empty) != data_sha256(empty.drop_columns(["rank"]))


@pytest.mark.parametrize(("ids", "words"), [(["a", "a"], "'a' occurs more than once"), ([None, "a"], "null in 1 rows")])
def test_row_ids_that_do_not_name_rows_are_refused(ids: list[str | None], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        data_sha256(pa.table({"row_id": pa.array(ids, pa.string())}))


def test_a_hundred_thousand_rows_take_about_ten_times_as_long_as_ten_thousand() -> None:
    count = 100_000
    generator = np.random.default_rng(7)
    columns = {f"text{i}": pa.array([f"row {n} of text {i}" for n in range(count)]) for i in range(4)}
    columns |= {f"number{i}": pa.array(generator.random(count)) for i in range(4)}
    columns["tags"] = pa.array([["one", "two"]] * count)
    table = pa.table({"row_id": [f"{n * 7919 % count:016x}" for n in range(count)], **columns})
    both(table.slice(0, 1_000))
    start = time.process_time()
    both(table.slice(0, 10_000))
    few = time.process_time() - start
    start = time.process_time()
    both(table)
    # What is quadratic takes a hundred times as long.
    assert time.process_time() - start < 40 * few
