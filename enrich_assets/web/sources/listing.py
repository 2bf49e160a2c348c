"""A source that is a page with links to its articles."""

from __future__ import annotations

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Page
from enrich_assets.web.extract import is_html, parsed_html
from enrich_assets.web.patterns import matcher
from enrich_assets.web.sources.entry import Entry
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize, joined, on_same_site


def entries(source: Source, page: Page) -> list[Entry]:
    """The links of the page in its order, absolute, each once, with the text of the link as title.

    Those that `link_pattern` matches anywhere in the URL; without a pattern, those of the same site. Raises
    FinalError of kind `not_html` or `bad_link_pattern`.
    """
    matches = matcher(source.link_pattern)
    tree = parsed_html(page) if is_html(page) else None
    if tree is None:
        raise _failure(
            "not_html",
            source,
            f"the listing is {page.content_type or 'empty'}, not an HTML page.",
            "Use kind 'feed' for a feed, or the URL of a page with links.",
        )
    bases = tree.xpath("//base/@href")
    base = joined(page.final_url, bases[0]) if bases else page.final_url
    own = {canonicalize(page.url), canonicalize(page.final_url)}
    titles: dict[str, str] = {}
    urls: dict[str, str] = {}
    for link in tree.xpath("//a[@href]"):
        url = joined(base or page.final_url, link.get("href")).partition("#")[0]
        name = canonicalize(url)
        if not name.startswith(("http://", "https://")) or name in own:
            continue
        try:
            wanted = matches(url) if source.link_pattern else on_same_site(url, page.final_url)
        except TimeoutError:
            what = f"link_pattern {source.link_pattern!r} takes too long to match {url[:200]}."
            raise _failure("bad_link_pattern", source, what, "Correct link_pattern.") from None
        if not wanted:
            continue
        urls.setdefault(name, url)
        titles[name] = titles.get(name) or " ".join(link.text_content().split())
    return [Entry(url=url, title=titles[name]) for name, url in urls.items()]


def _failure(kind: str, source: Source, what: str, fix: str) -> FinalError:
    return FinalError(what, where=f"source {source.id} ({source.url})", fix=fix, kind=kind)
