"""What the schemas of the graph's answers say, and that nothing that only decides is part of them."""

from __future__ import annotations

from typing import Any

import pytest

from enrich_assets.core.errors import MalformedAnswer
from enrich_assets.engine.answer_schema import schema_of
from enrich_assets.engine.phase import Drop
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.intelligence.paraphrased import Analysis, Settings, paraphrased
from enrich_assets.graphs.presets import load_preset

GRAPH = GRAPHS["intelligence"]
SENTENCE = "A crane stands on the quay of the town. "
ARTICLE = {"title": "A crane", "text": SENTENCE, "source_name": "Post"}


def schema(name: str, **changes: Any) -> dict[str, Any]:
    """The schema of a phase's answer under the demo's settings with `changes` of the phase's own."""
    values = load_preset("intelligence", "demo")
    values[name] = {**values.get(name, {}), **changes}
    phase = GRAPH.phase(name)
    return schema_of(phase.answer_for(GRAPH.settings_of(phase, GRAPH.resolve(values, where="test"))))


def test_a_category_is_one_of_the_settings_or_none() -> None:
    wanted = [category["id"] for category in load_preset("intelligence", "demo")["categories"]]
    assert schema("tier2")["properties"]["category"]["enum"] == [*wanted, "none"]


@pytest.mark.parametrize("name", ["tier2", "tier3"])
def test_points_are_whole_numbers_of_their_scale(name: str) -> None:
    numbers = [one for one in schema(name)["properties"].values() if one["type"] == "integer"]
    assert len(numbers) == (1 if name == "tier2" else 5)
    assert all((one["minimum"], one["maximum"]) == (0, 10) for one in numbers)


def test_an_analysis_has_the_length_of_the_settings_or_is_empty() -> None:
    whole, empty = schema("paraphrased", shortest=200, longest=300)["properties"]["analysis"]["anyOf"]
    assert (whole["minLength"], whole["maxLength"], empty["maxLength"]) == (200, 300, 0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tier2", {"threshold": 9.0, "batch": 2}),
        ("tier3", {"threshold": 9.0, "keep": 1, "weights": {"impact": 1.0}, "text_characters": 900}),
        ("paraphrased", {"text_characters": 900}),
    ],
)
def test_what_only_decides_is_no_part_of_a_schema(name: str, changes: dict[str, Any]) -> None:
    assert schema(name, **changes) == schema(name)


def written(text: str) -> Any:
    return paraphrased(ARTICLE, Analysis(analysis=text), Settings(shortest=100, longest=200))


def test_an_analysis_that_the_limit_cut_off_ends_with_its_last_whole_sentence() -> None:
    cut = (SENTENCE * 6)[:200]
    assert len(SENTENCE) == 40 and written(cut)["analysis"] == (SENTENCE * 5).strip()
    assert (
        written((SENTENCE * 4 + "Half a sentence that is cut off somewhere")[:200])["analysis"]
        == (SENTENCE * 4).strip()
    )
    word = ("word " * 60)[:200]
    assert written(word)["analysis"].endswith("word …") and written(word)["analysis_characters"] <= 200


def test_an_analysis_below_the_limit_or_above_it_is_taken_or_refused_as_it_is() -> None:
    assert written("word " * 30)["analysis"] == ("word " * 30).strip()
    with pytest.raises(MalformedAnswer, match="it must have 100 to 200"):
        written(SENTENCE * 6)


def test_a_number_that_no_answer_leaves_out_drops_the_article() -> None:
    with pytest.raises(MalformedAnswer, match="the number 1999 does not stand") as caught:
        written(SENTENCE * 3 + "It was built in 1999.")
    assert caught.value.fallback == Drop("invented_number", "1999", "the number 1999 does not stand in the article")
