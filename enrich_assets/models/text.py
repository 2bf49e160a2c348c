"""Sentences, words and word statistics of English-like prose: what the embedded model reads a text with.

Every function is pure and deterministic, and every sentence is a verbatim substring of its text. Scoring and
summaries are in `extractive`, names in `names`.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from enrich_assets.core.scripts import UNSPACED, grams, has_unspaced


def word_set(listed: str) -> frozenset[str]:
    """The words of a list written as running text."""
    return frozenset(listed.split())


STOP_WORDS = word_set(
    """a about above according across after along amid among beyond despite during including inside outside regarding
    following besides worldwide after again against all almost also although always am among an and another any
    are around as at
    away back be became because become been before being below between both but by came can cannot could did do does
    doing done down during each either else enough even ever every few first for from further get gets given go goes
    going got had has have having he her here hers herself him himself his how however i if in instead into is it its
    itself just last least less let like made make makes many may me might mine more most much must my myself near
    need never next no nor not nothing now of off often on once one only onto or other others our ours out over own
    per perhaps put quite rather really said same say says see seen she should since so some soon still such take than
    that the their theirs them themselves then there therefore these they thing things this those though three through
    thus to together too toward two under until up upon us use used uses using very was way we well went were what
    whatever when where whether which while who whole whom whose why will with within without would yet you your yours
    yourself"""
)

_ABBREVIATIONS = word_set(
    """mr mrs ms dr prof st sr jr rev hon gen col lt sgt capt gov sen rep pres vs etc eg ie cf al approx dept est fig
    figs no nos vol pp ca inc ltd corp co bros mt ft jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu
    fri sat sun u.s u.k u.n e.g i.e a.m p.m e.u d.c ph.d b.a m.a m.sc b.sc"""
)
# These end a sentence as readily as they stand inside one; what follows decides.
_MAY_END = word_set("inc ltd corp co etc al jr sr a.m p.m u.s u.k u.n e.u d.c ph.d b.a m.a m.sc b.sc")
_SENTENCE_OPENERS = word_set(
    """the a an it its he she they we i in on at but and this that these those there however when while if as after
    before for our his her their with by to from meanwhile since although what who some many most both other one no
    analysts officials shares"""
)
_MONTH = word_set("jan feb mar apr jun jul aug sep sept oct nov dec")

_WORD = re.compile(r"[^\W_]+(?:[-'’.&][^\W_]+)*")
# Marks above and below letters are letters of Thai, Lao, Khmer and Burmese, and no `\w`.
_MARKED_WORD = re.compile(rf"(?:[^\W_]|[{UNSPACED}])+(?:[-'’.&](?:[^\W_]|[{UNSPACED}])+)*")
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[」』”]*|[។။]+")
_CLAUSE = re.compile(r"(?<=[\u0e00-\u0eff])[ \t]+(?=\S)")
"""Where a clause of Thai or Lao ends: they have no full stop."""
_SHORT_CLAUSES = 80
_UNSPACED = re.compile(f"[{UNSPACED}]")
_HANGUL = re.compile("[가-힣]")
_BREAK = re.compile(r"\s*\n[ \t]*\n\s*|\n")
_OPENING = "\"'“‘«([—–-•*"


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, each a verbatim substring without outer white space.

    A full stop does not end a sentence after an abbreviation ("Dr.", "No. 5"), an initial ("J. Smith") or inside a
    number; closing quotes and brackets stay with the sentence they close. A blank line always ends one, and so does
    a line break before a capital letter, a digit or a bullet.
    """
    found: list[str] = []
    for block in _blocks(text):
        start = 0
        for match in _END.finditer(block):
            if _ends_sentence(block, start, match):
                found.append(block[start : match.end()].strip())
                start = match.end()
        found.append(block[start:].strip())
    return [part for sentence in found if sentence for part in _clauses(sentence)]


