"""What kind of source a URL or a path is, found by looking: for people who add one."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.extract import parsed_html
from enrich_assets.web.markup import one_line
from enrich_assets.web.sources import entries, site
from enrich_assets.web.sources.checking import kind_of
from enrich_assets.web.sources.entry import Listing
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import registered_domain

_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[^\s/\\]+\.[^\s/\\.]+(?:/|\Z)")


@dataclass(frozen=True)
class Found:
    """A source that a look made out, what it lists, and how it was found."""

    source: Source
    listing: Listing
    why: str


async def probed(address: str, pages: Pages, kind: str = "") -> Found:
    """The source that stands behind a URL or a path, its id and name made of what it calls itself.

    Of the `kind` that is asked for, where one is. Else a feed or sitemap as it stands; an article by what its markup
    says of it; of another page the feed that it names; of a home page also the feed or sitemap that its site has; else
    a listing. Raises CallError.
    """
    local = _local(address)
    if kind:
        return await _of_kind(kind, address, local, pages)
    if local is not None:
        return await _as_it_stands(local, pages, f"is a local {local.kind}")
    if not _ADDRESS.match(address):
        raise FinalError(
            "is neither a URL nor a path.", where=address[:300], fix="Write the whole address.", kind="bad_url"
        )
    url = _with_scheme(address)
    source = _named(url, "feed", registered_domain(url) or "source")
    page = await pages.get(url)
    kind = await asyncio.to_thread(kind_of, source, page)
    if kind in ("feed", "sitemap"):
        return await _as_it_stands(source.model_copy(update={"kind": kind}), pages, f"is a {kind}")
    if kind != "page":
        raise FinalError(
            f"the document is {page.content_type or 'of an unknown type'}, which no kind of source reads.",
            where=url[:300],
            fix="Give the URL of a feed, a sitemap or a page.",
            kind="not_a_source",
        )
    if await asyncio.to_thread(_is_article, page):
        return await _as_it_stands(source.model_copy(update={"kind": "page"}), pages, "is an article")
    if not _is_home(page.final_url) and not await asyncio.to_thread(site.advertised, page):
        # What stands at the common places is the site's, and this page is a part of it.
        return await _as_it_stands(source.model_copy(update={"kind": "listing"}), pages, "is a page without a feed")
    try:
        candidate, listing = await site.discovered(source.model_copy(update={"kind": "site"}), pages)
    except FinalError as error:
        if error.kind != "no_feed_found":
            raise
        return await _as_it_stands(source.model_copy(update={"kind": "listing"}), pages, "is a page without a feed")
    assert candidate is not None  # the page itself is no feed
    found = source.model_copy(update={"kind": candidate.kind, "url": candidate.url})
    return _with_title(
        Found(found, replace(listing, taken=""), f"is a page whose site has this {candidate.kind}, {candidate.why}")
    )


async def _of_kind(kind: str, address: str, local: Source | None, pages: Pages) -> Found:
    url = _with_scheme(address)
    source = local or _named(url, kind, registered_domain(url) or "source")
    return await _as_it_stands(source.model_copy(update={"kind": kind}), pages, f"is read as {kind}")


def _with_scheme(address: str) -> str:
    return address if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", address) else f"https://{address}"


def _is_home(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query


async def _as_it_stands(source: Source, pages: Pages, why: str) -> Found:
    return _with_title(Found(source, await entries(source, pages), why))


def _local(address: str) -> Source | None:
    path = Path(address.removeprefix("file://")).expanduser()
    is_path = address.startswith("file:") or not address.startswith(("http:", "https:"))
    if not is_path or not (address.startswith("file:") or path.exists()):
        return None
    path = path.resolve()  # runs may start in another folder
    return _named(str(path), "folder" if path.is_dir() else "file", path.stem)


def _with_title(found: Found) -> Found:
    title = one_line(found.listing.title)[:100]
    if not title:
        return found
    return replace(found, source=found.source.model_copy(update={"name": title, "id": _slug(title) or found.source.id}))


def _named(url: str, kind: str, name: str) -> Source:
    return Source(id=_slug(name) or "source", name=name, url=url, kind=kind)


def _slug(text: str) -> str:
    return _NO_LETTERS.sub("_", text.lower()).strip("_")[:40].strip("_")


def _is_article(page: Page) -> bool:
    tree = parsed_html(page)
    stated = tree.xpath("//meta[@property='og:type']/@content") if tree is not None else []
    return any(str(one).strip().lower() == "article" for one in stated)


def unique_id(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with the first number that makes it another one than those taken."""
    numbered = (f"{wanted}_{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(one for one in numbered if one not in taken)
