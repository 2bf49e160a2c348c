"""Summaries by the embedded model `extractive`: picks the most telling sentences of a text. No key, no chance.

It stands where a language model would stand, and says nothing that the text does not say word for word. Its other
skills stand beside: names in `names`, definitions in `definitions`, sentences and word statistics in `text`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from enrich_assets.core.scripts import is_unspaced
from enrich_assets.models.text import cosine, sentences, tfidf, words

# Weights of the three signals; position is the strongest single one in news (Lin and Hovy, ANLP 1997).
_POSITION, _CENTRALITY, _QUERY = 0.35, 0.45, 0.5
_CANDIDATES = 60
_TOO_ALIKE = 0.75

_DANGLING = re.compile(
    r"[\"“‘'(]?(?:he|she|they|it|its|his|her|their|him|them|this|these|those|that|such|but|and|or|so|yet|also|then|"
    r"however|meanwhile|instead|moreover|furthermore|still|nevertheless|nonetheless|both|neither|another|"
    r"for example|for instance|in addition|as a result|on the other hand|by contrast|in turn|the (?:two|latter|former)|"
    r"here|there)\b",
    re.IGNORECASE,
)
_CLUTTER = re.compile(
    r"https?://|www\.|@\w|subscribe|newsletter|sign up|click here|all rights reserved|cookie|©|read more|"
    r"share this|follow us|advertisement|photo(?:graph)? by|image:|credit:",
    re.IGNORECASE,
)
_FINISHED = re.compile(r"[.!?…。！？។။\u0e00-\u0eff][\"'”’»)\]」』]*$")


def summary(text: str, *, lowest: int, highest: int, query: str | None = None) -> str | None:
    """Whole sentences of `text` in their order, joined by a space: `lowest` to `highest` characters, or None.

    Chinese and Japanese sentences follow each other without a space.

    Chosen exactly (0/1 knapsack by dynamic programming) for the highest score per character. A sentence that leans
    on the one before ("He said …") counts little without it, and of two nearly equal sentences only one is taken.
    """
    if lowest > highest:
        return None
    gap = "" if has_full_width_stops(text) else " "
    scored = _without_repeats(_scored(text, query))
    usable = [s for s in scored if s.is_prose and len(s.text) <= highest]
    best = sorted(usable, key=lambda s: (-s.score, s.index))[:_CANDIDATES]
    for candidates in (best, usable, [s for s in scored if len(s.text) <= highest]):
        chosen = _knapsack(sorted(candidates, key=lambda s: s.index), lowest, highest, len(gap))
        if chosen is not None:
            return gap.join(sentence.text for sentence in chosen)
    return None


@dataclass(frozen=True)
class _Scored:
    index: int
    text: str
    score: float
    vector: dict[str, float]
    leans_back: bool
    is_prose: bool


def _scored(text: str, query: str | None) -> list[_Scored]:
    """The sentences of `text` with their worth, 0–1.

    It weighs position (early counts), closeness to the text as a whole (cosine of tf-idf vectors with the sentence's
    own share) and closeness to `query`; unfinished lines, questions and page clutter count less.
    """
    all_sentences = sentences(text)
    whole = tfidf(text)
    wanted = tfidf(query) if query else {}
    spread = 3 + len(all_sentences) / 6
    found = []
    for index, sentence in enumerate(all_sentences):
        vector = tfidf(sentence)
        score = _POSITION * math.exp(-index / spread) + _CENTRALITY * min(1.0, 1.6 * cosine(vector, whole))
        total = _POSITION + _CENTRALITY
        if wanted:
            score += _QUERY * min(1.0, 2 * cosine(vector, wanted))
            total += _QUERY
        score /= total
        finished = bool(_FINISHED.search(sentence))
        clutter = bool(_CLUTTER.search(sentence))
        score *= 1.0 if finished else 0.3
        score *= 0.2 if clutter else 1.0
        score *= 0.5 if "?" in sentence[-2:] else 1.0
        # A sentence of twenty Chinese characters says as much as one of fifty Latin ones.
        score *= 0.6 if len(sentence) < (20 if is_unspaced(sentence) else 50) else 1.0
        score *= 0.6 if _is_quotation(sentence) else 1.0
        is_prose = finished and not clutter and len(words(sentence)) >= 4 and _quotes_close(sentence)
        found.append(_Scored(index, sentence, score, vector, bool(_DANGLING.match(sentence)), is_prose))
    return found


def has_full_width_stops(text: str) -> bool:
    """Whether the sentences of a text end as in Chinese and Japanese."""
    return text.count("。") > text.count(". ")


def _is_quotation(sentence: str) -> bool:
    return sentence[:1] in "\"“‘'" and len(sentence) > 1


def _quotes_close(sentence: str) -> bool:
    return (
        sentence.count("“") == sentence.count("”")
        and sentence.count('"') % 2 == 0
        and sentence.count("(") == sentence.count(")")
    )


def _without_repeats(scored: list[_Scored]) -> list[_Scored]:
    kept: list[_Scored] = []
    for sentence in scored:
        if all(cosine(sentence.vector, other.vector) < _TOO_ALIKE for other in kept):
            kept.append(sentence)
    return kept


def _knapsack(candidates: list[_Scored], lowest: int, highest: int, gap: int) -> list[_Scored] | None:
    # State: (characters so far, index of the last sentence if it is the one before the next) → (value, chosen).
    # Value is score times length, so that the best filling is the one with the best characters.
    states: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {(0, -1): (0.0, ())}
    for place, sentence in enumerate(candidates):
        grown: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
        for (length, _), (value, chosen) in states.items():
            settled = (length, -1)
            if settled not in grown or grown[settled][0] < value:
                grown[settled] = (value, chosen)
        for (length, last), (value, chosen) in states.items():
            longer = length + len(sentence.text) + (gap if chosen else 0)
            if longer > highest:
                continue
            follows = last == sentence.index - 1 and bool(chosen)
            factor = 1.0 if not sentence.leans_back else (0.9 if follows else 0.25)
            key = (longer, sentence.index)
            gain = value + factor * sentence.score * len(sentence.text)
            if key not in grown or grown[key][0] < gain:
                grown[key] = (gain, (*chosen, place))
        states = grown
    fitting = [(value, chosen) for (length, _), (value, chosen) in states.items() if chosen and length >= lowest]
    if not fitting:
        return None
    _, chosen = max(fitting, key=lambda item: (item[0], [-place for place in item[1]]))
    return [candidates[place] for place in chosen]