def _clauses(sentence: str) -> list[str]:
    """A sentence as it is; in Thai and Lao its clauses, joined up to `_SHORT_CLAUSES` characters."""
    if len(sentence) <= 2 * _SHORT_CLAUSES or not _CLAUSE.search(sentence):
        return [sentence]
    found: list[str] = []
    start = 0
    for gap in _CLAUSE.finditer(sentence):
        if gap.start() - start >= _SHORT_CLAUSES and len(sentence) - gap.end() >= _SHORT_CLAUSES // 2:
            found.append(sentence[start : gap.start()])
            start = gap.end()
    return [*found, sentence[start:]]


def paragraphs(text: str) -> list[str]:
    """The lines or paragraphs of `text`, each a verbatim substring."""
    return [block for block in (part.strip() for part in _blocks(text)) if block]


def _blocks(text: str) -> Iterable[str]:
    start = 0
    for match in _BREAK.finditer(text):
        before, after = text[start : match.start()].rstrip(), text[match.end() : match.end() + 1]
        # A wrapped line goes on in lower case; a finished or headed one does not.
        if match.group().count("\n") > 1 or not after or not after.islower() or before[-1:] in ".!?:;":
            yield text[start : match.start()]
            start = match.end()
    yield text[start:]


def _ends_sentence(block: str, start: int, match: re.Match[str]) -> bool:
    mark, rest = match.group(), block[match.end() :].lstrip()
    if not rest:
        return True
    first = rest.lstrip(_OPENING)[:1]
    if first.islower():
        # "Why?" he asked; "…" inside a thought; an abbreviation in running text.
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    before = block[start : match.start()]
    token = re.search(r"[^\s(\[“\"‘']*$", before)
    last = (token.group() if token else "").lower()
    if not last:
        return True
    upcoming = _WORD.match(rest.lstrip(_OPENING)) or _WORD.search(rest)
    next_word = upcoming.group().lower() if upcoming else ""
    if len(last) == 1 and last.isalpha():
        # An initial, unless it closes the sentence: "plan B. The", "vitamin C. In".
        return next_word in _SENTENCE_OPENERS and last != "i"
    if re.fullmatch(r"(?:[a-z]\.)+[a-z]", last) and last not in _ABBREVIATIONS:
        return next_word in _SENTENCE_OPENERS
    if last in _ABBREVIATIONS:
        if last in _MONTH or last in ("no", "nos", "fig", "figs", "vol", "pp"):
            # "in No. 5" against "The answer is no. Five".
            return not first.isdigit()
        return last in _MAY_END and (next_word in _SENTENCE_OPENERS or last in ("etc", "inc", "ltd", "corp"))
    return not (last.isdigit() and len(last) <= 2 and before.strip() == last)


def words(text: str) -> list[str]:
    """The words of `text` in lower case, in order; hyphened words, decimals and model numbers stay whole.

    Scripts without spaces give overlapping pieces of two or three characters.
    """
    if has_unspaced(text):
        return [gram for word in _MARKED_WORD.findall(text) for gram in grams(word.lower().replace("’", "'"))]
    return [match.group().lower().replace("’", "'") for match in _WORD.finditer(text)]


