"""How much a text speaks of a subject that is given by keywords: the subject's share of the embedded model's judgement.

Pure and deterministic, and of one text alone: which other texts are judged beside it changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from enrich_assets.models.text import STOP_WORDS, idf, keyword_hits, stem, words

# Okapi BM25 with its usual constants (Robertson and Zaragoza, 2009). It needs the collection's mean length and document
# frequencies; a phase that judges each row alone has none, so a news article's length and the frozen table stand in.
_SATURATION, _BY_LENGTH = 1.2, 0.75
_USUAL_WORDS = 200
_IN_TITLE = 1
"""Mentions in the text that one in the title counts for besides itself: a title is short and chosen with care."""
_OF_PHRASE = 0.3
"""What a word of a phrase is worth alone: "market" says something of "stock market"."""


def subject_points(title: str, text: str, keywords: Iterable[str]) -> float:
    """BM25 of the keywords in title and text; 0 where none occurs, about 4 to 8 for each keyword that does.

    A keyword counts once, however often it is listed in other forms ("chip", "chips"); a rare one counts more than a
    common one, and repeating one soon adds little. A phrase counts as its rarest word does, and its words alone less.
    """
    keywords = list(keywords)
    hits_of_title, hits_of_text = keyword_hits(title, keywords), keyword_hits(text, keywords)
    in_title, in_text = _stems(title), _stems(text)
    terms: dict[tuple[str, ...], tuple[float, int]] = {}
    for keyword in keywords:
        form = tuple(map(stem, words(keyword)))
        if not form:
            continue
        count = (1 + _IN_TITLE) * hits_of_title.get(keyword, 0) + hits_of_text.get(keyword, 0)
        weight, other = terms.get(form, (0.0, 0))
        terms[form] = (max(weight, max(map(idf, form))), max(count, other))
        for word in form if len(form) > 1 else ():
            if word not in STOP_WORDS:
                alone = (1 + _IN_TITLE) * in_title[word] + in_text[word]
                terms.setdefault((word,), (_OF_PHRASE * idf(word), alone))
    length = in_title.total() + in_text.total()
    damping = _SATURATION * (1 - _BY_LENGTH + _BY_LENGTH * length / _USUAL_WORDS)
    return sum(weight * n * (_SATURATION + 1) / (n + damping) for weight, n in terms.values() if n)


def _stems(text: str) -> Counter[str]:
    return Counter(map(stem, words(text)))
