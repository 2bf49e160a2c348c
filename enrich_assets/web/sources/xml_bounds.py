"""Which XML is read at all: no entities from outside, none that expand without measure.

Declared entities of a harmless size are read. Document types are never fetched, whatever this lets pass.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

MOST_ENTITY_BYTES = 1_000_000
_USE = re.compile(rb"[&%]([^\s;&%]{1,200});")
_ENTITY = re.compile(rb"<!ENTITY\s+(?:%\s+)?([^\s\"'>]+)\s+(?:\"([^\"]*)\"|'([^']*)')")
_OUTSIDE = re.compile(rb"<!ENTITY\s+(?:%\s+)?[^\s\"'>]+\s+(?:SYSTEM|PUBLIC)\b")
_DEEPEST = 20
MOST_LEVELS = 10_000
"""Elements within each other: parsers take time and memory for each."""
_TAG = re.compile(
    rb"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)|<(/?)([A-Za-z_][^\s/<>]{0,100})[^<>]{0,10000}?(/?)>", re.DOTALL
)
MOST_ATTRIBUTES = 250
"""Of one element; parsers compare each with all the others."""
_LONG_TAG = re.compile(rb"<[A-Za-z_][^\s/<>]{0,100}+(?=[^<]{1000})(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+>")
_QUOTED = re.compile(rb"\s*=\s*(?:\"[^\"]*+\"|'[^']*+')")
MOST_PREFIXES = 200
"""Of namespaces in one document; parsers go through all of them for every element."""
_PREFIX = re.compile(rb"\sxmlns:([^\s=]{1,100})\s*=")
_VERBATIM = re.compile(rb"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)", re.DOTALL)
MOST_STRAY = 1000
_STRAY = re.compile(rb"<(?![A-Za-z_/!?])")
_VOID = frozenset([b"br", b"hr", b"img", b"input", b"link", b"meta", b"wbr"])
"""Elements of HTML that are not closed."""


def danger_in(body: bytes) -> tuple[Literal["xml_bomb", "external_entity"], str] | None:
    """Kind and description of what makes `body` dangerous to read as XML, or None.

    xml_bomb: declared entities that expand to more than a megabyte, or into themselves. external_entity: an entity
    that stands in another document. Too many levels of elements, attributes or namespaces are an xml_bomb as well.
    """
    flat = body.replace(b"\x00", b"")  # UTF-16 and UTF-32 reduced to their ASCII
    if flat.count(b"<") > MOST_LEVELS and _is_too_deep(flat):
        return "xml_bomb", f"the document has elements within each other, more than {MOST_LEVELS:,} levels of them."
    marked = _VERBATIM.sub(b"", flat)
    if b"<!ATTLIST" in marked:
        return "xml_bomb", "the document declares attributes for all elements of a name."
    if any(_attributes(tag.group()) > MOST_ATTRIBUTES for tag in _LONG_TAG.finditer(marked)):
        return "xml_bomb", f"the document has an element with more than {MOST_ATTRIBUTES} attributes."
    if len(set(_PREFIX.findall(flat))) > MOST_PREFIXES:
        return "xml_bomb", f"the document has more than {MOST_PREFIXES} namespaces."
    if b"<!ENTITY" not in flat:
        return None
    if _OUTSIDE.search(flat):
        return "external_entity", "the document takes an entity from another document, which is never read."
    declared = {name: double or single for name, double, single in _ENTITY.findall(flat)}
    sizes: dict[bytes, int] = {}
    expanded = sum(count * _expanded(name, declared, sizes, 0) for name, count in Counter(_USE.findall(flat)).items())
    if expanded > MOST_ENTITY_BYTES:
        return "xml_bomb", "the document declares entities that expand to more than a megabyte."
    return None


def is_worth_mending(body: bytes) -> bool:
    """Whether a parser that recovers may be tried: it needs time for every error, and for all of them together."""
    return len(_STRAY.findall(body)) <= MOST_STRAY


def _attributes(tag: bytes) -> int:
    return len(_QUOTED.findall(tag))


def _is_too_deep(body: bytes) -> bool:
    depth = 0
    for closing, name, alone in _TAG.findall(body):
        if name and not alone and (name not in _VOID or closing):
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > MOST_LEVELS:
                return True
    return False


def _expanded(name: bytes, declared: dict[bytes, bytes], sizes: dict[bytes, int], depth: int) -> int:
    """Bytes that one use of an entity becomes; more than is allowed for one that never ends."""
    if name not in declared:
        return 0
    if depth > _DEEPEST:
        return MOST_ENTITY_BYTES + 1
    if name not in sizes:
        value = declared[name]
        inner = sum(_expanded(used, declared, sizes, depth + 1) for used in _USE.findall(value))
        sizes[name] = min(len(value) + inner, MOST_ENTITY_BYTES + 1)
    return sizes[name]
