"""How much a text speaks of a subject: more for rarer, more and other keywords, little for repetition and length."""

from __future__ import annotations

from enrich_assets.models.relevance import subject_points

PADDING = "The committee met and the weather was fine, which nobody had expected of such a grey morning. "


def points(text: str, *keywords: str, title: str = "") -> float:
    return subject_points(title, text, keywords)


def test_a_text_without_any_keyword_has_no_points() -> None:
    assert points(PADDING, "furnace", "machine tool") == 0 == points("", "furnace") == points("A furnace.")


def test_another_keyword_says_more_than_one_that_is_repeated() -> None:
    once = points("A furnace in the valley." + PADDING, "furnace", "foundry")
    twice = points("A furnace in the valley, and a furnace." + PADDING, "furnace", "foundry")
    both = points("A furnace in the valley, and a foundry." + PADDING, "furnace", "foundry")
    assert 0 < once < twice < both


def test_a_mention_weighs_less_in_a_longer_text_and_more_in_a_title() -> None:
    assert points("A furnace. " + PADDING, "furnace") > points("A furnace. " + 20 * PADDING, "furnace")
    assert points(PADDING, "furnace", title="A furnace") > points("A furnace. " + PADDING, "furnace")


def test_forms_of_one_keyword_count_once() -> None:
    text = "A chip for lathes." + PADDING
    assert points(text, "chip") == points(text, "chip", "chips", "Chip")


def test_a_phrase_says_more_than_one_of_its_words_and_a_stop_word_says_nothing() -> None:
    whole = points("The machine tool fair." + PADDING, "machine tool")
    part = points("The tool fair." + PADDING, "machine tool")
    assert whole > part > 0
    assert points("What on earth is that." + PADDING, "on demand") == 0
