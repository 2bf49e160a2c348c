"""Atomic files on a disk and on fsspec's in-memory object store."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from enrich_assets.core.errors import ArtifactMissing, StorageError
from enrich_assets.core.files import files_below, is_local, names_in, read_bytes, remove, write_atomic


@pytest.fixture(params=["disk", "file-url", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    places = {"disk": str(tmp_path), "file-url": tmp_path.as_uri(), "object store": "memory://bucket/prefix"}
    yield UPath(places[request.param])
    fsspec.filesystem("memory").store.clear()


def test_what_is_written_is_read_listed_and_removed(root: UPath) -> None:
    path = root / "a" / "b.bin"
    for data in (b"one", b"", b"three"):
        write_atomic(path, data)
        assert read_bytes(path) == data
    write_atomic(root / "a" / "c" / "d", b"4")
    assert [p.path for p in files_below(root)] == [path.path, (root / "a" / "c" / "d").path]
    assert [read_bytes(p) for p in files_below(root / "a")] == [b"three", b"4"]
    assert names_in(root / "a") == ["b.bin", "c"]
    remove(path)
    remove(path)
    with pytest.raises(ArtifactMissing, match=r"b\.bin"):
        read_bytes(path)
    assert files_below(root / "nothing") == [] == names_in(root / "nothing")


def test_only_disks_are_local(tmp_path: Path) -> None:
    assert is_local(UPath(tmp_path)) and is_local(UPath("data")) and is_local(UPath(tmp_path.as_uri()))
    assert not is_local(UPath("memory://bucket"))


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "the right to write"), (errno.EROFS, "read-only")],
)
def test_a_refused_write_names_path_and_way_out_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, words: str
) -> None:
    path = UPath(tmp_path / "file.bin")
    write_atomic(path, b"old")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(StorageError, match=words) as caught:
        write_atomic(path, b"new")
    assert caught.value.where == str(path) and caught.value.exit_code == 2
    assert read_bytes(path) == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="A file stands where a folder should be"):
        write_atomic(UPath(tmp_path / "run" / "x.json"), b"{}")
    with pytest.raises(StorageError, match="cannot be read"):
        read_bytes(UPath(tmp_path))


def test_the_folder_is_synced_behind_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        steps.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomic(UPath(tmp_path / "x"), b"1")
    assert steps == ["file", "rename", "folder"]
