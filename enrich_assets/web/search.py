"""Search: the embedded index over stored pages, and the choice between it and the search services.

All of them are `engine.clients.Search`. What is chosen from the hits and read is decided in `evidence`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Hit, Search
from enrich_assets.web.http import HttpClient
from enrich_assets.web.search_services import SearXNG, Serper
from enrich_assets.web.settings import SearchSettings

SNIPPET_CHARACTERS = 240

# Ideographs and kana stand for themselves, because no space says where a word ends.
_TOKEN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]+)[\"“”„]")


@dataclass(frozen=True)
class IndexedPage:
    """A page as the embedded index takes it in."""

    url: str
    title: str
    text: str


class EmbeddedIndex:
    """Search without a service: BM25 (Robertson and Zaragoza, 2009) over title and text, in memory.

    The idf is ln(1 + (N − n + 0.5) / (n + 0.5)), which is never negative. The whole query, and every phrase of it in
    quotation marks, counts as one more term with its own frequency where its words stand in order. Two pages of one
    URL count as one, the first. Asking it costs nothing.
    """

    def __init__(
        self,
        documents: Iterable[IndexedPage],
        *,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> None:
        self._pages: list[IndexedPage] = []
        self._words: list[list[str]] = []
        self._postings: dict[str, dict[int, int]] = {}
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
        words = tokens(f"{page.title}\n{page.text}")
        self._pages.append(page)
        self._words.append(words)
        for word, count in Counter(words).items():
            self._postings.setdefault(word, {})[number] = count

    def _scores(self, query: str) -> dict[int, float]:
        terms = list(dict.fromkeys(tokens(query)))
        phrases = dict.fromkeys(tuple(tokens(phrase)) for phrase in (query, *_QUOTED.findall(query)))
        counted = [self._postings.get(term, {}) for term in terms]
        counted += [self._phrase_counts(phrase) for phrase in phrases if len(phrase) > 1]
        scores: dict[int, float] = {}
        for counts in counted:
            idf = math.log(1 + (len(self._pages) - len(counts) + 0.5) / (len(counts) + 0.5))
            for number, count in counts.items():
                length = len(self._words[number]) / self._mean_length
                weight = count * (self._k1 + 1) / (count + self._k1 * (1 - self._b + self._b * length))
                scores[number] = scores.get(number, 0.0) + idf * weight
        return scores

    def _phrase_counts(self, phrase: Sequence[str]) -> dict[int, int]:
        candidates = set.intersection(*(set(self._postings.get(word, {})) for word in phrase))
        counts = {number: _occurrences(phrase, self._words[number]) for number in sorted(candidates)}
        return {number: count for number, count in counts.items() if count}


def open_search(
    settings: SearchSettings, *, http: HttpClient, calls: Calls, documents: Callable[[], Iterable[IndexedPage]]
) -> Search:
    """The search client that the settings name. `documents` is read for the embedded index only.

    Raises SettingsError where a service lacks its key or address.
    """
    if settings.provider == "serper":
        return Serper(http, calls, settings)
    if settings.provider == "searxng":
        return SearXNG(http, calls, settings)
    return EmbeddedIndex(documents())


def tokens(text: str) -> list[str]:
    """The words of a text for searching, folded in case, in order."""
    return _TOKEN.findall(text.casefold())


def snippet(text: str, terms: Iterable[str]) -> str:
    """A part of the text of at most `SNIPPET_CHARACTERS` around the first of the terms, cut at words."""
    folded = text.casefold()
    places = [at for at in (folded.find(term) for term in terms) if at >= 0]
    start = max(0, min(places, default=0) - SNIPPET_CHARACTERS // 4)
    if start:
        start = text.find(" ", start) + 1
    part = text[start : start + SNIPPET_CHARACTERS]
    if start + SNIPPET_CHARACTERS < len(text):
        part = part.rsplit(None, 1)[0] if " " in part else part
    return " ".join(part.split())


def _occurrences(phrase: Sequence[str], words: Sequence[str]) -> int:
    size, wanted = len(phrase), list(phrase)
    return sum(1 for i in range(len(words) - size + 1) if words[i] == wanted[0] and words[i : i + size] == wanted)
