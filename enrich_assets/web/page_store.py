"""The page store: raw documents by content hash, compressed, each with the record of how it was fetched.

Belongs here: files below `pages/`. Which document answers a URL belongs to `web.pages`, what a record says to
`web.fetch_records`.
"""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged, ArtifactError, StorageError
from enrich_assets.core.files import is_local, names_in, read_bytes, remove, remove_empty_folders, write_atomic
from enrich_assets.core.fingerprint import sha256

_RECORDS_KEPT = 50
"""Records beside one document: some error pages come from every address of a site."""


class PageStore:
    """Raw documents below `root`, compressed, each under the SHA-256 of its bytes, with its fetch records beside it."""

    def __init__(self, root: UPath) -> None:
        self._root = root
        self._noting = threading.Lock()

    def path(self, key: str) -> UPath:
        """Where the document with that hash stands: `pages/<2 hex>/<sha256>.gz`."""
        return self._root / "pages" / key[:2] / f"{key}.gz"

    def record_path(self, key: str) -> UPath:
        """Where its fetch records stand: `pages/<2 hex>/<sha256>.json`."""
        return self._root / "pages" / key[:2] / f"{key}.json"

    def put(self, body: bytes, record: Mapping[str, Any] | None = None) -> str:
        """Keeps `body` and gives its hash; a whole copy stays, a damaged one is replaced. Raises StorageError.

        `record` says how it came. It is written first, so that no document stands there without one, and only once
        for each URL that it came from.
        """
        key = sha256(body)
        if record is not None:
            self._note(key, record)
        if not self.verify(key):
            write_atomic(self.path(key), gzip.compress(body, compresslevel=6, mtime=0))
        return key

    def get(self, key: str) -> bytes:
        """The document with that hash.

        Raises ArtifactMissing, ArtifactDamaged when its bytes do not match, and StorageError when it cannot be read.
        """
        path = self.path(key)
        packed = read_bytes(path)
        try:
            body = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error):
            body = None
        if body is None or sha256(body) != key:
            raise ArtifactDamaged(
                "the stored page does not match its hash.",
                where=str(path),
                fix="The page is fetched again when it is needed.",
            )
        return body

    def records(self, key: str) -> list[dict[str, Any]]:
        """How the document came: one record for each URL that it was fetched from, oldest first.

        None where they are lost or damaged, because the ledger's answers say the same. Raises StorageError.
        """
        try:
            found = json.loads(read_bytes(self.record_path(key)))["fetches"]
        except (ArtifactError, ValueError, KeyError, TypeError):
            return []
        listed = found if isinstance(found, list) else []
        return [record for record in listed if isinstance(record, dict) and isinstance(record.get("url"), str)]

    def verify(self, key: str) -> bool:
        """Whether the document with that hash is there and whole; raises StorageError when it cannot be read."""
        try:
            self.get(key)
        except ArtifactError:
            return False
        except StorageError as error:
            if isinstance(error.__cause__, IsADirectoryError):
                return False
            raise
        return True

    def hashes(self) -> Iterator[str]:
        """Hashes of the documents of which anything stands there, sorted; nothing is read."""
        root = self._root / "pages"
        for prefix in names_in(root):
            found = {name.partition(".")[0] for name in names_in(root / prefix) if name.endswith((".gz", ".json"))}
            yield from sorted(key for key in found if key[:2] == prefix)

    def remove(self, key: str) -> bool:
        """Removes a document and its records; whether there was one. Raises StorageError."""
        path = self.path(key)
        was_there = path.name in names_in(path.parent)
        remove(path)
        remove(self.record_path(key))
        remove_empty_folders(path.parent, up_to=self._root)
        return was_there

    def remove_records(self, key: str, of: Callable[[Mapping[str, Any]], bool]) -> None:
        """Removes those fetch records of a document that `of` names; the document stays. Raises StorageError."""
        with self._noting:
            known = self.records(key)
            kept = [record for record in known if not of(record)]
            if len(kept) < len(known):
                self._write(key, kept)

    def damaged(self) -> Iterator[str]:
        """Paths of page files whose content does not match their name, and of fetch records that cannot be read or are
        of another page; sorted. Also of what stands in their way.

        Reads every page and record; raises StorageError. Symbolic links and temporary files are left out.
        """
        root = self._root / "pages"
        if is_local(root) and root.is_file():
            yield str(root)
        for prefix in names_in(root):
            for name in names_in(root / prefix):
                key, _, ending = name.partition(".")
                whole = {"gz": self.verify, "json": self._verify_records}.get(ending)
                if whole is not None and not (prefix == key[:2] and whole(key)):
                    yield str(root / prefix / name)

    def _verify_records(self, key: str) -> bool:
        try:
            found = json.loads(read_bytes(self.record_path(key)))
            listed = found["fetches"]
        except (ArtifactError, ValueError, KeyError, TypeError):
            return False
        return found.get("sha256") == key and isinstance(listed, list) and len(self.records(key)) == len(listed)

    def _note(self, key: str, record: Mapping[str, Any]) -> None:
        with self._noting:
            known = self.records(key)
            if any(one["url"] == record["url"] for one in known):
                return
            self._write(key, [*known, dict(record)][-_RECORDS_KEPT:])

    def _write(self, key: str, records: list[dict[str, Any]]) -> None:
        text = json.dumps({"sha256": key, "fetches": records}, ensure_ascii=False, indent=1)
        # The ledger's answer says the same, and is durable.
        write_atomic(self.record_path(key), f"{text}\n".encode("utf-8", "replace"), survives_power_cut=False)
