"""The embedded search: an index in memory over pages that this storage has scraped. No service, no cost.

Which pages those are is decided in `evidence.documents`.
"""

from __future__ import annotations

import asyncio
import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from enrich_assets.core.scripts import UNSPACED
from enrich_assets.engine.clients import Hit

SNIPPET_CHARACTERS = 240

# Characters of scripts without spaces stand for themselves; phrases find the words that they make up.
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
_LONGEST_WORD = 40
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]+)[\"“”„]")


@dataclass(frozen=True)
class IndexedPage:
    """A page as the embedded index takes it in."""

    url: str
    title: str
    text: str


class EmbeddedIndex:
    """BM25 (Robertson and Zaragoza, 2009) over title and text.

    The idf is ln(1 + (N − n + 0.5) / (n + 0.5)), which is never negative. The whole query, and every phrase of it in
    quotation marks, counts as one more term with its own frequency where its words stand in order. Two pages of one
    URL count as one, the first. Words are held as numbers: some 1.5 KB a page of 300 words, besides its text.
    """

    def __init__(
        self,
        documents: Iterable[IndexedPage],
        *,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> None:
        self._pages: list[IndexedPage] = []
        self._words: list[array[int]] = []
        self._vocabulary: dict[str, int] = {}
        self._holders: list[array[int]] = []
        self._counts: list[array[int]] = []
        self._k1, self._b = k1, b
        seen: set[str] = set()
        for page in documents:
            if page.url in seen:
                continue
            seen.add(page.url)
            self._add(page)
        self._mean_length = sum(map(len, self._words)) / len(self._words) if self._words else 0.0

    def __len__(self) -> int:
        return len(self._pages)

    async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Up to `limit` hits: by score, then by URL."""
        scores = self._scores(query)
        best = sorted(scores, key=lambda i: (-scores[i], self._pages[i].url))[: max(0, limit)]
        terms = tokens(query)
        return [
            Hit(self._pages[i].url, self._pages[i].title, snippet(self._pages[i].text, terms), round(scores[i], 6))
            for i in best
        ]

    def _add(self, page: IndexedPage) -> None:
        number = len(self._pages)
        words = array("I")
        for word in tokens(f"{page.title}\n{page.text}"):
            known = self._vocabulary.setdefault(word, len(self._vocabulary))
            if known == len(self._holders):
                self._holders.append(array("I"))
                self._counts.append(array("I"))
            words.append(known)
        self._pages.append(page)
        self._words.append(words)
        for word_number, count in Counter(words).items():
            self._holders[word_number].append(number)
            self._counts[word_number].append(count)

    def _scores(self, query: str) -> dict[int, float]:
        terms = list(dict.fromkeys(tokens(query)))
        phrases = dict.fromkeys(tuple(tokens(phrase)) for phrase in (query, *_QUOTED.findall(query)))
        counted = [self._term_counts(term) for term in terms]
        counted += [self._phrase_counts(phrase) for phrase in phrases if len(phrase) > 1]
        scores: dict[int, float] = {}
        for counts in counted:
            idf = math.log(1 + (len(self._pages) - len(counts) + 0.5) / (len(counts) + 0.5))
            for number, count in counts.items():
                length = len(self._words[number]) / self._mean_length
                weight = count * (self._k1 + 1) / (count + self._k1 * (1 - self._b + self._b * length))
                scores[number] = scores.get(number, 0.0) + idf * weight
        return scores

    def _term_counts(self, term: str) -> dict[int, int]:
        known = self._vocabulary.get(term)
        return {} if known is None else dict(zip(self._holders[known], self._counts[known], strict=True))

    def _phrase_counts(self, phrase: Sequence[str]) -> dict[int, int]:
        numbers = [self._vocabulary.get(word) for word in phrase]
        known = [number for number in numbers if number is not None]
        if len(known) < len(phrase):
            return {}
        candidates = set.intersection(*(set(self._holders[number]) for number in known))
        wanted = array("I", known)
        counts = {number: _occurrences(wanted, self._words[number]) for number in sorted(candidates)}
        return {number: count for number, count in counts.items() if count}


class EmbeddedSearch:
    """The embedded index as a search client: read and built, away from the event loop, when it is first asked."""

    def __init__(self, documents: Callable[[], Iterable[IndexedPage]]) -> None:
        self._documents = documents
        self._index: EmbeddedIndex | None = None
        self._building = asyncio.Lock()

    async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Up to `limit` hits: by score, then by URL."""
        async with self._building:
            if self._index is None:
                self._index = await asyncio.to_thread(lambda: EmbeddedIndex(self._documents()))
        return await self._index.find(query, limit=limit)


def tokens(text: str) -> list[str]:
    """The words of a text for searching, folded in case, in order."""
    return _TOKEN.findall(text.casefold())


def snippet(text: str, terms: Iterable[str]) -> str:
    """A part of the text of at most `SNIPPET_CHARACTERS` around the first of the terms, cut at words."""
    folded = text.casefold()
    places = [at for at in (folded.find(term) for term in terms) if at >= 0]
    start = max(0, min(places, default=0) - SNIPPET_CHARACTERS // 4)
    if start:
        space = text.find(" ", start, start + _LONGEST_WORD)
        start = space + 1 if space >= 0 else start
    part = text[start : start + SNIPPET_CHARACTERS]
    if start + SNIPPET_CHARACTERS < len(text):
        part = part.rsplit(None, 1)[0] if " " in part[-_LONGEST_WORD:] else part
    return " ".join(part.split())


def _occurrences(phrase: array[int], words: array[int]) -> int:
    size = len(phrase)
    return sum(1 for i in range(len(words) - size + 1) if words[i] == phrase[0] and words[i : i + size] == phrase)
