"""What is found in real article pages keeps its marks."""

from __future__ import annotations

import pytest

from benchmarks.extraction import LEAST_DATES, LEAST_TITLES, MARKS, collection, comparable, quality, shingles
from enrich_assets_tests.shared_data import shared_data


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MARKS))
def test_the_text_of_real_pages_is_found(name):
    shared_data("html", name)
    found = quality(list(collection(name, shared_data())))
    print(f"{name}: F1 {found.f1:.4f} on {found.pages} pages, titles {found.titles}, dates {found.dates}")
    assert found.f1 >= MARKS[name]
    if name == "aed424":
        assert found.titles is not None and found.titles >= LEAST_TITLES
        assert found.dates is not None and found.dates >= LEAST_DATES


def test_shingles_are_counted_as_often_as_they_stand():
    assert shingles("a b c d a b c d")[("a", "b", "c", "d")] == 2
    assert shingles("one two").total() == 1
    assert shingles(" … ").total() == 0


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Harbour  opens\u00a0crane", "harbour opens CRANE", True),
        ("Harbour opens crane - The Post", "Harbour opens crane", True),
        ("Harbour opens crane - at last", "Harbour opens crane", False),
        ("Harbour opens crane", "Harbour opens", False),
    ],
)
def test_titles_are_compared_without_the_name_of_their_site(one, other, equal):
    site = "https://www.post.example"
    assert (comparable(one, site) == comparable(other, site)) is equal
