"""A publication that is stopped anywhere, by a full disk or by a kill, leaves one whole state."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from upath import UPath

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.errors import ArtifactMissing, StorageError
from enrich_assets.core.files import files_below, read_bytes
from enrich_assets.core.result import PhaseResult
from enrich_assets.store.store import Store

RUN = ("tables", "20260131_093000", "filled")
EMPTY = pa.table({"row_id": pa.array([], pa.string())})


def result_of(value: int, sides: tuple[str, ...]) -> PhaseResult:
    side = pa.table({"value": [value]})
    return PhaseResult(
        graph=RUN[0],
        run_id=RUN[1],
        phase=RUN[2],
        number=3,
        started_at=datetime(2026, 1, 31, tzinfo=UTC),
        duration_seconds=1.0,
        counts=Counts(),
        usage=Usage(),
        settings_fingerprint="s",
        code_fingerprint="c",
        table=pa.table({"row_id": ["a"], "value": [value]}),
        dropped=EMPTY,
        failed=EMPTY,
        sides=dict.fromkeys(sides, side),
    )


OLD, NEW = result_of(1, ("kept", "only_old")), result_of(2, ("kept", "only_new"))


def state(root: Path | UPath) -> int:
    """The value of the publication that stands; every file of it has to agree."""
    store = Store(root)
    envelope = store.verify(*RUN)
    table = store.load(*RUN).table
    assert table is not None
    value: int = table.column("value")[0].as_py()
    assert store.side(*RUN, "kept").column("value").to_pylist() == [value]
    own, other = ("only_old", "only_new") if value == 1 else ("only_new", "only_old")
    assert store.side(*RUN, own).column("value").to_pylist() == [value]
    with pytest.raises(ArtifactMissing):
        store.side(*RUN, other)
    assert all(earlier.artifact_id != envelope.artifact_id for earlier in store.versions(*RUN))
    return value


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


class FullDisk:
    """The nth call, and every later one, finds no space left."""

    def __init__(self, real: Any, allowed: int, *, lasting: bool) -> None:
        self.real, self.allowed, self.lasting, self.calls = real, allowed, lasting, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls > self.allowed if self.lasting else self.calls == self.allowed + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.real(*arguments)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("lasting", [True, False])
def test_a_disk_that_is_full_at_the_nth_write_leaves_the_earlier_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, lasting: bool
) -> None:
    refused = 0
    for allowed in range(60):
        root = tmp_path / str(allowed)
        Store(root).publish(OLD)
        before = snapshot(root)
        disk = FullDisk(getattr(os, step), allowed, lasting=lasting)
        with monkeypatch.context() as patch:
            patch.setattr(os, step, disk)
            try:
                Store(root).publish(NEW)
            except StorageError as error:
                assert "Free some space" in str(error)
                refused += 1
                published = False
            else:
                published = True
        assert state(root) == (2 if published else 1)
        if not published and not lasting:
            assert snapshot(root) == before
        assert not [name for name in snapshot(root) if name.endswith(".tmp")]
        if disk.calls <= allowed:
            break
        Store(root).publish(NEW)
        assert state(root) == 2
    assert refused >= 12
    assert disk.calls <= allowed, "the loop did not reach the end of a publication"


def test_a_first_publication_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed in range(5):
        root = tmp_path / str(allowed)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", FullDisk(os.replace, allowed, lasting=True))
            with pytest.raises(StorageError):
                Store(root).publish(OLD)
        assert snapshot(root) == {}


def test_an_object_store_that_refuses_the_nth_put_keeps_the_earlier_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = fsspec.filesystem("memory")
    real = files.pipe_file
    refused = 0
    for allowed in range(60):
        root = UPath(f"memory://interrupted/{allowed}")
        Store(root).publish(OLD)
        before = {p.path: read_bytes(p) for p in files_below(root)}
        disk = FullDisk(real, allowed, lasting=False)
        with monkeypatch.context() as patch:
            patch.setattr(files, "pipe_file", disk)
            try:
                Store(root).publish(NEW)
            except StorageError:
                refused += 1
                assert state(root) == 1
                assert {p.path: read_bytes(p) for p in files_below(root)} == before
            else:
                assert state(root) == 2
        if disk.calls <= allowed:
            break
    files.store.clear()
    assert refused >= 12 and disk.calls <= allowed


@pytest.mark.parametrize("folder", [".", "etl/filled", "eda/filled", "versions/filled"])
def test_a_publication_leaves_the_temporary_files_of_other_writers_alone(tmp_path: Path, folder: str) -> None:
    Store(tmp_path).publish(OLD)
    place = tmp_path.joinpath(*RUN[:2], folder)
    place.mkdir(parents=True, exist_ok=True)
    young, abandoned = place / ".filled.parquet.0a1b2c3d.tmp", place / ".filled.parquet.4e5f6a7b.tmp"
    for path in (young, abandoned):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, (two_hours_ago, two_hours_ago))
    Store(tmp_path).publish(NEW)
    assert young.read_bytes() == b"half"
    assert not abandoned.exists()
    assert state(tmp_path) == 2


KILLER = """
import os, shutil, sys
sys.path.insert(0, sys.argv[2])
from test_store_interrupted import NEW, OLD, Store

root = sys.argv[1]

def child(work):
    # A child of a process that never used Arrow's threads: each one begins clean and dies without any clean-up.
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def killed_at(folder, n):
    real, calls = os.fsync, [0]
    def patched(*arguments):
        calls[0] += 1
        if calls[0] == n:
            os._exit(9)
        return real(*arguments)
    def work():
        os.fsync = patched
        Store(folder).publish(NEW)
    return child(work)

assert child(lambda: Store(f"{root}/start").publish(OLD)) == 0
# Before a file's fsync its temporary file stands there; before a folder's fsync the rename has happened.
for n in range(1, 100):
    folder = f"{root}/{n}"
    shutil.copytree(f"{root}/start", folder)
    code = killed_at(folder, n)
    print(folder, code, flush=True)
    if code != 9:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_publication_that_is_killed_at_any_step_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    assert {code for _, code in outcomes} == {"9", "0"}
    values = [state(Path(folder)) for folder, code in outcomes if code == "9"]
    assert values.count(1) >= 20 and values.count(2) >= 3
    for folder, _ in outcomes[::5]:
        Store(folder).publish(NEW)
        assert state(Path(folder)) == 2
        names = [n for n in snapshot(Path(folder)) if "/versions/" not in n]
        assert not [n for n in names if n.endswith("only_old.parquet")]
        assert Store(folder).rebuild_manifest(*RUN[:2])["files"]
