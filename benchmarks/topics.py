"""How well the phases tier1 and tier3 find a subject without a model, on labelled news and on judged articles.

    python -m benchmarks.topics [--data FOLDER] [--sets bbc,ag] [--keywords FILE]

Labelled news are the sets of `news/` in the shared test data (ENRICH_TEST_DATA, else ../shared/data): one JSON object a
line with `text`, `label` and perhaps `title`. For each topic a report is set up whose only category has the topic's 15
keywords (`topic_keywords.json`, written down before any result was looked at), and the phases' own functions judge
every article of the set:

    recall     share of the topic's articles that tier1 keeps; a duplicate counts as kept where its copy is kept
    kept       share of all articles that it keeps
    P@20       share of the topic's articles among the 20 best, in the order of tier3's total
    nDCG@100   normalised discounted cumulative gain of the 100 best (Järvelin and Kekäläinen, TOIS 2002)
    BM25       the same two for BM25 over the same keywords (Robertson and Zaragoza 2009; k1 1.2, b 0.75), with the
               document frequencies of the set itself, which tier3 does not know

The judgement without a model was developed on business and politics of bbc and on business and scitech of ag alone; the
other topics confirm it.

Articles with equal scores count in each order alike: what is given is the mean over 20 shuffles.

Judged articles are those of the demo site, with the points that a person gave each for the demo's company
(`judged_articles.json`): Spearman's rank correlation with tier3's total, of all and of those that tier2 keeps.

Prints the tables and writes benchmarks/results/topics.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from enrich_assets.engine.graph import RunInfo
from enrich_assets.engine.phase import Drop
from enrich_assets.graphs.intelligence.demo.content import read_articles
from enrich_assets.graphs.intelligence.settings import Category, Company
from enrich_assets.graphs.intelligence.tier1 import Settings as Tier1
from enrich_assets.graphs.intelligence.tier1 import tier1
from enrich_assets.graphs.intelligence.tier2 import Settings as Tier2
from enrich_assets.graphs.intelligence.tier2 import relevance_by_keywords, tier2
from enrich_assets.graphs.intelligence.tier3 import Settings as Tier3
from enrich_assets.graphs.intelligence.tier3 import five_dimensions_by_cues, tier3
from enrich_assets.graphs.presets import load_preset
from enrich_assets.models.text import stem, words
from enrich_assets.web.extract import content_hash

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "topics.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MOMENT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_RUN = RunInfo("intelligence", "20261102_090000", "", MOMENT, MOMENT)
_SHUFFLES = 20
_BEST, _GAINED = 20, 100


@dataclass(frozen=True)
class Order:
    """How good an order is: shares 0-1."""

    precision: float
    gain: float


@dataclass(frozen=True)
class Topic:
    """The figures of one topic of a set."""

    name: str
    articles: int
    recall: float
    kept: float
    tier3: Order
    bm25: Order


@dataclass(frozen=True)
class Judged:
    """Rank correlation with a person's points, -1 to 1, over `articles` articles."""

    articles: int
    correlation: float


def read_set(path: Path) -> list[dict[str, Any]]:
    """The labelled articles of a set, as tier1 reads them."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            given = json.loads(line)
            text = str(given["text"])
            url = f"https://news.example/{number}"
            found.append(
                {
                    "row_id": f"{number:05d}", "label": given["label"], "title": str(given.get("title", "")),
                    "text": text, "url": url, "canonical_url": url, "source_id": "news", "source_name": "News",
                    "source_weight": 1.0, "author": "", "published_at": MOMENT, "language": "en",
                    "word_count": len(text.split()), "content_hash": content_hash(f"{given.get('title', '')} {text}"),
                }
            )  # fmt: skip
    return found


def category_of(topic: str, keywords: Sequence[str]) -> Category:
    """A category that has nothing but keywords."""
    return Category(id=topic, name=topic.title(), description=f"News of {topic}.", keywords=tuple(keywords))


def measure(articles: Sequence[Mapping[str, Any]], topic: str, keywords: Sequence[str]) -> Topic:
    """The figures of one topic: what tier1 keeps of the set, and the orders of the whole set."""
    category = category_of(topic, keywords)
    settings = Tier1(language="en", categories=(category,), least_words=1, oldest_days=36_500)
    stayed = tier1(list(articles), settings, _RUN, {}).kept
    kept = {row["row_id"] for row in stayed}
    copies = {copy.url for row in stayed for copy in row["also_at"]}
    wanted = [row for row in articles if row["label"] == topic]
    relevant = [row["label"] == topic for row in articles]
    return Topic(
        name=topic,
        articles=len(wanted),
        recall=fmean(row["row_id"] in kept or row["url"] in copies for row in wanted),
        kept=len(kept) / len(articles),
        tier3=order_of([total(row, category) for row in articles], relevant),
        bm25=order_of(bm25(articles, keywords), relevant),
    )


def total(article: Mapping[str, Any], category: Category, company: Company | None = None) -> float:
    """tier3's weighted total of an article without a model, whatever the threshold."""
    settings = Tier3(model="extractive", categories=(category,), company=company or Company(), threshold=0)
    row = {**article, "category": category.id}
    found = tier3(row, five_dimensions_by_cues(row, settings), settings)
    assert not isinstance(found, Drop)
    return float(found["tier3_score"])  # type: ignore[arg-type]


