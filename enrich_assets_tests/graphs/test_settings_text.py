"""Adding to a list of a settings file leaves the rest of its text as it is, or does nothing."""

from __future__ import annotations

import pytest
import yaml

from enrich_assets.core.errors import SettingsError
from enrich_assets.graphs.settings_text import item_text, with_item

NEW = {"id": "b", "name": "Café: “B”", "url": "https://b.example/#top", "kind": "feed"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "title: Mine\n",
        "title: Mine  # ours",
        "sources:\ntitle: Mine\n",
        "sources: []  # none yet\ntitle: Mine\n",
        "sources:\n- id: a\n  name: A\ntitle: Mine\n",
        "sources:\n  # the first\n  - id: a  # short\n    keys: [x, y]\n\n  # trailing words\n\ntitle: Mine # end\n",
        "sources:\n    - id: a\n      words: |\n        one\n        two\n    - {id: c, name: C}\n# the end\n",
        'title: Mine\nsources:\n  - id: a\n    name: "two\n      lines"',
        "title: Mine\r\nsources:\r\n  - id: a\r\n    name: A\r\n",
        "base: &b {weight: 2}\nsources:\n  - <<: *b\n    id: a\n",
    ],
)
def test_an_item_is_added_and_every_line_stays(text):
    changed = with_item(text, "sources", NEW, where="mine.yaml")
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(changed)
    assert after == {**before, "sources": [*(before.get("sources") or []), NEW]}
    lines = changed.splitlines()
    kept = [line for line in text.splitlines() if not line.startswith("sources: []")]
    position = 0
    for line in kept:
        position = lines.index(line, position) + 1
    assert ("\r\n" in text) == ("\r\n" in changed)
    assert "# none yet" in changed or "# none yet" not in text


@pytest.mark.parametrize(
    "text", ["sources: [{id: a}]\n", "{sources: [], title: x}\n", "l: &l [{id: a}]\nsources: *l\n", "a: 1\n...\n"]
)
def test_a_layout_that_cannot_be_added_to_is_said_with_the_text_to_paste(text):
    with pytest.raises(SettingsError, match="safely") as caught:
        with_item(text, "sources", NEW, where="mine.yaml")
    assert caught.value.where == "mine.yaml" and "- id: b" in caught.value.fix


def test_the_text_of_an_item_is_yaml_whatever_its_values_are():
    odd = {"id": "yes", "name": "- # : {}", "url": "012", "kind": "null"}
    assert yaml.safe_load("sources:\n" + item_text(odd)) == {"sources": [odd]}
