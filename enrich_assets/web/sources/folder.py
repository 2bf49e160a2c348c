"""A source that is a folder of local files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Pages
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.listing import wanted_links
from enrich_assets.web.sources.local_files import TYPES, entry_of, read_within, root_of
from enrich_assets.web.sources.source import Source

MOST_FILES = 10_000
"""Files of a folder that are looked at."""
DEEPEST = 8
"""Folders within each other."""


async def entries(source: Source, pages: Pages) -> Listing:
    """The newest files below a folder, by the time of their change, hidden ones left out.

    `link_pattern` chooses among their paths, relative to the folder. A symbolic link that leads out of the folder is
    refused with a warning. Raises FinalError (not_local, not_found, not_a_folder, bad_link_pattern).
    """
    root = await asyncio.to_thread(root_of, source)
    if not root.is_dir():
        raise source_error(source, "not_a_folder", "is no folder.", "Use kind 'file' for one file.")
    is_wanted = wanted_links(source, "") if source.link_pattern else None
    paths, warnings = await asyncio.to_thread(_newest_files, source, root, is_wanted)
    found: list[Entry] = []
    for path in paths:
        if len(found) >= source.max_items:
            break
        try:
            body, changed_at = await asyncio.to_thread(read_within, source, path, root)
            found.append(await entry_of(source, path, body, changed_at, pages))
        except FinalError as error:
            warnings.append(error.what)
    if not found:
        warnings.append(f"no file of the kinds that are read ({', '.join(sorted(TYPES))}) is chosen.")
    documents = tuple(entry.page for entry in found if entry.page is not None)
    return Listing(tuple(found), documents, title=root.name, warnings=tuple(warnings))


def _newest_files(source: Source, root: Path, is_wanted: Callable[[str], bool] | None) -> tuple[list[Path], list[str]]:
    found: list[tuple[float, str, Path]] = []
    warnings: list[str] = []
    seen = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
        for name in sorted(names):
            path = here / name
            if name.startswith(".") or path.suffix.lower() not in TYPES:
                continue
            seen += 1
            if seen > MOST_FILES:
                warnings.append(f"only {MOST_FILES:,} of its files are looked at.")
                break
            relative = path.relative_to(root).as_posix()
            if is_wanted is None or is_wanted(relative):
                try:
                    found.append((-path.stat().st_mtime, relative, path))
                except OSError as error:
                    warnings.append(f"{relative} cannot be read: {error.strerror}.")
        if seen > MOST_FILES:
            break
    return [path for _, _, path in sorted(found)], warnings
