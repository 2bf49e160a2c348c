"""What the UI shows in place: a figure that Markdown takes for a picture, and first rows that fit beside it."""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree

from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

PICTURE = re.compile(r"!\[\w+\]\(data:image/svg\+xml,([^\s()<>\"]+)\)\n\n(.+)")
"""CommonMark 0.31, section 6.3: an address ends at a blank, and what follows would be shown as text."""


def test_a_figure_in_place_is_a_picture_with_its_title_below(demo: Room) -> None:
    for phase in INTELLIGENCE.phases:
        for name, value in demo.materialization(phase.name).metadata.items():
            if name.startswith("figure/"):
                found = PICTURE.fullmatch(str(value.value))
                assert found, f"{phase.name}: {value.value}"
                title = ElementTree.fromstring(unquote(found.group(1))).find("{http://www.w3.org/2000/svg}title")
                assert title is not None and title.text == found.group(2)
    told = str(demo.materialization("tier1").metadata["figure/drop_reasons"].value)
    counts = demo.envelope("tier1").counts
    assert f"{counts.kept} kept (blue), {sum(counts.dropped_by_reason.values())} dropped (orange)" in told


def test_first_rows_begin_with_the_number_by_which_they_are_judged(demo: Room) -> None:
    heads = {
        phase.name: str(demo.materialization(phase.name).metadata["first_rows"].value).splitlines()[0]
        for phase in INTELLIGENCE.phases
        if phase.makes == "table"
    }
    assert heads["scraped"] == "| title | source_name | published_at |"
    assert heads["tier1"] == "| tier1_score | title | source_name |"
    assert heads["tier3"] == "| tier3_score | title | category |"
    assert heads["ranked"] == "| rank | title | category |"
