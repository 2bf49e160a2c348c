"""Archives: a run's folder as one compressed file, `<graph>/archive/<run_id>.zip`, that is read like the folder.

Belongs here: the file's form, making, checking, reading and unpacking it. Which runs become one belongs to
`store.retention`, the order of the steps to `defs.keeping`. The form: a zip file (deflate) with every file of the run
under its own name and, as its last member, `archive.json`, which lists them with their SHA-256 and carries a hash of
itself. The file's comment is the SHA-256 of all bytes before it.

While archive and folder both stand, as after a kill, the archive counts: it is put in place when it is whole, and
taken away when the folder is.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BufferedReader
from typing import IO, Any, ClassVar

from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, StorageError, UserError
from enrich_assets.core.files import (
    is_local,
    local_path,
    names_in,
    opened_local,
    read_bytes,
    remove,
    remove_empty_folders,
    storage_error,
    write_atomic,
    write_atomic_by,
)
from enrich_assets.core.fingerprint import sha256
from enrich_assets.store.layout import ARCHIVES, RunFolder, valid_name

ARCHIVE_FORMAT = 1
_SUFFIX = ".zip"
_LIST = "archive.json"
_SEAL_BYTES = 64
_CHUNK = 1 << 20
# What zipfile and its decompressors raise for bytes that are not what was written.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)


@dataclass(frozen=True)
class ArchivedRun(RunFolder):
    """An archived run, read as if it were a folder; every file is held against its hash in the archive's list."""

    is_archived: ClassVar[bool] = True

    @property
    def path(self) -> UPath:
        """The archive; what stands in it is named as if it were a folder."""
        return archive_path(self.root, self.graph, self.run_id)

    @cached_property
    def catalog(self) -> dict[str, Any]:
        """The archive's list: format, graph, run_id, archived_at, pages (keys of stored pages that the run mentions),
        files (name, bytes, sha256). Raises ArtifactMissing, ArtifactDamaged."""
        with self._unpacked() as (packed, _):
            return self._catalog(packed)

    def read(self, path: UPath) -> bytes:
        """The bytes of a file of the run; raises ArtifactMissing, ArtifactDamaged, StorageError."""
        name = self.relative(path)
        entry = self._entries.get(name)
        if entry is None:
            raise ArtifactMissing("the archive holds no such file.", where=str(path), fix="It was not published.")
        with self._unpacked() as (packed, _):
            return self._member(packed, entry)

    def opened(self, path: UPath) -> BufferedReader | bytes:
        """The bytes of a file of the run; raises as `read` does."""
        return self.read(path)

    def names(self, path: UPath) -> list[str]:
        """Names of what stands directly in a folder of the run; raises ArtifactDamaged."""
        folder = self.relative(path)
        prefix = f"{folder}/" if folder else ""
        return sorted({name[len(prefix) :].split("/")[0] for name in self._entries if name.startswith(prefix)})

    def check(self) -> dict[str, Any]:
        """Reads all of the archive and gives its list; raises ArtifactMissing, ArtifactDamaged naming what is wrong."""
        with self._unpacked() as (packed, file):
            return self._check_all(packed, file)

    @cached_property
    def _entries(self) -> Mapping[str, Mapping[str, Any]]:
        return {str(entry["name"]): entry for entry in self.catalog["files"]}

    @contextmanager
    def _unpacked(self) -> Iterator[tuple[zipfile.ZipFile, IO[bytes]]]:
        if is_local(self.path) and local_path(self.path).is_dir():
            raise self._damaged("a folder stands in its place")
        with _opened(self.path) as file:
            try:
                with zipfile.ZipFile(file) as packed:
                    yield packed, file
            except _DAMAGE as error:
                raise self._damaged(f"it cannot be unpacked ({_told(error)})") from error
            except OSError as error:
                # A flipped offset leads before the file's beginning: zipfile seeks there all the same.
                raise self._damaged(f"it cannot be read ({_told(error)})") from error

    def _catalog(self, packed: zipfile.ZipFile) -> dict[str, Any]:
        try:
            whole = json.loads(packed.read(_LIST).decode("utf-8"))
        except KeyError as error:
            raise self._damaged(f"it has no {_LIST}") from error
        listed = whole.get("files") if isinstance(whole, dict) else None
        if not isinstance(listed, list) or whole.get("list_sha256") != _own_hash(whole):
            raise self._damaged(f"its {_LIST} does not match its own hash")
        if (whole["graph"], whole["run_id"]) != (self.graph, self.run_id):
            raise self._damaged(f"it is the archive of {whole['graph']}/{whole['run_id']}, copied here")
        result: dict[str, Any] = whole
        return result

    def _member(self, packed: zipfile.ZipFile, entry: Mapping[str, Any]) -> bytes:
        name = str(entry["name"])
        try:
            # The list is trusted rather than the zip's own directory, which could promise any size.
            data = b"" if packed.getinfo(name).file_size != entry["bytes"] else packed.read(name)
        except (*_DAMAGE, OSError) as error:
            raise self._damaged(f"{name} cannot be unpacked ({_told(error)})") from error
        if sha256(data) != entry["sha256"]:
            raise self._damaged(f"{name} does not match its hash in {_LIST}")
        return data

    def _check_all(self, packed: zipfile.ZipFile, file: IO[bytes]) -> dict[str, Any]:
        whole = self._catalog(packed)
        for entry in whole["files"]:
            self._member(packed, entry)
        # Last, because it cannot say which file it is.
        if packed.comment != _seal_of(file).encode():
            raise self._damaged("its bytes do not match its seal")
        return whole

    def _damaged(self, reason: str) -> ArtifactDamaged:
        return ArtifactDamaged(
            f"the archive of the run {self.run_id} is damaged: {reason}.",
            where=str(self.path),
            fix="Bring the file back from a backup; nothing else holds this run.",
        )