def terms(text: str) -> list[str]:
    """The words that carry meaning, with a plural or possessive s taken off; stop words and bare digits left out."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS and len(word) > 1 and not word.isdigit()]


def stem(word: str) -> str:
    """`word` without a possessive or plural s (Harman's S-stemmer, JASIS 42(1), 1991)."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    if len(word) > 3 and word.endswith("s") and word[-2] not in "us":
        return word[:-1]
    return word


def keyword_hits(text: str, keywords: Iterable[str]) -> dict[str, int]:
    """How often each keyword or phrase occurs as whole words. No zeros.

    Case and an English plural of the last word do not matter ("chips", "economies", "crises"), nor whether a gap is
    white space or a hyphen; what the keyword writes with a hyphen may also be written as one word ("start-up").
    In scripts without spaces it counts wherever it stands; in Korean a word may go on, because endings stick to it.
    """
    hits = {}
    folded = _folded(text)
    for keyword in keywords:
        pattern, parts = _keyword_pattern(keyword)
        # Most keywords do not occur, which a plain look finds out at a hundredth of the price.
        if pattern is None or not all(part in folded for part in parts):
            continue
        count = sum(1 for _ in pattern.finditer(text))
        if count:
            hits[keyword] = count
    return hits


@cache
def _keyword_pattern(keyword: str) -> tuple[re.Pattern[str] | None, tuple[str, ...]]:
    """What finds the keyword, and the parts of it that a folded text must hold."""
    parts = [part for part in re.split(r"[\s-]+", keyword.strip()) if part]
    if not parts:
        return None, ()
    gaps = [r"[\s-]*" if "-" in gap else r"[\s-]+" for gap in re.findall(r"(?<=[^\s-])[\s-]+(?=[^\s-])", keyword)]
    last, plural = parts[-1], "(?:['’]?s|es)?"
    # "economies", "crises": an ending that is replaced, and no further one.
    if re.search(r"(?i)[^\Waeiou\d_]y$", last) and len(last) > 3:
        parts[-1], plural = last[:-1], "(?:y(?:['’]s)?|ies)"
    elif last.lower().endswith("sis"):
        parts[-1], plural = last[:-2], "[ie]s"
    joined = "".join(f"{re.escape(part)}{gap}" for part, gap in zip(parts, [*gaps, ""], strict=True))
    # Where no space parts words, any neighbour may be of another word; Korean endings stick to their word.
    before = "" if _UNSPACED.match(keyword.strip()) else rf"(?<![^\W{UNSPACED}])"
    after = rf"{plural}(?![^\W{UNSPACED}])"
    if _UNSPACED.match(keyword.strip()[-1]) or _HANGUL.match(keyword.strip()[-1]):
        after = ""
    pattern = re.compile(rf"{before}{joined}{after}", re.IGNORECASE)
    return pattern, tuple(_folded(part) for part in parts)


def _folded(text: str) -> str:
    """Letters that `re.IGNORECASE` takes for one are one: case folding, and the dotted and dotless i."""
    return text.casefold().replace("i̇", "i").replace("ı", "i")


def tfidf(text: str) -> dict[str, float]:
    """Term → weight, as a vector of length 1: (1 + ln count) · idf with the frozen table; empty for no terms."""
    counts = Counter(terms(text))
    weights = {term: (1 + math.log(count)) * idf(term) for term, count in counts.items()}
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    return {term: weight / length for term, weight in weights.items()} if length else {}


def cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Cosine of two term vectors, 0–1; 0 when one is empty."""
    if len(b) < len(a):
        a, b = b, a
    product = sum(weight * b[term] for term, weight in a.items() if term in b)
    lengths = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
    return min(1.0, product / lengths) if lengths else 0.0


def idf(term: str) -> float:
    """Inverse document frequency, ln((N + 1) / (documents + 1)) + 1; a term that was never counted gets the highest."""
    table = _table()
    return math.log((table.total + 1) / (table.documents.get(term, 0) + 1)) + 1


def documents_with(word: str) -> int:
    """In how many documents of the frozen table a word occurs, written in any way; 0 for a rare one or a name."""
    return _table().documents.get(stem(word), 0)


# The table decides as code does: its hash stands here so that a changed table changes the code's fingerprint.
IDF_SHA256 = "02089e9a3552d894af46d1d00be96c83dfcf6596447387d529648f192154fa8b"


class _Table:
    def __init__(self, total: int, documents: Mapping[str, int]) -> None:
        self.total = total
        self.documents = documents


@cache
def _table() -> _Table:
    raw = json.loads(resources.files("enrich_assets.models").joinpath("idf.json").read_text(encoding="utf-8"))
    documents = {term: int(count) for count, group in raw["terms"].items() for term in group.split()}
    return _Table(int(raw["documents"]), documents)
