"""Languages: for a text its script and a vote of its commonest words, weighed against what is declared.

What a declared code means belongs to `core.language_codes`, the lists of words to `web.stop_words`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

from enrich_assets.core.language_codes import same_language
from enrich_assets.web.stop_words import STOP_WORDS

LEAST_WORDS = 20
"""Words of a text that may overrule a declaration; characters count in scripts without spaces."""
_VOTERS = 2000
_LETTERS = 8000
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

# Script: characters, what one of them weighs beside a Latin letter (about a word's length over its own), language.
_SCRIPTS = {
    name: (re.compile(f"[{characters}]"), weight, code)
    for name, characters, weight, code in (
        ("latin", "a-zA-ZÀ-ɏḀ-ỿ", 1, ""), ("cyrillic", "Ѐ-ԯ", 1, ""), ("arabic", "؀-ۿݐ-ݿ", 1, ""),
        ("han", "㐀-䶿一-鿿", 3, "zh"), ("kana", "ぁ-ヿ", 2, "ja"), ("hangul", "가-힣ᄀ-ᇿ", 2, "ko"),
        ("thai", "ก-๎", 1, "th"), ("lao", "ກ-ໝ", 1, "lo"), ("khmer", "ក-៓", 1, "km"), ("burmese", "က-႟", 1, "my"),
        ("greek", "Ͱ-Ͽἀ-῿", 1, "el"), ("hebrew", "א-ת", 1, "he"), ("georgian", "Ⴀ-ჿ", 1, "ka"),
        ("armenian", "Ա-֏", 1, "hy"), ("devanagari", "ऀ-ॿ", 1, "hi"), ("bengali", "ঀ-৿", 1, "bn"),
        ("gurmukhi", "਀-੿", 1, "pa"), ("gujarati", "઀-૿", 1, "gu"), ("tamil", "஀-௿", 1, "ta"),
        ("telugu", "ఀ-౿", 1, "te"), ("kannada", "ಀ-೿", 1, "kn"), ("malayalam", "ഀ-ൿ", 1, "ml"),
        ("sinhala", "඀-෿", 1, "si"), ("tibetan", "ༀ-࿿", 1, "bo"), ("ethiopic", "ሀ-፿", 1, "am"),
    )
}  # fmt: skip

# Languages without a list of words that would be taken for a near one: there the declaration stands.
_NEAR = {
    "gl": "pt es ca", "ast": "es pt", "oc": "ca fr es it", "co": "it", "af": "nl", "fy": "nl de", "lb": "de nl",
    "fo": "da no is", "nb": "no da", "nn": "no da sv", "be": "ru uk", "mk": "bg sr", "kk": "ru", "ky": "ru",
    "tg": "ru", "mn": "ru", "bs": "hr", "sr": "hr", "ms": "id", "jv": "id", "su": "id", "az": "tr", "tk": "tr",
    "mr": "hi", "ne": "hi", "sa": "hi", "as": "bn", "ti": "am", "yi": "he", "ps": "ar fa", "ku": "ar tr",
    "sd": "ar ur", "ug": "ar", "dz": "bo", "cv": "ru", "eo": "es it", "la": "it", "mt": "it", "gsw": "de",
}  # fmt: skip
# Letters that one language of its script has: a word with one of them votes like a common word.
_OWN_LETTERS = {
    "ru": "ыэё", "uk": "їєґ", "be": "ў", "sr": "ђћџј", "bg": "ъ", "de": "ß", "es": "ñ¿", "pt": "ãõ", "pl": "łżź",
    "cs": "řěů", "sk": "ľĺŕ", "hu": "őű", "ro": "șță", "tr": "ğı", "vi": "ơưđ", "is": "ðþ", "fa": "پچژگ", "ur": "ٹڈڑے",
}  # fmt: skip
_OWNER = {letter: code for code, letters in _OWN_LETTERS.items() for letter in letters}
_NEAR_CODES = {code: frozenset(codes.split()) for code, codes in _NEAR.items()}


def decided_language(text: str, declared: str) -> str:
    """The language of `text`: what its words say where it is long enough and they are sure, else `declared`.

    A declaration stands too where the text's language is only a near one of it.
    """
    found = language_of(text, least=LEAST_WORDS, hint=declared)
    if not found or same_language(found, declared) or found in _NEAR_CODES.get(declared, ()):
        return declared or found
    return found


def language_of(text: str, *, least: int = 5, hint: str = "") -> str:
    """The ISO 639-1 code of the language that `text` is in, or '' when unsure or shorter than `least` words.

    The script decides where one language has it; else the commonest words of each language vote, each word with less
    weight the more languages have it. Needs a share of 8 % of the first 2,000 words and a lead of a tenth over the
    next language; `hint` wins against a lead of less than a quarter. Norwegian is `no`.
    """
    script, size = _script_of(text[:_LETTERS])
    if not script:
        return ""
    single = _SCRIPTS[script][2]
    if single:
        return single if size >= 4 * least else ""
    words = [match.group().lower() for match, _ in zip(_WORD.finditer(text), range(_VOTERS), strict=False)]
    if len(words) < least:
        return ""
    votes: Counter[str] = Counter()
    shares: Counter[str] = Counter()
    for word, count in Counter(words).items():
        # One word alone must not decide: names and loan words repeat.
        count = min(count, 1 + len(words) // 20)
        known = _languages_of().get(word) or {_OWNER[letter] for letter in word if letter in _OWNER}
        for code in known:
            votes[code] += count / len(known)  # type: ignore[assignment]
            shares[code] += count
    if not votes:
        return ""
    (winner, most), (_, second) = (*votes.most_common(2), ("", 0))[:2]
    hinted = next((code for code in votes if same_language(code, hint)), "")
    if hinted and hinted != winner and votes[hinted] * 1.25 >= most:
        winner, second = hinted, 0
    return winner if shares[winner] >= 0.08 * len(words) and most >= 1.1 * second else ""


def _script_of(text: str) -> tuple[str, int]:
    """The script that more than half of the text's letters are in, and their weight in Latin letters; '' if none."""
    sizes = {name: len(pattern.findall(text)) * weight for name, (pattern, weight, _) in _SCRIPTS.items()}
    east = sizes["han"] + sizes["kana"]
    # Japanese news has a third to a half of kana; Chinese quotes a word of it at most.
    sizes["kana"], sizes["han"] = (east, 0) if sizes["kana"] * 10 >= east else (0, sizes["han"])
    name = max(sizes, key=lambda one: sizes[one])
    return (name, sizes[name]) if sizes[name] and 2 * sizes[name] > sum(sizes.values()) else ("", 0)


@cache
def _languages_of() -> Mapping[str, tuple[str, ...]]:
    """Word → the languages in which it is one of the commonest."""
    known: dict[str, tuple[str, ...]] = {}
    for code, words in STOP_WORDS.items():
        for word in words:
            known[word] = (*known.get(word, ()), code)
    return known
