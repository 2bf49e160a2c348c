"""Where a storage is and whether it can be used: the root that ENRICH_STORAGE names, its space, whether it takes files.

Belongs here: what can be said of a storage before anything is read from it. What stands below it belongs to
`store.layout`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping

from upath import UPath

from enrich_assets.core.errors import StorageError
from enrich_assets.core.files import is_local, local_path, read_bytes, remove, write_atomic
from enrich_assets.core.named_paths import spelled_out

_DEFAULT_ROOT = "data"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:/", re.IGNORECASE)
_WHOLE_FILE_URL = re.compile(r"file:/(?://)?[^/]", re.IGNORECASE)
MINIMUM_FREE_BYTES = 50_000_000
"""Room that a storage must have before a run begins."""


def root_from(environment: Mapping[str, str]) -> UPath:
    """The folder or URL of ENRICH_STORAGE, by default `./data`; a folder with its whole path.

    Raises StorageError for what cannot be opened, and for remote storage without ENRICH_LEDGER_URL, UserError for the
    home of an unknown user.
    """
    name = storage_name(environment.get("ENRICH_STORAGE", "").strip() or _DEFAULT_ROOT)
    try:
        root = UPath(name)
    except (ValueError, ImportError) as error:
        raise StorageError(
            f"the storage cannot be opened: {error}.", where=_shown(name), fix="Correct ENRICH_STORAGE."
        ) from error
    if "://" in name and not getattr(root, "protocol", ""):
        # universal-pathlib takes an unknown scheme for the name of a local folder.
        raise StorageError(
            f"no storage is known for {name.split('://', 1)[0]}://.",
            where=_shown(name),
            fix="Correct ENRICH_STORAGE: a folder, or a URL like s3://bucket/folder.",
        )
    if not is_local(root) and not environment.get("ENRICH_LEDGER_URL", "").strip():
        raise StorageError(
            "remote storage needs a ledger of its own.",
            where=_shown(name),
            fix="Set ENRICH_LEDGER_URL to a Postgres database, or ENRICH_STORAGE to a local folder.",
        )
    return root


def storage_name(named: str) -> str:
    """A storage as it is named, the path of a folder spelled out; raises StorageError for a URL of part of a path."""
    if not _URL.match(named):
        return str(spelled_out(named, "ENRICH_STORAGE"))
    if named.lower().startswith("file:") and not _WHOLE_FILE_URL.match(named):
        raise StorageError(
            "a file URL has a whole path.",
            where=named,
            fix="Write file:///folder/data with three slashes, or the path itself.",
        )
    return named


def check_writable(root: UPath, minimum_free_bytes: int) -> None:
    """Writes, reads and removes a small file; raises StorageError if that fails or too little space is left."""
    probe = root / f"probe-{secrets.token_hex(8)}.txt"
    content = b"a file that shows that this storage can be written\n"
    write_atomic(probe, content)
    try:
        if read_bytes(probe) != content:
            raise StorageError("what was written is not what is read.", where=str(probe), fix="Check the disk.")
    finally:
        remove(probe)
    if is_local(root):
        free = shutil.disk_usage(local_path(root)).free
        if free < minimum_free_bytes:
            raise StorageError(
                f"{free / 1e6:,.0f} MB are free, and {minimum_free_bytes / 1e6:,.0f} MB are needed.",
                where=str(root),
                fix="Free some space there, or set ENRICH_STORAGE to another place.",
            )


def _shown(name: str) -> str:
    """A storage URL without user and password."""
    return re.sub(r"//[^/@\s]*@", "//…@", name)