def archive_path(root: UPath, graph: str, run_id: str) -> UPath:
    """Where the archive of a run stands or would stand."""
    return root / valid_name(graph, "graph") / ARCHIVES / f"{run_id}{_SUFFIX}"


def archived_runs(root: UPath, graph: str) -> list[str]:
    """IDs of the runs of a graph that have an archive, sorted."""
    names = names_in(root / valid_name(graph, "graph") / ARCHIVES)
    return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and name[0] != "."]


def run_at(root: UPath, graph: str, run_id: str) -> RunFolder:
    """Where a run is read: its archive if there is one, else its folder, whether that stands there or not."""
    folder, path = RunFolder(root, graph, run_id), archive_path(root, graph, run_id)
    if is_local(path):
        there = local_path(path).exists()
    else:
        there = path.name in names_in(path.parent)
    return ArchivedRun(root, graph, run_id) if there else folder


def refuse_archived(folder: RunFolder) -> None:
    """Raises UserError for an archived run: it is read, and nothing is made in it."""
    if folder.is_archived:
        raise UserError(
            f"the run {folder.run_id} is archived: it can be read, and nothing can be made in it.",
            where=str(folder.path),
            fix=f"enrich keep --restore {folder.run_id} brings its folder back; then try again.",
        )


def pack(folder: RunFolder, names: Collection[str], *, pages: Collection[str], now: datetime) -> None:
    """Makes the archive of a run out of the named files of its folder, and reads it back before it is put in place.

    Raises StorageError, ArtifactDamaged, ArtifactMissing; there is no archive then.
    """
    archived = ArchivedRun(folder.root, folder.graph, folder.run_id)

    def write(file: IO[bytes]) -> None:
        listed = []
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
            for name in sorted(names):
                data = folder.read(folder.file(name))
                listed.append({"name": name, "bytes": len(data), "sha256": sha256(data)})
                packed.writestr(_member_info(name, now), data)
            whole = {
                "format": ARCHIVE_FORMAT,
                "graph": folder.graph,
                "run_id": folder.run_id,
                "archived_at": now.isoformat(timespec="seconds"),
                "pages": sorted(pages),
                "files": listed,
            }
            whole["list_sha256"] = _own_hash(whole)
            packed.writestr(_member_info(_LIST, now), json.dumps(whole, indent=1).encode("utf-8"))
            packed.comment = b"0" * _SEAL_BYTES
        seal = _seal_of(file).encode()
        file.seek(-_SEAL_BYTES, 2)
        file.write(seal)
        file.flush()
        with zipfile.ZipFile(file) as packed:
            archived._check_all(packed, file)

    write_atomic_by(archived.path, write)
    if not is_local(archived.path):
        try:
            archived.check()  # what arrived there, before the folder goes
        except ArtifactDamaged:
            remove(archived.path)
            raise


