"""Publishing, loading, verifying, replacing: on a disk, with real files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrich_assets.core.envelope import CheckOutcome, Counts, InputRef, Usage
from enrich_assets.core.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    ArtifactRefused,
    DeclarationError,
    RunIdError,
    StorageError,
    UserError,
)
from enrich_assets.core.result import PhaseResult
from enrich_assets.store.store import Store

GRAPH, RUN = "intelligence", "20260131_093000"
PHASE = "tier2"
START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def ticking() -> Callable[[], datetime]:
    moments: Iterator[datetime] = (START + timedelta(seconds=n) for n in range(10_000))
    return lambda: next(moments)


def result_of(phase: str = "tier2", rows: int = 3, **changes: Any) -> PhaseResult:
    ids = [f"row{n}" for n in range(rows)]
    standard: dict[str, Any] = {
        "graph": GRAPH,
        "run_id": RUN,
        "phase": phase,
        "number": 4,
        "started_at": START,
        "duration_seconds": 1.25,
        "counts": Counts(rows_in=rows + 1, kept=rows, dropped=1, rows_out=rows, dropped_by_reason={"no_category": 1}),
        "usage": Usage(model_calls=2, cost=None),
        "settings_fingerprint": "s",
        "code_fingerprint": "c",
        "table": pa.table({"row_id": ids, "score": [n / 3 for n in range(rows)], "fetched_at": ids}),
        "dropped": pa.table({"row_id": ["gone"], "drop_reason": ["no_category"]}),
        "failed": pa.table({"row_id": pa.array([], pa.string()), "failure_kind": pa.array([], pa.string())}),
        "volatile": ("fetched_at",),
        "inputs": (InputRef(run_id=RUN, phase="tier1", data_sha256="d"),),
        "sides": {"sources": pa.table({"source_id": ["one"], "rows": [rows]})},
        "figures": {"score_histogram.svg": f"<svg>{rows}</svg>".encode()},
        "notes": {"at": START, "odd": "a\ud800b"},
        "log": ({"line": 1, "text": "größer"}, {"line": 2}),
    }
    return PhaseResult(**{**standard, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", now=ticking())


def run_folder(store: Store) -> Path:
    return Path(str(store.root)) / GRAPH / RUN


def files_of(store: Store) -> dict[str, bytes]:
    folder = run_folder(store)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_is_published_comes_back_with_its_envelope(store: Store) -> None:
    result = result_of()
    sealed = store.publish(result)
    loaded = store.load(GRAPH, RUN, "tier2")
    assert loaded.envelope == sealed == store.envelope(GRAPH, RUN, "tier2") == store.verify(GRAPH, RUN, "tier2")
    assert loaded.table is not None and loaded.table.equals(result.table, check_metadata=True)
    assert sealed.status == "complete" and sealed.is_intact()
    assert sealed.columns == {"row_id": "string", "score": "double", "fetched_at": "string"}
    assert sealed.usage.cost is None and sealed.counts.dropped_by_reason == {"no_category": 1}
    assert sealed.notes == {"at": "2026-01-31T09:30:00Z", "odd": "a?b"}
    assert store.side(GRAPH, RUN, "tier2", "sources").to_pylist() == [{"source_id": "one", "rows": 3}]
    assert store.side(GRAPH, RUN, "tier2", "dropped").num_rows == 1
    with pytest.raises(ArtifactMissing, match="published no file"):
        store.side(GRAPH, RUN, "tier2", "outliers")


def test_files_stand_where_people_look(store: Store) -> None:
    store.publish(result_of(), reports={"report.md": b"# Report"})
    assert set(files_of(store)) == {
        "tier2.parquet",
        "manifest.json",
        "etl/tier2/dropped.parquet",
        "etl/tier2/failed.parquet",
        "etl/tier2/sources.parquet",
        "etl/tier2/stats.json",
        "etl/tier2/log.jsonl",
        "eda/tier2/score_histogram.svg",
        "reports/report.md",
    }
    folder = run_folder(store)
    metadata = pq.read_metadata(folder / "tier2.parquet").metadata
    assert json.loads(metadata[b"enrich_assets"])["phase"] == "tier2"
    assert [json.loads(line)["line"] for line in (folder / "etl/tier2/log.jsonl").read_text("utf-8").splitlines()] == [
        1,
        2,
    ]
    stats = json.loads((folder / "etl/tier2/stats.json").read_text("utf-8"))
    assert stats["counts"]["kept"] == 3 and stats["usage"]["cost"] is None


def test_a_document_comes_back_in_its_order_and_without_its_volatile_keys_in_the_hash(store: Store) -> None:
    document = {"z": [1, 2.5, None], "a": {"größe": "ä", "t": START}, "made": "now", "volatile": ["made"]}
    first = store.publish(result_of("report", table=None, document=document, volatile=()))
    loaded = store.load(GRAPH, RUN, "report")
    assert loaded.table is None and loaded.document is not None
    assert list(loaded.document) == ["z", "a", "made", "volatile"]
    assert loaded.document["a"] == {"größe": "ä", "t": "2026-01-31T09:30:00+00:00"}
    whole = json.loads((run_folder(store) / "report.json").read_text("utf-8"))
    assert set(whole) == {"metadata", "data"}
    second = store.publish(result_of("report", table=None, document={**document, "made": "later"}, volatile=()))
    assert second.data_sha256 == first.data_sha256 and second.content_sha256 != first.content_sha256
    assert second.volatile == ("made",)


def test_equal_data_have_one_hash_and_every_publication_its_own_id(store: Store) -> None:
    first = store.publish(result_of())
    table = result_of().table
    assert table is not None
    other = table.set_column(2, "fetched_at", pa.array(["x", "y", "z"])).take([2, 1, 0])
    second = store.publish(result_of(table=other, duration_seconds=9.0))
    assert first.data_sha256 == second.data_sha256
    assert first.content_sha256 != second.content_sha256 and first.artifact_id < second.artifact_id


def test_a_blocked_artifact_is_intact_and_refused(store: Store) -> None:
    check = CheckOutcome(name="quotes_occur", passed=False, blocking=True, message="2 quotes do not occur")
    assert store.publish(result_of(checks=(check,))).status == "blocked"
    with pytest.raises(ArtifactRefused, match="quotes_occur: 2 quotes do not occur"):
        store.load(GRAPH, RUN, "tier2")
    assert store.load(GRAPH, RUN, "tier2", even_blocked=True).table is not None
    assert store.verify(GRAPH, RUN, "tier2").status == "blocked"


def test_an_empty_table_keeps_its_schema(store: Store) -> None:
    table = result_of().table
    assert table is not None
    store.publish(result_of(table=table.slice(0, 0)))
    loaded = store.load(GRAPH, RUN, "tier2").table
    assert loaded is not None and loaded.num_rows == 0 and loaded.schema.equals(table.schema)


def test_three_earlier_versions_are_kept_with_their_side_files(store: Store) -> None:
    ids = [store.publish(result_of(rows=n)).artifact_id for n in range(1, 7)]
    assert [e.artifact_id for e in store.versions(GRAPH, RUN, "tier2")] == [ids[4], ids[3], ids[2]]
    old = store.load_version(GRAPH, RUN, "tier2", ids[3]).table
    assert old is not None and old.num_rows == 4
    place = run_folder(store) / "versions" / "tier2"
    assert {p.name for p in place.iterdir()} == {n for i in ids[2:5] for n in (f"{i}.parquet", i)}
    assert pq.read_table(place / ids[3] / "etl/tier2/sources.parquet").column("rows").to_pylist() == [4]
    with pytest.raises(ArtifactMissing):
        store.load_version(GRAPH, RUN, "tier2", ids[0])


def test_files_that_are_listed_no_more_are_removed_and_others_stay(store: Store) -> None:
    store.publish(result_of("report"), reports={"report.md": b"1", "report.html": b"1"})
    store.publish(result_of("tier1"))
    (run_folder(store) / "reports" / "notes.txt").write_text("mine", encoding="utf-8")
    store.publish(result_of("report", sides={}, figures={}), reports={"report.md": b"2"})
    names = {n for n in files_of(store) if not n.startswith("versions/")}
    assert "reports/report.html" not in names and "eda/report/score_histogram.svg" not in names
    assert {"reports/report.md", "reports/notes.txt", "eda/tier1/score_histogram.svg"} <= names
    assert not (run_folder(store) / "eda" / "report").exists()
    assert {e["name"] for e in store.manifest(GRAPH, RUN)["files"]} == names - {"manifest.json", "reports/notes.txt"}


def test_a_phase_that_becomes_a_document_leaves_no_table_behind(store: Store) -> None:
    store.publish(result_of())
    store.publish(result_of(table=None, document={"n": 1}, volatile=()))
    assert store.load(GRAPH, RUN, "tier2").document == {"n": 1}
    assert not (run_folder(store) / "tier2.parquet").exists()
    assert len(store.versions(GRAPH, RUN, "tier2")) == 1


@pytest.mark.parametrize("makes", ["table", "document"])
def test_any_flipped_byte_is_found(store: Store, makes: str) -> None:
    changes = {} if makes == "table" else {"table": None, "document": {"a": 1.5, "b": "größe"}, "volatile": ()}
    store.publish(result_of(**changes))
    path = run_folder(store) / ("tier2.parquet" if makes == "table" else "tier2.json")
    # Without the manifest: the file alone has to give it away.
    (run_folder(store) / "manifest.json").unlink()
    whole = path.read_bytes()
    # 0x20 turns small letters into capitals, which a lenient parser may take for the same.
    flips = [(n, mask) for n in range(0, len(whole), 5) for mask in (1 << n % 8, 0x20)]
    flips += [(n, 0x20) for n in range(len(whole)) if makes == "document"]
    for offset, mask in flips:
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ mask]) + whole[offset + 1 :])
        with pytest.raises(ArtifactDamaged):
            store.verify(GRAPH, RUN, "tier2")
    with pytest.raises(ArtifactDamaged):
        store.load(GRAPH, RUN, "tier2")
    for cut in (0, 1, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArtifactDamaged):
            store.verify(GRAPH, RUN, "tier2")
    path.write_bytes(whole)
    store.verify(GRAPH, RUN, "tier2")


def test_a_flipped_byte_in_a_side_file_is_found_and_named(store: Store) -> None:
    store.publish(result_of())
    path = run_folder(store) / "etl/tier2/sources.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"?" + path.read_bytes()[-8:])
    with pytest.raises(ArtifactDamaged, match=r"etl/tier2/sources\.parquet"):
        store.verify(GRAPH, RUN, "tier2")
    with pytest.raises(ArtifactDamaged):
        store.side(GRAPH, RUN, "tier2", "sources")
    assert store.load(GRAPH, RUN, "tier2").table is not None


def test_an_artifact_of_another_run_or_another_content_under_the_same_id_is_found(store: Store) -> None:
    store.publish(result_of())
    other = "20260131_093001"
    store.publish(result_of(run_id=other))
    path = run_folder(store) / "tier2.parquet"
    path.write_bytes((run_folder(store).parent / other / "tier2.parquet").read_bytes())
    for read in (store.verify, store.load, store.envelope):
        with pytest.raises(ArtifactDamaged, match="copied here"):
            read(GRAPH, RUN, "tier2")
    assert store.publish(result_of()) == store.verify(GRAPH, RUN, "tier2")


def test_the_manifest_hash_counts_for_its_own_artifact_only(store: Store) -> None:
    store.publish(result_of())
    path = run_folder(store) / "manifest.json"
    store.publish(result_of())
    stale = path.read_bytes()
    store.publish(result_of(rows=5))
    path.write_bytes(stale)
    store.verify(GRAPH, RUN, "tier2")
    assert store.rebuild_manifest(GRAPH, RUN)["files"][0]["rows"] == 5


def test_the_manifest_lists_every_file_and_is_rebuilt_alike(store: Store) -> None:
    store.publish(result_of("tier2"))
    store.publish(result_of("scraped", number=2), reports={"report.md": b"#"})
    made = store.manifest(GRAPH, RUN)
    assert [e["phase"] for e in made["files"] if e["kind"] == "data"] == ["scraped", "tier2"]
    by_name = {e["name"]: e for e in made["files"]}
    assert by_name["tier2.parquet"]["rows"] == 3 and by_name["tier2.parquet"]["columns"]["score"] == "double"
    assert by_name["tier2.parquet"]["made_at"].endswith("+00:00") and by_name["tier2.parquet"]["description"]
    kinds = {n.rsplit("/", 1)[-1]: e["kind"] for n, e in by_name.items() if "/" in n}
    assert kinds == {
        "dropped.parquet": "table",
        "failed.parquet": "table",
        "sources.parquet": "table",
        "stats.json": "etl",
        "log.jsonl": "log",
        "score_histogram.svg": "plot",
        "report.md": "report",
    }
    assert store.rebuild_manifest(GRAPH, RUN) == made == store.manifest(GRAPH, RUN)
    (run_folder(store) / "manifest.json").unlink()
    rebuilt = store.rebuild_manifest(GRAPH, RUN)
    assert [(e["name"], e["sha256"]) for e in rebuilt["files"]] == [(e["name"], e["sha256"]) for e in made["files"]]


def test_what_cannot_be_stored_is_refused_and_leaves_everything_as_it_was(store: Store) -> None:
    store.publish(result_of())
    before = files_of(store)
    twice = pa.table({"row_id": ["a", "a"]})
    for bad in (
        {"table": twice},
        {"table": None, "document": None},
        {"document": {"both": 1}},
        {"table": None, "document": {"x": float("nan")}},
        {"table": None, "document": {"x": object()}},
        {"sides": {"dropped": twice}},
        {"sides": {"../escape": twice}},
        {"figures": {"../escape.svg": b""}},
        {"figures": {"a/b.svg": b""}},
    ):
        with pytest.raises(DeclarationError):
            store.publish(result_of(**bad))
    with pytest.raises(DeclarationError):
        store.publish(result_of(), reports={"..": b""})
    assert files_of(store) == before


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a,b", "latest", "x" * 101, "a\n"])
def test_a_run_id_is_checked_before_it_becomes_a_path(store: Store, bad: str) -> None:
    with pytest.raises(RunIdError):
        store.envelope(GRAPH, bad, "tier2")
    with pytest.raises(RunIdError):
        store.publish(result_of(run_id=bad))


@pytest.mark.parametrize("bad", ["", "..", "a/b", "manifest", "tier 2"])
def test_a_phase_name_is_checked_before_it_becomes_a_path(store: Store, bad: str) -> None:
    with pytest.raises((DeclarationError, ArtifactMissing)):
        store.envelope(GRAPH, RUN, bad)
    with pytest.raises(DeclarationError):
        store.publish(result_of(bad))


def test_runs_and_phases_are_listed_in_their_order(store: Store) -> None:
    assert store.runs(GRAPH) == [] and store.latest(GRAPH) is None
    for run_id in ("20260131_093000-10", "20260131_093000-2", "20260131_093000", "20260130_093000"):
        store.publish(result_of("tier2", run_id=run_id))
        store.publish(result_of("scraped", number=2, run_id=run_id))
    store.mark_latest(GRAPH, "20260131_093000")
    assert store.runs(GRAPH) == ["20260130_093000", "20260131_093000", "20260131_093000-2", "20260131_093000-10"]
    assert store.phases(GRAPH, RUN) == ["scraped", "tier2"]
    assert store.phases(GRAPH, "nothing_here") == []
    with pytest.raises(ArtifactMissing, match="tier3 has published nothing"):
        store.load(GRAPH, RUN, "tier3")


def test_latest_is_the_newest_complete_run_by_its_start(store: Store) -> None:
    for run_id in ("20260130_093000", "20260131_093000", "20260131_093000-2", "spring"):
        store.publish(result_of(run_id=run_id, started_at=datetime(2026, 1, 1, tzinfo=UTC)))
    folder = run_folder(store).parent
    assert store.mark_latest(GRAPH, "20260131_093000") == "20260131_093000"
    assert (folder / "latest").resolve() == (folder / "20260131_093000").resolve()
    assert store.mark_latest(GRAPH, "20260130_093000") == "20260131_093000"
    assert store.mark_latest(GRAPH, "spring") == "20260131_093000"
    assert store.mark_latest(GRAPH, "20260131_093000-2") == "20260131_093000-2" == store.latest(GRAPH)
    assert (folder / "latest").readlink() == Path("20260131_093000-2")
    (folder / "latest.json").write_text("{", encoding="utf-8")
    assert store.latest(GRAPH) is None
    assert store.mark_latest(GRAPH, "spring") == "spring" == store.latest(GRAPH)


def test_the_storage_comes_from_the_environment(tmp_path: Path) -> None:
    assert str(Store.from_environment({}).root) == str(Path.cwd() / "data")
    assert str(Store.from_environment({"ENRICH_STORAGE": str(tmp_path)}).root) == str(tmp_path)
    with pytest.raises(StorageError, match="ENRICH_LEDGER_URL") as caught:
        Store.from_environment({"ENRICH_STORAGE": "memory://bucket"})
    assert caught.value.exit_code == 2
    Store.from_environment({"ENRICH_STORAGE": "memory://bucket", "ENRICH_LEDGER_URL": "postgresql+psycopg2://x/y"})
    with pytest.raises(StorageError, match="no storage is known for nothing-known"):
        Store.from_environment({"ENRICH_STORAGE": "nothing-known://x", "ENRICH_LEDGER_URL": "x"})


def test_a_storage_that_cannot_be_written_is_said_before_anything_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(tmp_path / "new").check_writable()
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(StorageError, match="MB are needed"):
        Store(tmp_path).check_writable(minimum_free_bytes=10**18)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="A file stands where a folder should be"):
        Store(tmp_path / "file").check_writable()
    for number, words in (
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "the right to"),
    ):

        def refuse(_: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match=words) as caught:
            Store(tmp_path / "new").check_writable()
        assert str(tmp_path / "new") in str(caught.value)
        assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["My data (ü)", "a#b", "a?b=c", "a%41b", "a&b;c", "{}", "./rel", "~/tilde", "./~literal", "file"]
)
def test_a_storage_may_have_any_name_and_keeps_its_runs_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    where = tmp_path / "me" / "tilde" if name == "~/tilde" else tmp_path / "here" / name
    named = f"file://{where}" if name == "file" else name
    store = Store.from_environment({"ENRICH_STORAGE": named})
    monkeypatch.chdir(tmp_path)  # a storage stays where it was
    store.publish(result_of(PHASE))
    store.mark_latest(GRAPH, RUN)
    assert (where / GRAPH / "latest").resolve() == where / GRAPH / RUN
    assert (where / GRAPH / "latest" / f"{PHASE}.parquet").is_file()
    assert all(where in path.parents for path in tmp_path.rglob("*.parquet"))
    assert Store(where).latest(GRAPH) == RUN


def test_a_storage_that_cannot_be_told_is_refused_with_a_way_to_write_it() -> None:
    for named in ("file://rel/x", "file://localhost/x"):
        with pytest.raises(StorageError, match="whole path"):
            Store.from_environment({"ENRICH_STORAGE": named})
    with pytest.raises(UserError, match="there is no home of '~nobody-of-that-name'"):
        Store.from_environment({"ENRICH_STORAGE": "~nobody-of-that-name/x"})
