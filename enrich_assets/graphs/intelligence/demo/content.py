"""What the demo site publishes: its sources and its articles, read from the files beside this module.

No markup and no server here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from enrich_assets.core.errors import UserError

ARTICLES = Path(__file__).parent / "articles"

SourceKind = Literal["rss", "atom", "json", "listing", "down"]


@dataclass(frozen=True)
class DemoSource:
    """One fictional publication."""

    id: str
    name: str
    kind: SourceKind
    tagline: str
    sections: tuple[str, ...]
    """What its navigation lists."""

    @property
    def host(self) -> str:
        """Its name on the reserved top-level domain `.example` (RFC 2606)."""
        return f"{self.id.replace('_', '-')}.example"

    @property
    def home(self) -> str:
        """The URL of its front page, which is its listing."""
        return f"http://{self.host}/"

    @property
    def feed(self) -> str:
        """The URL of its feed, empty for a source that has only a listing."""
        return {"listing": "", "json": f"{self.home}feed.json"}.get(self.kind, f"{self.home}feed")


SOURCES: dict[str, DemoSource] = {
    source.id: source
    for source in (
        DemoSource("harbor_ledger", "The Harbor Ledger", "rss", "Business and its machines", ("Markets", "Companies")),
        DemoSource("signal_review", "Signal Review", "atom", "Research, read closely", ("Papers", "Methods")),
        DemoSource("open_circuit", "Open Circuit", "json", "Silicon with the lid off", ("Chips", "Teardowns", "Fabs")),
        DemoSource("policy_desk", "Policy Desk", "rss", "Rules for a thinking economy", ("Brussels", "Courts")),
        DemoSource("field_notes", "Field Notes", "listing", "From the shop floor", ("Plants", "Warehouses", "Ports")),
        DemoSource("vendor_wire", "Vendor Wire", "atom", "What was announced", ("Software", "Hardware")),
        DemoSource("health_current", "Health Current", "rss", "Medicine in practice", ("Clinics", "Studies")),
        DemoSource("company_atlas", "Company Atlas", "listing", "Profiles for reference", ("Companies", "People")),
        DemoSource("quiet_mirror", "Quiet Mirror", "down", "", ()),
    )
}


@dataclass(frozen=True)
class Article:
    """One article as its author wrote it."""

    source: DemoSource
    slug: str
    title: str
    author: str
    published: datetime
    lang: str
    paragraphs: tuple[str, ...]
    case: str = ""
    """Why it was planted: the reason for which a phase should drop it. Empty for an ordinary article."""
    links_to: tuple[str, ...] = ()
    """Articles that it links to, `<source_id>/<slug>`, or URLs."""
    also_in: str = ""
    """Another source whose feed lists this article's URL too."""
    feed_link: str = ""
    """The URL by which its own feed lists it, where that is not its own URL."""
    full_text: bool = False
    """Whether an RSS feed carries the whole text."""

    @property
    def name(self) -> str:
        """`<source_id>/<slug>`, the name by which other articles refer to it."""
        return f"{self.source.id}/{self.slug}"

    @property
    def path(self) -> str:
        """The path of its page."""
        return f"/articles/{self.slug}.html"

    @property
    def url(self) -> str:
        """The URL of its page."""
        return f"http://{self.source.host}{self.path}"

    @property
    def text(self) -> str:
        """Its paragraphs, separated by blank lines."""
        return "\n\n".join(self.paragraphs)


def read_articles(folder: Path = ARTICLES) -> list[Article]:
    """All articles below a folder, the newest first. Raises UserError for a file that is not written as they are."""
    files = {f"{file.parent.name}/{file.stem}": file for file in sorted(folder.glob("*/*.md"))}
    articles = []
    for name, file in files.items():
        front, body = _parts(file)
        original = str(front.get("copy_of", ""))
        if original:
            if original not in files:
                raise _unusable(file, f"it copies {original!r}, which does not exist")
            body = _parts(files[original])[1]
        articles.append(_article(file, name, front, body))
    return sorted(articles, key=lambda article: (article.published, article.name), reverse=True)


def _parts(file: Path) -> tuple[dict[str, Any], str]:
    text = file.read_text(encoding="utf-8")
    pieces = text.split("---\n", 2)
    if len(pieces) != 3 or pieces[0].strip():
        raise _unusable(file, "it does not begin with YAML front matter between two lines of three hyphens")
    try:
        front = yaml.safe_load(pieces[1])
    except yaml.YAMLError as error:
        raise _unusable(file, f"its front matter is no YAML ({error})") from None
    if not isinstance(front, dict):
        raise _unusable(file, "its front matter is no mapping")
    return front, pieces[2]


def _article(file: Path, name: str, front: dict[str, Any], body: str) -> Article:
    source_id, slug = name.split("/")
    if source_id not in SOURCES or not {"title", "published"} <= front.keys():
        raise _unusable(file, "its folder names no source of the demo, or it lacks a title or published")
    moment = front["published"]
    if not isinstance(moment, datetime):
        moment = datetime.fromisoformat(str(moment))
    links = front.get("links_to") or []
    return Article(
        source=SOURCES[source_id],
        slug=slug,
        title=str(front["title"]),
        author=str(front.get("author") or ""),
        published=moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC),
        lang=str(front.get("lang", "en")),
        paragraphs=tuple(" ".join(block.split()) for block in body.split("\n\n") if block.strip()),
        case=str(front.get("case") or ""),
        links_to=tuple(str(link) for link in ([links] if isinstance(links, str) else links)),
        also_in=str(front.get("also_in") or ""),
        feed_link=str(front.get("feed_link") or ""),
        full_text=bool(front.get("full_text", False)),
    )


def _unusable(file: Path, what: str) -> UserError:
    return UserError(
        f"this demo article cannot be used: {what}.", where=str(file), fix="Write it like the articles beside it."
    )
