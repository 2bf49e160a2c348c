"""Passages are verbatim, speak of the subject, and keep to their room."""

from __future__ import annotations

from enrich_assets.evidence.passages import passages, shared_part

TEXT = " ".join(f"This is sentence number {i} of a long page." for i in range(1, 31))
NAMED = TEXT.replace("number 3 of", "number 3 about Corvane Systems of")
NAMED = NAMED.replace("number 20 of", "20 on Corvane Systems of")


def test_each_mention_comes_with_two_sentences_on_both_sides() -> None:
    found = passages(NAMED, "Corvane Systems", tokens=5000)
    assert len(found) == 2
    assert found[0].startswith("This is sentence number 1 of") and found[0].endswith("number 5 of a long page.")
    assert found[1].startswith("This is sentence number 18 of") and found[1].endswith("number 22 of a long page.")
    assert all(passage in NAMED for passage in found)


def test_the_room_is_kept_and_what_names_the_subject_goes_first() -> None:
    found = passages(NAMED, "Corvane Systems", tokens=200)
    assert sum(map(len, found)) <= 200
    assert "Corvane Systems" in found[0]


def test_a_sentence_without_room_for_its_neighbours_goes_alone() -> None:
    assert passages(NAMED, "Corvane Systems", tokens=70) == [
        "This is sentence number 3 about Corvane Systems of a long page."
    ]
    assert passages(NAMED, "Corvane Systems", tokens=20) == []


def test_a_text_without_the_name_gives_nothing() -> None:
    assert passages(TEXT, "Corvane Systems", tokens=5000) == []
    assert passages("", "Corvane Systems", tokens=5000) == []


def test_neighbouring_mentions_share_a_passage() -> None:
    text = "Corvane Systems opened. It rained. Corvane Systems closed. The end came late. Nobody cared at all."
    assert len(passages(text, "Corvane Systems", tokens=5000)) == 1


def test_shared_part_tells_a_copy_from_a_relative() -> None:
    assert shared_part(TEXT, f"Reprint. {TEXT}") == 1.0
    assert shared_part(TEXT, "Something else entirely, in other words than those above.") == 0.0
    assert shared_part("", TEXT) == 0.0
