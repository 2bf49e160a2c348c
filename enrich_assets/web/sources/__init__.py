"""Sources: what a feed, a sitemap, a listing, a site, a page or a folder has to offer. One kind a file.

Which kinds there are belongs to `kind`, what the settings say of a source to `source`. Fetching the entries' pages
belongs to the phase that asks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from enrich_assets.engine.clients import Pages
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.kind import kind_named

if TYPE_CHECKING:
    from enrich_assets.web.sources.source import Source

__all__ = ["Entry", "Listing", "entries", "newest"]

_UNDATED = datetime(9999, 1, 1, tzinfo=UTC)


async def entries(source: Source, pages: Pages) -> Listing:
    """What `source` lists: at most `source.max_items` entries, the newest, in the source's order.

    Raises CallError; FinalError (kinds not_a_feed, not_a_sitemap, not_html, no_feed_found, xml_bomb, external_entity,
    bad_link_pattern, not_local …) when it lists nothing that can be read.
    """
    listing = await kind_named(source.kind)(source, pages)
    return replace(listing, entries=newest(listing.entries, source.max_items))


def newest(found: tuple[Entry, ...], limit: int) -> tuple[Entry, ...]:
    """At most `limit` entries, the newest, in their order.

    Undated entries stand as the source has them: feeds and listings put the newest first.
    """
    if len(found) <= limit:
        return found
    dates = [entry.published_at or entry.updated_at for entry in found]
    oldest = min(filter(None, dates), default=_UNDATED)
    order = sorted(range(len(found)), key=lambda index: dates[index] or oldest, reverse=True)
    return tuple(found[index] for index in sorted(order[:limit]))
