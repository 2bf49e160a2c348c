"""Scripts that put no space between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese. How long a text is, and its
pieces, where white space does not tell.

Texts in other scripts get what white space and `\\w` give, so that what is stored of them stays equal.
"""

from __future__ import annotations

import re

_EAST = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003134f"
)
_THAI_LAO = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"
_SOUTH = _THAI_LAO + "\u1000-\u1049\u1050-\u109f\u1780-\u17d3\ua9e0-\ua9fe\uaa60-\uaa7f"
UNSPACED = _EAST + _SOUTH
"""The characters of these scripts, for use within the brackets of a regular expression."""
_EAST_WORD, _SOUTH_WORD = 2, 5
"""Characters of an average word: two in Chinese and Japanese, five in Thai, Lao, Khmer and Burmese."""
_GRAM, _SOUTH_GRAM = 2, 3

_ANY = re.compile(f"[{UNSPACED}]")
_RUN = re.compile(f"[{UNSPACED}]+")
_SOUTHERN = re.compile(f"[{_SOUTH}]")
_PIECE = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def has_unspaced(text: str) -> bool:
    """Whether any character of these scripts is in the text."""
    return _ANY.search(text) is not None


def is_unspaced(text: str) -> bool:
    """Whether most of the text is in these scripts; a character of them counts as three of others."""
    size = len(_ANY.findall(text))
    return size > 0 and 4 * size > len(text) - text.count(" ")


def word_count(text: str) -> int:
    """Words of a text: what white space parts, and of scripts without spaces their characters by an average word."""
    if not has_unspaced(text):
        return len(text.split())
    south = len(_SOUTHERN.findall(text))
    east = len(_ANY.findall(text)) - south
    others = sum(any(c.isalnum() for c in part) for part in _RUN.sub(" ", text).split())
    return others + -(-east // _EAST_WORD) + -(-south // _SOUTH_WORD)


def fewest_characters(fewest: int, text: str) -> int:
    """The characters that a text must have at least where one in an alphabet must have `fewest`: half in Chinese and
    Japanese, whose characters say at least twice as much."""
    if not is_unspaced(text) or len(_SOUTHERN.findall(text)) * 2 > len(text):
        return fewest
    return -(-fewest // 2)


def pieces(text: str) -> list[str]:
    """The runs of `\\w` of a text in order; of scripts without spaces each character."""
    return _PIECE.findall(text)


def grams(word: str) -> list[str]:
    """A word as it is, or in overlapping pieces where it holds a script without spaces: two characters in Chinese and
    Japanese, three in Thai, Lao, Khmer and Burmese, as Lucene's CJK analysis has it. Other parts of it stay whole."""
    if not has_unspaced(word):
        return [word]
    found: list[str] = []
    at = 0
    for run in _RUN.finditer(word):
        found += [word[at : run.start()]] if run.start() > at else []
        text, at = run.group(), run.end()
        size = _SOUTH_GRAM if _SOUTHERN.match(text) else _GRAM
        found += [text[i : i + size] for i in range(max(1, len(text) - size + 1))]
    return [*found, word[at:]] if at < len(word) else found
