"""How much of a text looks as if its bytes had been read in the wrong encoding.

Which encoding is tried belongs to `web.charset`.
"""

from __future__ import annotations

import re
import unicodedata

_MOST_CHARACTERS = 4_000
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
# Signs that stand within words: apostrophes, hyphens, middle dots, joiners, the soft hyphen.
_WITHIN_WORDS = frozenset("\u2019\u2018\u02bc\u00b7\u2010\u2011\u2013\u2014\u00ad\u200b\u200c\u200d\u2060\u30fb")
_LONGEST_RUN = 3
"""Letters outside ASCII in a row that Latin writing may have, as in `niñéz`."""


def odd_share(text: str) -> float:
    """The share of characters outside ASCII that are odd where they stand, 0 to 1; 0 for a text without any.

    Odd are: what stands for nothing (replacement, control, private and unassigned characters), signs between letters,
    a capital after a small letter, two scripts in a word, long runs of accented Latin letters, half-width katakana.
    """
    seen = odd = run = 0
    previous = -2
    for found in _NON_ASCII.finditer(text):
        at, character = found.start(), found.group()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        run = run + 1 if at == previous + 1 else 1
        previous = at
        seen += 1
        odd += _is_odd(character, before, after, run)
        if seen >= _MOST_CHARACTERS:
            break
    return odd / seen if seen else 0.0


def _is_odd(character: str, before: str, after: str, run: int) -> bool:
    category = unicodedata.category(character)
    if character == "\ufffd" or category in ("Cc", "Co", "Cn", "Cs") or "\uff61" <= character <= "\uff9f":
        return True
    if category[0] in "SPN" or category in ("Lm", "Sk"):
        is_within = before.isalpha() and after.isalpha() and character not in _WITHIN_WORDS
        return is_within and not _is_ideographic(before) and not _is_ideographic(after)
    if category[0] != "L":
        return False
    if (before.islower() and character.isupper()) or (character.islower() and after.isupper() and after > "\x7f"):
        return True
    if before.isalpha() and _script(before) != _script(character):
        return True
    return run > _LONGEST_RUN and _script(character) == "LATIN"


def _script(letter: str) -> str:
    if letter < "\x80":
        return "LATIN"
    if _is_ideographic(letter):
        return "CJK"
    name = unicodedata.name(letter, "").partition(" ")[0]
    return "CJK" if name in ("HANGUL", "FULLWIDTH") else name


def _is_ideographic(letter: str) -> bool:
    return "\u2e80" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7ff" or "\uf900" <= letter <= "\ufaff"
