"""Files that are whole or absent: atomic writing, reading and removing over universal-pathlib paths.

Here belongs what every floor needs of a disk or an object store, with errors that people can act on. What a file
means (artifact, manifest, page) belongs to the floors above.
"""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from upath import UPath

from enrich_assets.core.errors import ArtifactMissing, EnrichError, StorageError

TEMPORARY_SUFFIX = ".tmp"
_BEING_WRITTEN_SECONDS = 3600.0
"""A temporary file that is older was left by a process that died: writing one takes seconds."""
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)

_FIXES = {
    errno.ENOSPC: "Free some space there, or set ENRICH_STORAGE to another place; then resume.",
    errno.EDQUOT: "The quota is used up: free some space there, or set ENRICH_STORAGE to another place; then resume.",
    errno.EACCES: "Give this user the right to write there, or set ENRICH_STORAGE to another folder.",
    errno.EPERM: "Give this user the right to write there, or set ENRICH_STORAGE to another folder.",
    errno.EROFS: "The disk is mounted read-only: set ENRICH_STORAGE to a folder that can be written.",
    errno.ENOTDIR: "A file stands where a folder should be: move it away.",
    errno.EEXIST: "A file stands where a folder should be: move it away.",
    errno.EISDIR: "A folder stands where a file should be: move it away.",
}


def is_local(path: UPath) -> bool:
    """Whether the path is on a disk of this machine."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def local_path(path: UPath) -> Path:
    """The plain path of a local UPath."""
    return Path(path.path)


def write_atomic(path: UPath, data: bytes, *, survives_power_cut: bool = True) -> None:
    """Writes `data` so that `path` is afterwards either as before or whole, whatever happens in between.

    On a disk: a temporary file in the same folder, fsync, rename, fsync of the folder. On an object store: one PUT.
    Missing folders are made. `survives_power_cut`: False spares the fsyncs, for what can be had from elsewhere. Raises
    StorageError that names the path and what to do.
    """
    if not is_local(path):
        try:
            path.fs.pipe_file(path.path, data)
        except Exception as error:  # every backend has its own exceptions, from libraries that load on use
            raise storage_error("cannot be written", path, error) from error
        return
    _replace(path, lambda file: file.write(data), survives_power_cut)


def write_atomic_by(path: UPath, write: Callable[[IO[bytes]], None]) -> None:
    """As `write_atomic`, for what is made in parts: `write` fills a file, and may read back what it wrote.

    What it raises leaves `path` as it was. An object store gets the file when it is whole.
    """
    if not is_local(path):
        with tempfile.NamedTemporaryFile() as made:
            try:
                write(made)
                made.flush()
                path.fs.put_file(made.name, path.path)
            except EnrichError:
                raise
            except Exception as error:  # as in write_atomic
                raise storage_error("cannot be written", path, error) from error
        return
    _replace(path, write, survives_power_cut=True)


def _replace(path: UPath, write: Callable[[IO[bytes]], object], survives_power_cut: bool) -> None:
    target = local_path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w+b") as file:
                write(file)
                file.flush()
                if survives_power_cut:
                    os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if survives_power_cut:
            _sync_folder(target.parent)
    except OSError as error:
        raise storage_error("cannot be written", path, error) from error


def read_bytes(path: UPath) -> bytes:
    """The file's bytes; raises ArtifactMissing if there is none and StorageError if it cannot be read."""
    try:
        if is_local(path):
            with opened_local(local_path(path)) as file:
                return file.read()
        data: bytes = path.fs.cat_file(path.path)
        return data
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactMissing("there is no such file.", where=str(path), fix="Run the phase that makes it.") from error
    except Exception as error:  # as in write_atomic
        raise storage_error("cannot be read", path, error) from error


def opened_local(path: Path) -> BufferedReader:
    """A local file to be read; raises OSError. A named pipe that nobody writes is empty: nobody is waited for."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAITING))


def is_being_written(path: UPath) -> bool:
    """Whether it is a temporary file that another writer may be about to rename; an hour after its last write, not."""
    name = path.path.rsplit("/", 1)[-1]
    if not (is_local(path) and name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)):
        return False
    try:
        return time.time() - local_path(path).stat().st_mtime < _BEING_WRITTEN_SECONDS
    except OSError:
        return False


def remove(path: UPath) -> None:
    """Removes a file; one that is not there is fine. Raises StorageError."""
    try:
        if is_local(path):
            local_path(path).unlink(missing_ok=True)
        else:
            path.fs.rm_file(path.path)
    except FileNotFoundError:
        return
    except Exception as error:  # as in write_atomic
        raise storage_error("cannot be removed", path, error) from error


def remove_empty_folders(folder: UPath, *, up_to: UPath) -> None:
    """Removes `folder` and its parents below `up_to` while they are empty; object stores have no folders."""
    if not is_local(folder):
        return
    current, end = local_path(folder), local_path(up_to)
    while current != end and end in current.parents:
        try:
            current.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        current = current.parent


def files_below(folder: UPath) -> list[UPath]:
    """Every file below a folder, temporary files too, sorted; none if the folder is missing. Raises StorageError."""
    try:
        if is_local(folder):
            found = sorted(p for p in local_path(folder).rglob("*") if p.is_file())
            return [UPath(p) for p in found]
        folder.fs.invalidate_cache()
        prefix = folder.path.rstrip("/") + "/"
        names = sorted(name for name in folder.fs.find(folder.path) if name.startswith(prefix))
        return [folder / name[len(prefix) :] for name in names]
    except FileNotFoundError:
        return []
    except Exception as error:  # as in write_atomic
        raise storage_error("cannot be listed", folder, error) from error


def names_in(folder: UPath) -> list[str]:
    """Names of the files and folders directly in a folder, symbolic links left out; none if it is missing."""
    try:
        if is_local(folder):
            return sorted(entry.name for entry in local_path(folder).iterdir() if not entry.is_symlink())
        folder.fs.invalidate_cache()
        return sorted({name.rstrip("/").rsplit("/", 1)[-1] for name in folder.fs.ls(folder.path, detail=False)})
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Exception as error:  # as in write_atomic
        raise storage_error("cannot be listed", folder, error) from error


def storage_error(what: str, path: UPath, error: BaseException) -> StorageError:
    """The StorageError of a failed operation: what failed, where, and what to do about it."""
    number: Any = getattr(error, "errno", None)
    reason = os.strerror(number) if isinstance(number, int) and number in errno.errorcode else str(error)
    fix = _FIXES.get(number if isinstance(number, int) else -1, "Look at the place that ENRICH_STORAGE names.")
    return StorageError(f"{what}: {reason or type(error).__name__}.", where=str(path), fix=fix)


def _sync_folder(folder: Path) -> None:
    # Without it a power cut may lose the rename although the file's own bytes are safe (fsync(2)).
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
