"""Near-duplicate texts by MinHash (Broder 1997) over word triples. What is done with them is the phases' matter."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+", re.UNICODE)
PERMUTATIONS = 64


def sketch(text: str) -> list[int]:
    """The MinHash of a text's word triples, 64 integers; equal for equal texts, whatever case and punctuation."""
    from rensa import RMinHash

    words = _WORD.findall(text.casefold())
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update([" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))])
    return [int(value) for value in minhash.digest()]


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Estimated Jaccard similarity of two sketches, 0–1, standard error about 0.06."""
    if len(first) != len(second) or not len(first):
        return 0.0
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
