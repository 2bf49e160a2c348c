"""A source that is a page with links to its articles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.extract import is_html, parsed_html
from enrich_assets.web.patterns import matcher
from enrich_assets.web.selectors import compiled
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize, joined, on_same_site


async def entries(source: Source, pages: Pages) -> Listing:
    """The links of the page in its order, absolute, each once, with the text of the link as title.

    Those that `link_css` selects and `link_pattern` matches anywhere in the URL; without either, those of the same
    site. Raises CallError, and FinalError of kind `not_html` or `bad_link_pattern`.
    """
    page = await pages.get(source.url)
    return await asyncio.to_thread(listing_of, source, page)


def listing_of(source: Source, page: Page) -> Listing:
    """What the listing in `page` has links to; raises FinalError as `entries` does."""
    tree = parsed_html(page) if is_html(page) else None
    if tree is None:
        raise source_error(
            source,
            "not_html",
            f"the listing is {page.content_type or 'empty'}, not an HTML page.",
            "Use kind 'feed' for a feed, or the URL of a page with links.",
        )
    is_wanted = wanted_links(source, page.final_url)
    bases = tree.xpath("//base/@href")
    base = joined(page.final_url, bases[0]) if bases else page.final_url
    own = {canonicalize(page.url), canonicalize(page.final_url)}
    titles: dict[str, str] = {}
    urls: dict[str, str] = {}
    for element in compiled(source.link_css)(tree) if source.link_css else tree.xpath("//a[@href]"):
        # A selector may mean the link, what stands in it, or what holds it.
        links = element.xpath("ancestor-or-self::a[@href][1]") or element.xpath("descendant::a[@href]")
        for link in links:
            url = joined(base or page.final_url, link.get("href")).partition("#")[0]
            name = canonicalize(url)
            if not name.startswith(("http://", "https://")) or name in own or not is_wanted(url):
                continue
            urls.setdefault(name, url)
            titles[name] = titles.get(name) or " ".join(link.text_content().split())
    title = " ".join("".join(tree.xpath("//head/title[1]//text()")).split())
    warnings = () if urls else ("the page has no link that the source's rules choose.",)
    found = tuple(Entry(url=url, title=titles[name]) for name, url in urls.items())
    return Listing(found, (page,), title=title, warnings=warnings)


def wanted_links(source: Source, base: str) -> Callable[[str], bool]:
    """Says of a URL whether the source's rules choose it: its pattern, else that it is of the same site.

    With `link_css` alone every link that it selects is chosen. The function raises FinalError of kind
    `bad_link_pattern` when the pattern takes too long.
    """
    if not source.link_pattern:
        return (lambda url: True) if source.link_css else (lambda url: on_same_site(url, base))
    matches = matcher(source.link_pattern)

    def is_wanted(url: str) -> bool:
        try:
            return matches(url)
        except TimeoutError:
            what = f"link_pattern {source.link_pattern!r} takes too long to match {url[:200]}."
            raise source_error(source, "bad_link_pattern", what, "Correct link_pattern.") from None

    return is_wanted
