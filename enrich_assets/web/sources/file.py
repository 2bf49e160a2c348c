"""A source that is one local file."""

from __future__ import annotations

import asyncio

from enrich_assets.engine.clients import Pages
from enrich_assets.web.sources.entry import Listing
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.local_files import TYPES, entry_of, read_within, root_of
from enrich_assets.web.sources.source import Source


async def entries(source: Source, pages: Pages) -> Listing:
    """The file as its only entry; raises FinalError (not_local, not_found, not_text, too_large, unreadable)."""
    path = await asyncio.to_thread(root_of, source)
    if path.suffix.lower() not in TYPES:
        known = ", ".join(sorted(TYPES))
        raise source_error(source, "not_text", f"{path.name} is of no kind that is read ({known}).", "Convert it.")
    body, changed_at = await asyncio.to_thread(read_within, source, path, path)
    entry = await entry_of(source, path, body, changed_at, pages)
    return Listing((entry,), (entry.page,) if entry.page else ())
