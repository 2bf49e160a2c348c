"""Mends what feeds commonly break, so that a strict parser reads them: the loose one loses more.

Mended: characters that XML forbids, bare ampersands, names of HTML characters, prefixes that nobody declared, markup
that stands unescaped in elements of plain text, an end tag that closes nothing. A document that stays ill-formed is
handed on as it came, and read loosely.
"""

from __future__ import annotations

import html.entities
import re
from typing import Any
from xml.sax.saxutils import escape

from enrich_assets.web.sources.xml_bounds import is_worth_mending

MOST_ITEMS = 1000
"""Items of a feed that are read, the first ones: feeds put the newest first."""
# Titles, names and dates are plain text in RSS; titles of Atom say themselves what they are.
_PLAIN_NAMES = "author managingeditor webmaster pubdate lastbuilddate guid link category creator"
_PEOPLE = frozenset(["author", "creator", "managingeditor", "webmaster"])
LONGEST_NAME = 1000
"""Characters of a line that names a person; feedparser looks for addresses in it, in quadratic time."""
_PLAIN = frozenset(_PLAIN_NAMES.split())
_ATOM = ("{http://www.w3.org/2005/Atom}", "{http://purl.org/atom/ns#}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_VERBATIM = re.compile(
    # One that is never closed takes the rest, so that nothing is searched for its end twice.
    r"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)|&(?:(#?\w{1,40});)?",
    re.DOTALL,
)
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>", re.IGNORECASE)
_ROOT = re.compile(r"<(?![?!])[A-Za-z_][^\s>/]*")
_PREFIX = re.compile(r"</?([A-Za-z_][\w.-]*):[A-Za-z_]")
_XML_NAMES = frozenset(["amp", "lt", "gt", "quot", "apos"])
_NAMESPACES = {
    "atom": "http://www.w3.org/2005/Atom",
    "atom10": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "itunes": "http://www.itunes.com/DTDs/PodCast-1.0.dtd",
    "media": "http://search.yahoo.com/mrss/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "sy": "http://purl.org/rss/1.0/modules/syndication/",
    "wfw": "http://wellformedweb.org/CommentAPI/",
}
"""What prefixes mean that feeds use, also those that forgot to say it."""


def mended(body: bytes, charset: str) -> tuple[bytes, str]:
    """The document as a strict parser can read it, with its charset; `body` and `charset` where that is not reached."""
    from feedparser.encodings import convert_to_utf8

    if b"<!ENTITY" in body.replace(b"\x00", b""):
        return body, charset
    stated = f"; charset={charset}" if charset else ""
    found: dict[str, Any] = {"bozo": False}
    text = convert_to_utf8({"content-type": f"application/xml{stated}"}, body, found).decode("utf-8", "replace")
    if not found.get("encoding"):
        return body, charset
    text = _with_prefixes(_VERBATIM.sub(_escaped, _CONTROL.sub("", _DECLARATION.sub("", text)).strip()))
    tree = _tree(text)
    if tree is None:
        return body, charset
    from lxml.etree import tostring

    _cut(tree)
    _made_plain(tree, is_rss=tree.tag.rpartition("}")[2].lower() in ("rss", "rdf"))
    return tostring(tree.getroottree(), encoding="utf-8", xml_declaration=True), "utf-8"


def _escaped(match: re.Match[str]) -> str:
    whole, name = match.group(), match.group(1)
    if not whole.startswith("&"):
        return whole
    if name is None:
        return "&amp;" + whole[1:]
    if name in _XML_NAMES or re.fullmatch(r"#\d{1,7}|#x[0-9A-Fa-f]{1,6}", name):
        return whole
    letters = html.entities.html5.get(f"{name};")
    return "".join(f"&#{ord(letter)};" for letter in letters) if letters else "&amp;" + whole[1:]


def _with_prefixes(text: str) -> str:
    used = set(_PREFIX.findall(text)) & set(_NAMESPACES)
    missing = sorted(prefix for prefix in used if f"xmlns:{prefix}" not in text)
    if not missing:
        return text
    declared = "".join(f' xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in missing)
    return _ROOT.sub(lambda match: match.group() + declared, text, count=1)


def _tree(text: str) -> Any:
    """The document as an lxml tree, or None; one wrong end tag is taken for the one that is due."""
    from lxml.etree import ErrorTypes, XMLParser, XMLSyntaxError, fromstring

    bounds: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
    data = text.encode("utf-8", "replace")
    try:
        return fromstring(data, XMLParser(encoding="utf-8", **bounds))
    except XMLSyntaxError:
        pass
    if not is_worth_mending(data):
        return None
    parser = XMLParser(encoding="utf-8", recover=True, **bounds)
    try:
        tree = fromstring(data, parser)
    except XMLSyntaxError:
        return None
    errors = [entry.type for entry in parser.error_log]
    return tree if tree is not None and errors == [ErrorTypes.ERR_TAG_NAME_MISMATCH] else None


def _cut(tree: Any) -> None:
    items = [one for one in tree.iter() if isinstance(one.tag, str) and one.tag.rpartition("}")[2] in ("item", "entry")]
    for item in items[MOST_ITEMS:]:
        if item.getparent() is not None:
            item.getparent().remove(item)


def _made_plain(tree: Any, *, is_rss: bool) -> None:
    from lxml.etree import tostring

    for element in list(tree.iter()):
        if not isinstance(element.tag, str):
            continue
        name = element.tag.rpartition("}")[2].lower()
        if name == "owner" and element.getparent() is not None and "itunes.com" in element.tag.lower():
            # feedparser writes the owner's name over the author's.
            element.getparent().remove(element)
            continue
        is_plain = is_rss and name in _PLAIN and not element.tag.startswith(_ATOM)
        is_source = not is_rss and name == "content" and _is_other_xml(element.get("type", ""))
        has_markup = len(element) and not any("}" in str(child.tag) for child in element)
        if is_source or (is_plain and has_markup):
            inner = escape(element.text or "") if is_source else element.text or ""
            inner += "".join(tostring(child, encoding="unicode") for child in element)
            for child in list(element):
                element.remove(child)
            element.text = inner
        if is_plain and name in _PEOPLE and len(element.text or "") > LONGEST_NAME:
            element.text = (element.text or "")[:LONGEST_NAME]
        if is_plain and name == "link" and (element.text or "").strip():
            for other in ("uri", "url"):
                element.attrib.pop(other, None)


def _is_other_xml(type: str) -> bool:
    """Whether Atom content is XML that is neither XHTML nor text: it stands as it is (RFC 4287, 4.1.3.3)."""
    name = type.strip().lower()
    return name.endswith(("/xml", "+xml")) and name != "application/xhtml+xml"
