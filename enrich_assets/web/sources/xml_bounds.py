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


def danger_in(body: bytes) -> tuple[Literal["xml_bomb", "external_entity"], str] | None:
    """Kind and description of what makes `body` dangerous to read as XML, or None.

    xml_bomb: declared entities that expand to more than a megabyte, or into themselves. external_entity: an entity
    that stands in another document.
    """
    flat = body.replace(b"\x00", b"")  # UTF-16 and UTF-32 reduced to their ASCII
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
