"""Near-duplicate texts by MinHash (Broder 1997) over word triples. What is done with them is the phases' matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from enrich_assets.core.scripts import pieces

PERMUTATIONS = 64


def sketch(text: str) -> list[int]:
    """The MinHash of a text's word triples, 64 integers; equal for equal texts, whatever case and punctuation.

    Triples of characters in scripts without spaces.
    """
    from rensa import RMinHash

    words = pieces(text.casefold())
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update([" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))])
    return [int(value) for value in minhash.digest()]


class Sketches:
    """Sketches that were seen, asked for the one that shares most with another.

    Exact: an index from place and value to the sketches that have it there, so that a question touches those alone
    that share anything. Banding would be quicker for millions, and would miss some.
    """

    def __init__(self) -> None:
        self._having: dict[tuple[int, int], list[int]] = {}
        self._sizes: list[int] = []

    def add(self, values: Sequence[int]) -> int:
        """Takes a sketch in; gives its number, counted from 0."""
        number = len(self._sizes)
        self._sizes.append(len(values))
        for entry in enumerate(values):
            self._having.setdefault(entry, []).append(number)
        return number

    def shares(self, values: Sequence[int]) -> dict[int, float]:
        """Number of each sketch that has something in common → estimated Jaccard similarity, above 0, at most 1.

        The standard error is about 0.06. Sketches of another length are left out.
        """
        common: Counter[int] = Counter()
        for entry in enumerate(values):
            common.update(self._having.get(entry, ()))
        size = len(values)
        return {number: count / size for number, count in common.items() if self._sizes[number] == size}

    def closest(self, values: Sequence[int], *, least: float) -> tuple[int, float] | None:
        """Number and similarity of the most similar sketch of at least `least`, the first of equals; None without."""
        near = [(-share, number) for number, share in self.shares(values).items() if share >= least]
        if not near:
            return None
        share, number = min(near)
        return number, -share
