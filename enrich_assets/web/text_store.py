"""What stored pages hold, kept beside them, so that an unchanged page is not extracted again by anybody."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from upath import UPath

from enrich_assets.core.errors import ArtifactError
from enrich_assets.core.files import files_below, names_in, read_bytes, remove, remove_empty_folders, write_atomic
from enrich_assets.core.fingerprint import fingerprint, sha256
from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web.extraction_worker import as_json, extracted_of

_ENDING = ".json.gz"
RULES_VERSION = 2
"""Raised when the rules of `web.extract` give another result for the same bytes."""


@cache
def extractor() -> str:
    """What extracts: the version of the own rules and of the library below them."""
    from importlib.metadata import version

    return f"rules {RULES_VERSION}, trafilatura {version('trafilatura')}, htmldate {version('htmldate')}"


class TextStore:
    """Extraction results below `root`, each in `texts/<2 hex>/<sha256 of the page>/<fingerprint>.json.gz`.

    A file says of which page and fingerprint it is and what its result hashes to, so that one that is damaged, or
    stands in the place of another, counts as none. The fingerprint is that of the extractor and of what it looks at
    besides the bytes: address, content type, charset and selectors. The day of the fetch, after which no date is
    believed, is that of the first extraction.
    """

    def __init__(self, root: UPath) -> None:
        self._root = root

    def path(self, page: Page, selectors: PageSelectors | None) -> UPath:
        """Where the result for a page stands."""
        asked = {
            "extractor": extractor(),
            "url": page.final_url,
            "type": page.content_type,
            "charset": page.charset,
            "selectors": None
            if selectors is None
            else [selectors.title, selectors.author, selectors.published, selectors.text],
        }
        return self._folder(page.sha256) / f"{fingerprint(asked)}{_ENDING}"

    def get(self, page: Page, selectors: PageSelectors | None) -> Extracted | None:
        """The kept result, or None where there is none that is whole and of this page. Raises StorageError."""
        return _unpacked(self.path(page, selectors))

    def put(self, page: Page, selectors: PageSelectors | None, found: Extracted) -> None:
        """Keeps a result in place of an earlier one. Raises StorageError."""
        path, result = self.path(page, selectors), as_json(found)
        whole = {**_place_of(path), "result_sha256": _hash_of(result), "result": result}
        data = json.dumps(whole, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
        write_atomic(path, gzip.compress(data, compresslevel=6, mtime=0))

    def kept(self, page_sha256: str) -> list[Extracted]:
        """Every result for a page that is whole, whatever it was extracted with. Raises StorageError."""
        return [found for path in files_below(self._folder(page_sha256)) if (found := _unpacked(path)) is not None]

    def remove(self, page_sha256: str) -> int:
        """Removes every result for a page; gives how many there were. Raises StorageError."""
        folder = self._folder(page_sha256)
        found = files_below(folder)
        for path in found:
            remove(path)
        remove_empty_folders(folder, up_to=self._root)
        return len(found)

    def damaged(self) -> Iterator[str]:
        """Paths of kept results that are not whole or not what their place says, sorted.

        Reads every one; raises StorageError. Symbolic links and temporary files are left out.
        """
        root = self._root / "texts"
        for prefix in names_in(root):
            for page in names_in(root / prefix):
                for name in names_in(root / prefix / page):
                    path = root / prefix / page / name
                    if name.endswith(_ENDING) and (prefix != page[:2] or _unpacked(path) is None):
                        yield str(path)

    def _folder(self, page_sha256: str) -> UPath:
        return self._root / "texts" / page_sha256[:2] / page_sha256


def _unpacked(path: UPath) -> Extracted | None:
    try:
        whole = json.loads(gzip.decompress(read_bytes(path)))
        result = whole["result"]
        if whole != {**_place_of(path), "result_sha256": _hash_of(result), "result": result}:
            return None
        return extracted_of(result)
    except (ArtifactError, OSError, EOFError, zlib.error, ValueError, TypeError, KeyError):
        return None


def _place_of(path: UPath) -> dict[str, str]:
    """What the place of a file says that it holds."""
    return {"page_sha256": path.parent.name, "fingerprint": path.name.removesuffix(_ENDING)}


def _hash_of(result: Any) -> str:
    return sha256(json.dumps(result, ensure_ascii=True, sort_keys=True).encode("ascii"))
