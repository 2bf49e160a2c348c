"""Counts the frozen table of document frequencies, `enrich_assets/models/idf.json`.

Corpus: one document for each README or long description of a Python distribution installed beside this project (its
METADATA body, split into stretches of about 300 words, for these texts are long), and one for each article of the
demo site. Only counts are kept: in how many documents a term occurs, for terms of at least `LEAST` documents, with
stop words, numbers and words in capitals left out. Run it as `python benchmarks/make_idf.py` when the demo articles
change; the numbers
then change in the last digits, so the artifacts of `extractive` do too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import metadata
from pathlib import Path

from enrich_assets.models.text import terms

PACKAGE = Path(__file__).resolve().parents[1] / "enrich_assets"
LEAST = 3
STRETCH = 300
_CODE = re.compile(r"```.*?```|``.*?``|`[^`]*`|<[^>]*>|https?://\S+|^\s{4,}.*$|^\s*(?:>>>|\$|\.\.).*$", re.S | re.M)
# Only what is written in lower case counts: a name is never common, and so keeps the highest weight.
_CAPITAL = re.compile(r"\b[^\W\d_]*[A-Z][\w'’-]*")
_TERM = re.compile(r"[a-z][a-z'-]{1,23}")


def documents() -> list[set[str]]:
    """The set of terms of each document of the corpus."""
    found: list[set[str]] = []
    names: set[str] = set()
    for distribution in sorted(metadata.distributions(), key=lambda d: d.metadata["Name"] or ""):
        name = (distribution.metadata["Name"] or "").lower()
        if name in names:
            continue
        names.add(name)
        body = (distribution.read_text("METADATA") or "").partition("\n\n")[2]
        text = _CODE.sub(" ", body).split()
        for start in range(0, len(text), STRETCH):
            found.append(_terms(" ".join(text[start : start + STRETCH])))
    for path in sorted((PACKAGE / "graphs/intelligence/demo/articles").rglob("*.md")):
        found.append(_terms(path.read_text(encoding="utf-8")))
    return [document for document in found if len(document) >= 20]


def _terms(text: str) -> set[str]:
    return set(terms(_CAPITAL.sub(" ", text)))


def main() -> None:
    """Counts and writes the table."""
    corpus = documents()
    counts = Counter(term for document in corpus for term in document if _TERM.fullmatch(term))
    groups: dict[str, list[str]] = {}
    for term, count in sorted(counts.items()):
        if count >= LEAST:
            groups.setdefault(str(count), []).append(term)
    ordered = {count: " ".join(groups[count]) for count in sorted(groups, key=int)}
    target = PACKAGE / "models/idf.json"
    target.write_text(
        json.dumps({"documents": len(corpus), "terms": ordered}, indent=0, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"{len(corpus)} documents, {sum(map(len, groups.values()))} terms, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
