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

from enrich_assets.web.charset import decoded
from enrich_assets.web.sources.feed_bounds import cut, cut_broken
from enrich_assets.web.sources.xml_bounds import is_worth_mending

# Titles, names and dates are plain text in RSS; titles of Atom say themselves what they are.
_PLAIN_NAMES = "author managingeditor webmaster pubdate lastbuilddate guid link category creator"
_PLAIN = frozenset(_PLAIN_NAMES.split())
_ATOM = ("{http://www.w3.org/2005/Atom}", "{http://purl.org/atom/ns#}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_VERBATIM = re.compile(
    # One that is never closed takes the rest, so that nothing is searched for its end twice.
    r"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)"
    r"|&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)(?:(#?\w{1,40});)?",
    re.DOTALL,
)
_FEW_MARKS = 5
_MOST_MENDED = 200_000
"""Places that are mended; a document with more of them is read loosely."""
_EBCDIC = "<?xm".encode("cp037")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>", re.IGNORECASE)
_ROOT = re.compile(r"<(?![?!])[A-Za-z_][^\s>/]*")
_PREFIX = re.compile(r"</?([A-Za-z_][\w.-]*):[A-Za-z_]")
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
    """The document as a strict parser can read it, with its charset, within the bounds of `feed_bounds`.

    Where that is not reached, the beginning of the document as it came, in UTF-8. Raises TooMuch.
    """
    text = _text(body, charset)
    whole = text.encode("utf-8", "replace")
    if b"<!ENTITY" in whole:
        return cut_broken(whole), "utf-8"
    text = _CONTROL.sub("", _DECLARATION.sub("", text)).strip()
    tree = _tree(_with_prefixes(_VERBATIM.sub(_escaped, text, count=_MOST_MENDED)))
    if tree is None:
        return cut_broken(whole), "utf-8"
    from lxml.etree import tostring

    cut(tree)
    _made_plain(tree, is_rss=tree.tag.rpartition("}")[2].lower() in ("rss", "rdf"))
    _made_verbatim(tree)
    # The root alone: what a document type declares is not for the next parser.
    return tostring(tree, encoding="utf-8", xml_declaration=True), "utf-8"


def _text(body: bytes, charset: str) -> str:
    """The document as text (`web.charset`), EBCDIC included, which only feeds are written in."""
    if body.startswith(_EBCDIC):
        return body.decode("cp037", "replace")
    return decoded(body, charset)


def _escaped(match: re.Match[str]) -> str:
    whole, name = match.group(), match.group(1)
    if not whole.startswith("&"):
        return whole
    if name is None:
        return "&amp;" + whole[1:]
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
    bounds |= {"remove_comments": True, "remove_pis": True}
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
        if is_plain and name == "link" and (element.text or "").strip():
            for other in ("uri", "url"):
                element.attrib.pop(other, None)


def _made_verbatim(tree: Any) -> None:
    """Texts with markup as CDATA: expat hands every escaped letter on by itself, which takes longer than all else."""
    from lxml.etree import CDATA

    for element in tree.iter("*"):
        text = element.text or ""
        if text.count("<") + text.count("&") > _FEW_MARKS and "]]>" not in text and "\r" not in text:
            element.text = CDATA(text)


def _is_other_xml(type: str) -> bool:
    """Whether Atom content is XML that is neither XHTML nor text: it stands as it is (RFC 4287, 4.1.3.3)."""
    name = type.strip().lower()
    return name.endswith(("/xml", "+xml")) and name != "application/xhtml+xml"
