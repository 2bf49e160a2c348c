"""Sources: what a feed, a listing or a page has to offer. One kind a file, and one line here for each.

Fetching the entries' pages belongs to the phase that asks.
"""

from __future__ import annotations

from collections.abc import Callable

from enrich_assets.engine.clients import Page
from enrich_assets.web.sources import feed, listing, page
from enrich_assets.web.sources.entry import Entry
from enrich_assets.web.sources.source import Source

__all__ = ["KINDS", "Entry", "entries"]

KINDS: dict[str, Callable[[Source, Page], list[Entry]]] = {
    "feed": feed.entries,
    "listing": listing.entries,
    "page": page.entries,
}


def entries(source: Source, page: Page) -> list[Entry]:
    """What the fetched document of `source` lists: at most `source.max_items`, the newest, in the document's order.

    Raises FinalError (kinds not_a_feed, xml_bomb, not_html, bad_link_pattern) when it lists nothing that can be read.
    """
    found = KINDS[source.kind](source, page)
    if len(found) <= source.max_items:
        return found
    # Undated entries stand as the document has them: feeds and listings put the newest first.
    oldest = min((entry.published_at for entry in found if entry.published_at), default=page.fetched_at)
    order = sorted(found, key=lambda entry: entry.published_at or oldest, reverse=True)
    newest = {id(entry) for entry in order[: source.max_items]}
    return [entry for entry in found if id(entry) in newest]