def bm25(articles: Sequence[Mapping[str, Any]], keywords: Sequence[str]) -> list[float]:
    """The articles' scores for the words of the keywords, folded as everywhere else in the project."""
    query = {stem(word) for keyword in keywords for word in words(keyword)}
    counted = [Counter(stem(word) for word in words(f"{row['title']} {row['text']}")) for row in articles]
    lengths = [counts.total() for counts in counted]
    average = fmean(lengths)
    within = Counter(term for counts in counted for term in query & counts.keys())
    weights = {term: math.log(1 + (len(counted) - n + 0.5) / (n + 0.5)) for term, n in within.items()}
    return [
        sum(
            weight * counts[term] * 2.2 / (counts[term] + 1.2 * (0.25 + 0.75 * length / average))
            for term, weight in weights.items()
            if counts[term]
        )
        for counts, length in zip(counted, lengths, strict=True)
    ]


def order_of(scores: Sequence[float], relevant: Sequence[bool]) -> Order:
    """P@20 and nDCG@100 of the order by these scores, the mean over shuffles of equal ones."""
    draw = random.Random(20_261_102)
    places = list(range(len(scores)))
    ideal = sum(1 / math.log2(place + 2) for place in range(min(_GAINED, sum(relevant))))
    found = []
    for _ in range(_SHUFFLES):
        draw.shuffle(places)
        ordered = [relevant[place] for place in sorted(places, key=lambda place: -scores[place])]
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(ordered[:_GAINED]) if hit)
        found.append((fmean(ordered[:_BEST]), gain / ideal if ideal else 0.0))
    return Order(fmean(p for p, _ in found), fmean(g for _, g in found))


def judged() -> dict[str, Judged]:
    """The rank correlations with the points that a person gave to the demo's articles for the demo's company."""
    points = json.loads((HERE / "judged_articles.json").read_text(encoding="utf-8"))
    preset = load_preset("intelligence", "demo")
    categories = tuple(Category.model_validate(given) for given in preset["categories"])
    company = Company.model_validate(preset["company"])
    weights = {source["id"]: source["weight"] for source in preset["sources"]}
    settings = Tier2(model="extractive", categories=categories, company=company)
    every: list[tuple[float, float]] = []
    kept: list[tuple[float, float]] = []
    for article in read_articles():
        if article.name not in points or article.case:
            continue
        row = {
            "title": article.title, "text": article.text, "source_name": article.source.name,
            "source_weight": weights[article.source.id],
        }  # fmt: skip
        verdict = relevance_by_keywords(row, settings)
        chosen = next((c for c in categories if c.id == verdict.category), categories[0])
        pair = (float(points[article.name]), total(row, chosen, company))
        every.append(pair)
        if not isinstance(tier2(row, verdict, settings), Drop):
            kept.append(pair)
    return {name: Judged(len(pairs), spearman(pairs)) for name, pairs in (("all", every), ("kept", kept))}


def spearman(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's rank correlation; equal values share their mean rank."""
    one, other = (_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    middle = (len(pairs) + 1) / 2
    product = sum((a - middle) * (b - middle) for a, b in zip(one, other, strict=True))
    spread = math.sqrt(sum((a - middle) ** 2 for a in one) * sum((b - middle) ** 2 for b in other))
    return product / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first_at: dict[float, int] = {}
    for place, value in enumerate(ordered, 1):
        first_at.setdefault(value, place)
    many = Counter(values)
    return [first_at[value] + (many[value] - 1) / 2 for value in values]


def show(name: str, topics: Sequence[Topic]) -> None:
    """The table of a set."""
    print(f"\n{name:<16}{'articles':>9}{'recall':>8}{'kept':>7}{'P@20':>8}{'BM25':>7}{'nDCG@100':>10}{'BM25':>7}")
    for one in topics:
        print(
            f"{one.name:<16}{one.articles:>9}{one.recall:>8.3f}{one.kept:>7.3f}{one.tier3.precision:>8.3f}"
            f"{one.bm25.precision:>7.3f}{one.tier3.gain:>10.3f}{one.bm25.gain:>7.3f}"
        )


def main() -> None:
    """Measures, prints the tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENRICH_TEST_DATA") or DATA))
    parser.add_argument("--sets", default="bbc,ag", help="names of sets, with commas")
    parser.add_argument("--keywords", type=Path, default=HERE / "topic_keywords.json", help="keywords by set and topic")
    given = parser.parse_args()
    by_set = json.loads(given.keywords.read_text(encoding="utf-8"))
    found: dict[str, Any] = {"sets": {}}
    for name in given.sets.split(","):
        path = given.data / "news" / f"{name}.jsonl.gz"
        if not path.exists():
            print(f"{name}: left out, because there is no {path}; set ENRICH_TEST_DATA to the folder of the test data")
            continue
        articles = read_set(path)
        topics = [measure(articles, topic, keywords) for topic, keywords in by_set[name].items()]
        show(name, topics)
        found["sets"][name] = [asdict(topic) for topic in topics]
    correlations = judged()
    print(
        "\njudged articles  " + " · ".join(f"{k}: {v.correlation:.3f} of {v.articles}" for k, v in correlations.items())
    )
    found["judged"] = {name: asdict(one) for name, one in correlations.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