def clear_folder(folder: RunFolder, archived: ArchivedRun) -> list[str]:
    """Removes the files of a run's folder that its archive holds with the same hash; gives the names of those that
    differ, which are left. Raises StorageError, ArtifactDamaged."""
    left = []
    for entry in archived.check()["files"]:
        path = folder.file(str(entry["name"]))
        try:
            is_same = sha256(read_bytes(path)) == entry["sha256"]
        except ArtifactMissing:
            continue
        if not is_same:
            left.append(str(entry["name"]))
            continue
        remove(path)
        remove_empty_folders(path.parent, up_to=folder.root)
    return left


def unpack(archived: ArchivedRun) -> int:
    """Brings the folder of an archived run back, then removes the archive; gives the number of files.

    Every file is read back first. What stands in the folder already and differs is a foreign file, and refused. Raises
    ArtifactDamaged, ArtifactMissing, StorageError, UserError; the archive counts until all of it is there.
    """
    folder = RunFolder(archived.root, archived.graph, archived.run_id)
    listed = archived.check()["files"]
    for entry in listed:
        path = folder.file(str(entry["name"]))
        if (found := _hash_at(path)) == entry["sha256"]:
            continue
        if found:
            raise UserError(
                f"another file stands where {entry['name']} of the archived run {archived.run_id} belongs.",
                where=str(path),
                fix="Move it away, then try again.",
            )
        write_atomic(path, archived.read(archived.file(str(entry["name"]))))
    for entry in listed:
        if _hash_at(path := folder.file(str(entry["name"]))) != entry["sha256"]:
            raise StorageError("what was written is not what is read.", where=str(path), fix="Check the disk.")
    remove(archived.path)
    remove_empty_folders(archived.path.parent, up_to=archived.root)
    return len(listed)


@contextmanager
def _opened(path: UPath) -> Iterator[IO[bytes]]:
    try:
        file: IO[bytes] = opened_local(local_path(path)) if is_local(path) else path.fs.open(path.path, "rb")
    except FileNotFoundError as error:
        raise ArtifactMissing(
            "there is no such archive.", where=str(path), fix="enrich runs lists the runs."
        ) from error
    except Exception as error:  # every backend has its own exceptions, from libraries that load on use
        raise storage_error("cannot be read", path, error) from error
    with file:
        yield file


def _hash_at(path: UPath) -> str:
    try:
        return sha256(read_bytes(path))
    except ArtifactMissing:
        return ""


def _member_info(name: str, now: datetime) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=(max(now.year, 1980), now.month, now.day, now.hour, now.minute, now.second))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _seal_of(file: IO[bytes]) -> str:
    """SHA-256 of all bytes but the comment."""
    left = file.seek(0, 2) - _SEAL_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0:
        part = file.read(min(_CHUNK, left))
        if not part:
            break
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()


def _own_hash(whole: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in whole.items() if key != "list_sha256"}, sort_keys=True)
    return sha256(text.encode("utf-8"))


def _told(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__
