"""The store over the S3 wire: a real s3fs against moto's server on loopback."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from upath import UPath

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, StorageError
from enrich_assets.core.files import files_below, read_bytes, write_atomic
from enrich_assets.core.result import PhaseResult
from enrich_assets.store.store import Store

RUN = ("intelligence", "20260131_093000", "tier1")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def root(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    boto3.client("s3").create_bucket(Bucket="reports")
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://reports/enrich"
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = boto3.resource("s3").Bucket("reports")
    bucket.objects.all().delete()
    bucket.delete()


def result_of(value: int, **changes: Any) -> PhaseResult:
    empty = pa.table({"row_id": pa.array([], pa.string())})
    standard: dict[str, Any] = {
        "graph": RUN[0],
        "run_id": RUN[1],
        "phase": RUN[2],
        "number": 3,
        "started_at": datetime(2026, 1, 31, tzinfo=UTC),
        "duration_seconds": 1.0,
        "counts": Counts(),
        "usage": Usage(),
        "settings_fingerprint": "s",
        "code_fingerprint": "c",
        "table": pa.table({"row_id": ["a"], "value": [value]}),
        "dropped": empty,
        "failed": empty,
        "sides": {"sources": pa.table({"value": [value]})},
    }
    return PhaseResult(**{**standard, **changes})


def value_of(store: Store) -> int:
    store.verify(*RUN)
    table = store.load(*RUN).table
    assert table is not None
    value: int = table.column("value")[0].as_py()
    assert store.side(*RUN, "sources").column("value").to_pylist() == [value]
    return value


def test_publish_replace_versions_and_views(root: str) -> None:
    store = Store(root)
    store.check_writable()
    assert store.runs(RUN[0]) == []
    with pytest.raises(ArtifactMissing):
        store.load(*RUN)
    ids = []
    for value in range(1, 6):
        ids.append(store.publish(result_of(value), reports={"report.md": str(value).encode()}).artifact_id)
        assert value_of(Store(root)) == value
    assert [e.artifact_id for e in store.versions(*RUN)] == ids[3:0:-1]
    old = store.load_version(*RUN, ids[1]).table
    assert old is not None and old.column("value").to_pylist() == [2]
    store.publish(result_of(6, sides={}))
    names = [p.path.removeprefix("reports/enrich/intelligence/20260131_093000/") for p in files_below(store.root)]
    assert [n for n in names if not n.startswith("versions/")] == [
        "etl/tier1/dropped.parquet",
        "etl/tier1/failed.parquet",
        "etl/tier1/log.jsonl",
        "etl/tier1/stats.json",
        "manifest.json",
        "tier1.parquet",
    ]
    assert store.rebuild_manifest(*RUN[:2]) == store.manifest(*RUN[:2])
    assert store.mark_latest(*RUN[:2]) == RUN[1] == Store(root).latest(RUN[0])
    assert store.runs(RUN[0]) == [RUN[1]] and store.phases(*RUN[:2]) == ["tier1"]


def test_a_flipped_byte_is_found(root: str) -> None:
    store = Store(root)
    store.publish(result_of(1))
    path = UPath(root) / "intelligence" / "20260131_093000" / "tier1.parquet"
    whole = read_bytes(path)
    for offset in (4, len(whole) // 3, len(whole) // 2, len(whole) - 20):
        write_atomic(path, whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        with pytest.raises(ArtifactDamaged):
            store.load(*RUN)


def test_a_refused_put_leaves_the_earlier_publication(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(root)
    store.publish(result_of(1))
    filesystem = store.root.fs
    real = filesystem.pipe_file
    # One in the copies of the earlier publication, two in the new side files, and the artifact itself.
    for allowed in (3, 6, 10, 11):
        puts = itertools.count()

        def refuse(path: str, data: bytes, puts: Iterator[int] = puts, allowed: int = allowed) -> None:
            if next(puts) == allowed:
                raise PermissionError("Access Denied")
            real(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(filesystem, "pipe_file", refuse)
            with pytest.raises(StorageError, match="s3://reports/enrich"):
                store.publish(result_of(2))
        assert value_of(store) == 1
    store.publish(result_of(2))
    assert value_of(store) == 2


def test_a_bucket_that_is_not_there_is_said(root: str) -> None:
    with pytest.raises(StorageError, match="s3://nowhere"):
        Store("s3://nowhere/x").check_writable()


def test_a_run_is_archived_read_and_brought_back(root: str) -> None:
    from enrich_assets.store.archive import ArchivedRun, clear_folder, pack, unpack
    from enrich_assets.store.layout import RunFolder
    from enrich_assets.store.run_files import run_files

    store = Store(root)
    for value in (1, 2):
        store.publish(result_of(value), reports={"report.md": b"# News"})
    folder = RunFolder(store.root, *RUN[:2])
    before = {path.path: read_bytes(path) for path in files_below(folder.path)}
    pack(folder, run_files(folder, [RUN[2]]).own, pages=[], now=datetime(2026, 6, 1, tzinfo=UTC))
    archived = ArchivedRun(store.root, *RUN[:2])
    assert clear_folder(folder, archived) == []
    assert files_below(folder.path) == []
    assert store.runs(RUN[0]) == [RUN[1]] and value_of(Store(root)) == 2
    assert len(store.versions(*RUN)) == 1
    whole = read_bytes(archived.path)
    write_atomic(archived.path, whole[: len(whole) // 2])
    with pytest.raises(ArtifactDamaged, match="archive"):
        store.load(*RUN)
    write_atomic(archived.path, whole)
    assert unpack(archived) == len(before)
    assert {path.path: read_bytes(path) for path in files_below(folder.path)} == before
    assert not store.run_folder(*RUN[:2]).is_archived and value_of(store) == 2
