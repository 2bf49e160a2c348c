"""How the demo site writes its articles: HTML pages, listings, and the three kinds of feed. Pure functions.

What is written belongs to `content`, answering requests to `site`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from html import escape
from xml.sax.saxutils import escape as escape_xml

from enrich_assets.graphs.intelligence.demo.content import Article, DemoSource

SUMMARY_WORDS = 30


@dataclass(frozen=True)
class FeedItem:
    """One entry of a feed."""

    url: str
    title: str
    author: str
    published: datetime
    summary: str
    html: str = ""
    """The whole text, where the feed carries it."""


def feed_item(article: Article, *, foreign: bool = False) -> FeedItem:
    """The entry of an article in its own feed, or in the feed of another source."""
    words = article.paragraphs[0].split()
    summary = " ".join(words[:SUMMARY_WORDS]) + (" …" if len(words) > SUMMARY_WORDS else "")
    html = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in article.paragraphs) if article.full_text else ""
    url = article.url if foreign else article.feed_link or article.url
    return FeedItem(url, article.title, article.author, article.published, summary, html)


def rss(source: DemoSource, items: Sequence[FeedItem]) -> str:
    """RSS 2.0 with the content and Dublin Core modules."""
    entries = []
    for item in items:
        full = f"<content:encoded>{escape_xml(item.html)}</content:encoded>" if item.html else ""
        entries.append(
            f"<item><title>{escape_xml(item.title)}</title><link>{escape_xml(item.url)}</link>"
            f'<guid isPermaLink="false">{escape_xml(item.url)}</guid><dc:creator>{escape_xml(item.author)}</dc:creator>'
            f"<pubDate>{format_datetime(item.published, usegmt=True)}</pubDate>"
            f"<description>{escape_xml(item.summary)}</description>{full}</item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>'
        f"<title>{escape_xml(source.name)}</title><link>{source.home}</link>"
        f"<description>{escape_xml(source.tagline)}</description>\n" + "\n".join(entries) + "</channel></rss>\n"
    )


def atom(source: DemoSource, items: Sequence[FeedItem]) -> str:
    """Atom 1.0 (RFC 4287)."""
    entries = [
        f"<entry><id>{escape_xml(item.url)}</id><title>{escape_xml(item.title)}</title>"
        f'<link rel="alternate" type="text/html" href="{escape(item.url)}"/>'
        f"<author><name>{escape_xml(item.author)}</name></author><published>{_iso(item.published)}</published>"
        f'<updated>{_iso(item.published)}</updated><summary type="text">{escape_xml(item.summary)}</summary></entry>'
        for item in items
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f'<id>{source.home}</id><title>{escape_xml(source.name)}</title><link rel="self" href="{source.feed}"/>'
        f"<updated>{_iso(max(item.published for item in items))}</updated>\n" + "\n".join(entries) + "</feed>\n"
    )


def json_feed(source: DemoSource, items: Sequence[FeedItem]) -> str:
    """JSON Feed 1.1 (jsonfeed.org)."""
    entries = [
        {
            "id": item.url,
            "url": item.url,
            "title": item.title,
            "authors": [{"name": item.author}],
            "date_published": _iso(item.published),
            "summary": item.summary,
            "content_text": item.summary,
        }
        for item in items
    ]
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": source.name,
        "home_page_url": source.home,
        "feed_url": source.feed,
        "items": entries,
    }
    return json.dumps(feed, ensure_ascii=False, indent=1)


def article_page(article: Article, known: Mapping[str, Article], related: Sequence[Article]) -> str:
    """An article as a page: navigation, byline, text with links in it, related links, footer."""
    targets = {name: known[name] for name in article.links_to if name in known}
    paragraphs = []
    for paragraph in article.paragraphs:
        html = escape(paragraph, quote=False)
        for name, target in list(targets.items()):
            linked = f'<a href="{target.url}">{escape(target.title, quote=False)}</a>'
            html, count = re.subn(rf"\b{re.escape(escape(target.title, quote=False))}\b", linked, html, count=1)
            if count:
                del targets[name]
        paragraphs.append(f"<p>{html}</p>")
    more = [(target.title, target.url) for target in targets.values()]
    more += [(link, link) for link in article.links_to if link.startswith(("http://", "https://"))]
    more += [(other.title, other.path) for other in related]
    moment = _iso(article.published)
    head = (
        f'<link rel="canonical" href="{article.url}"><meta name="author" content="{escape(article.author)}">'
        f'<meta property="og:title" content="{escape(article.title)}"><meta property="og:type" content="article">'
        f'<meta property="article:published_time" content="{moment}">'
    )
    byline = (
        f'<p class="byline">By <span class="author" rel="author">{escape(article.author)}</span> · '
        f'<time datetime="{moment}">{article.published:%d %B %Y, %H:%M} UTC</time></p>'
    )
    links = "".join(f'<li><a href="{escape(url)}">{escape(text)}</a></li>' for text, url in more)
    text = "\n".join(paragraphs)
    main = (
        f'<article class="post"><header><h1>{escape(article.title)}</h1>{byline}</header>\n'
        f'<div class="entry-content">\n{text}\n</div></article>\n'
        f'<aside class="related"><h2>Related</h2><ul>{links}</ul></aside>'
    )
    return _page(article.source, article.title, head, main, article.lang)


def listing_page(source: DemoSource, articles: Sequence[Article]) -> str:
    """The front page: the articles, between links that are no articles."""
    items = "\n".join(
        f'<li><a href="{article.path}">{escape(article.title)}</a> '
        f'<time datetime="{_iso(article.published)}">{article.published:%d %B %Y}</time></li>'
        for article in articles
    )
    pager = '<p class="pager"><a href="/archive/2026-09.html">Older</a></p>'
    return _page(source, source.name, "", f'<main><ul class="latest">\n{items}\n</ul>{pager}</main>', "en")


def plain_page(source: DemoSource, title: str) -> str:
    """A page of the site that is no article."""
    return _page(source, title, "", f"<main><h1>{escape(title)}</h1></main>", "en")


def gallery_page(title: str, pictures: int) -> str:
    """Pictures, and not a word of text beside the title."""
    images = "".join(f'<img src="/img/{number}.jpg" alt="" width="900">' for number in range(1, pictures + 1))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f'<body><div class="gallery">{images}</div></body></html>\n'
    )


def _page(source: DemoSource, title: str, head: str, main: str, lang: str) -> str:
    sections = "".join(f'<li><a href="/topics/{name.lower()}.html">{name}</a></li>' for name in source.sections)
    feed = f'<link rel="alternate" title="{escape(source.name)}" href="{source.feed}">' if source.feed else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f"<title>{escape(title)} | {escape(source.name)}</title>"
        f'<meta name="viewport" content="width=device-width"><meta property="og:site_name" content="{source.name}">'
        f"{feed}{head}<style>body{{font-family:serif;max-width:44rem;margin:auto}}</style></head>\n"
        f'<body><header class="site-header"><a class="brand" href="/">{escape(source.name)}</a>'
        f'<p class="tagline">{escape(source.tagline)}</p><nav class="menu"><ul>{sections}'
        f'<li><a href="/about.html">About</a></li></ul></nav></header>\n{main}\n'
        f'<footer class="site-footer"><p>© {escape(source.name)}. All characters, firms and events are invented.</p>'
        f'<ul><li><a href="/about.html">Imprint</a></li><li><a href="/privacy.html">Privacy</a></li></ul></footer>'
        f"</body></html>\n"
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
