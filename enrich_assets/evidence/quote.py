"""Quotes: where one stands in a text, and whether it names what it is about. Pure text work; no page, no model.

A quote is only ever shown as the slice of the original text that `locate` found, so that what people read is what
the page says, character by character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_SAME = {
    **dict.fromkeys("‘’‚‛′´`ʼ", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
# Scripts written without spaces: a name may stand there with letters on both sides.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_WRAPPING = " \t\r\n\"'“”‘’„«»…"


@dataclass(frozen=True)
class Span:
    """A slice of a text: offsets in characters, `text[start:end] == quote`."""

    start: int
    end: int
    quote: str


def locate(quote: str, text: str) -> Span | None:
    """Where `quote` stands in `text`; None when it does not stand there.

    First as it is, then with white space, quotation marks, dashes, invisible characters and composed letters
    (Unicode NFC) made equal; case always counts. Quotation marks around the quote, and dots that mark where it was
    cut, are not part of it. The offsets are those of the original text.
    """
    quote = quote.strip()
    if not any(c.isalnum() for c in quote):
        return None
    for candidate in dict.fromkeys((quote, quote.strip(_WRAPPING).removesuffix("...").strip(_WRAPPING))):
        start = text.find(candidate)
        if candidate and start >= 0:
            return Span(start, start + len(candidate), candidate)
        found = _locate_normalised(candidate, text)
        if found is not None:
            return found
    return None


def normalised(text: str) -> str:
    """`text` with white space, quotation marks, dashes, invisible characters and composed letters made equal."""
    return _mapped(text)[0]


def names_entity(quote: str, name: str) -> bool:
    """Whether `quote` names `name` as a whole.

    "NVIDIA" names "Nvidia", but "apple" does not name "Apple", "Claude 3.5" not "Claude 3", "Anvils" not "Anvil".
    """
    wanted = normalised(name)
    if not any(c.isalnum() for c in wanted):
        return False
    for match in _name_pattern(wanted).finditer(normalised(quote)):
        if match.group()[0].isupper() or not wanted[0].isupper():
            return True
    return False


def tells_about(quote: str, name: str) -> bool:
    """Whether `quote` names `name` and says anything besides: three further words, or six characters unspaced."""
    if not names_entity(quote, name):
        return False
    rest = _name_pattern(normalised(name)).sub(" ", normalised(quote))
    return len(re.findall(r"\w+", rest)) >= 3 or len(_UNSPACED.findall(rest)) >= 6


@lru_cache(maxsize=4096)
def _name_pattern(wanted: str) -> re.Pattern[str]:
    if _UNSPACED.search(wanted):
        return re.compile(re.escape(wanted))
    # A version number that goes on ("3.5", "-30") makes another name.
    return re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w|[-.]\d)", re.IGNORECASE)


def _locate_normalised(quote: str, text: str) -> Span | None:
    wanted = normalised(quote)
    if not wanted:
        return None
    whole, starts, ends = _mapped(text)
    at = whole.find(wanted)
    if at < 0:
        return None
    start, end = starts[at], ends[at + len(wanted) - 1]
    return Span(start, end, text[start:end])


@lru_cache(maxsize=64)
def _mapped(text: str) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Normalised text, and for each of its characters where the original one starts and ends."""
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        cluster = unicodedata.normalize("NFC", text[start:end])
        if cluster in _INVISIBLE:
            continue
        if cluster.isspace():
            if not out or out[-1] == " ":
                continue
            cluster = " "
        for character in _SAME.get(cluster, cluster):
            out.append(character)
            starts.append(start)
            ends.append(end)
    if out and out[-1] == " ":
        out.pop()
        starts.pop()
        ends.pop()
    return "".join(out), tuple(starts), tuple(ends)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Offsets of each letter together with the marks that combine with it."""
    if text.isascii():
        yield from ((i, i + 1) for i in range(len(text)))
        return
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or not unicodedata.combining(text[i]):
            yield start, i
            start = i
