"""Near-duplicates: found exactly among the sketches, and on real articles with known pairs."""

from __future__ import annotations

import random

import pytest

from enrich_assets.web.duplicates import PERMUTATIONS, Sketches, sketch
from enrich_assets_tests.shared_data import shared_data


def articles(count: int) -> tuple[dict[str, str], set[frozenset[str]]]:
    folder = shared_data("neardup", "minhash", "data")
    lines = (folder / f"articles_{count}.train").read_text(encoding="utf-8", errors="replace").splitlines()
    truth = (folder / f"articles_{count}.truth").read_text(encoding="utf-8").splitlines()
    texts = dict(line.split(" ", 1) for line in lines)
    return texts, {frozenset(line.split()) for line in truth}


@pytest.mark.parametrize("count", [100, 1000])
def test_the_known_pairs_are_found_and_no_others(count: int) -> None:
    texts, truth = articles(count)
    seen, names, found = Sketches(), list(texts), set()
    for name in names:
        values = sketch(texts[name])
        close = seen.closest(values, least=0.7)
        if close is not None:
            found.add(frozenset((names[close[0]], name)))
        seen.add(values)
    right = len(found & truth)
    assert (right / len(found), right / len(truth)) == (1.0, 1.0)


def test_the_shares_are_those_of_a_comparison_with_each() -> None:
    random.seed(5)
    drawn = [[random.randrange(3) for _ in range(PERMUTATIONS)] for _ in range(40)]
    seen = Sketches()
    assert [seen.add(values) for values in drawn] == list(range(40))
    asked = [random.randrange(3) for _ in range(PERMUTATIONS)]
    expected = [sum(a == b for a, b in zip(asked, values, strict=True)) / PERMUTATIONS for values in drawn]
    assert seen.shares(asked) == {number: share for number, share in enumerate(expected) if share}
    best = max(expected)
    assert seen.closest(asked, least=best) == (expected.index(best), best)
    assert seen.closest(asked, least=best + 0.01) is None


def test_sketches_of_another_length_are_not_compared() -> None:
    seen = Sketches()
    seen.add([1, 2, 3, 4])
    assert seen.shares([1, 2]) == {}
    assert seen.closest([], least=0.5) is None
