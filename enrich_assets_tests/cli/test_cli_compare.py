"""`enrich compare` and `enrich show --findings`: what they say of a run, and what bad requests get."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


def test_findings_of_a_run_are_told_as_text_and_as_json(demo_place: Any, call: Any) -> None:
    (run_id,) = demo_place.run_ids()
    told = call(demo_place, "show", "latest", "--findings")
    assert told.exit_code == 0 and told.stdout.startswith(f"{run_id} · ")
    found = json.loads(call(demo_place, "show", "latest", "--findings", "--json").stdout)
    assert isinstance(found, list)
    assert all(finding["sentence"] and finding["advice"] for finding in found)
    assert call(demo_place, "show", "latest", "tier1", "--findings").exit_code == 2


def test_a_run_that_was_copied_is_not_compared(demo_place: Any, call: Any, tmp_path: Path) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    (run_id,) = place.run_ids()
    folder = place.storage / "intelligence"
    shutil.copytree(folder / run_id, folder / "20200101_000000")
    damaged = call(place, "compare", run_id, "20200101_000000")
    assert damaged.exit_code == 2 and "Error: " in damaged.stderr  # a run that was copied says that it is another


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("compare", "latest", "latest"), "both are the run"),
        (("compare", "nope", "latest"), "no run has the ID or title 'nope'"),
        (("compare", "latest", "Demonstratio"), "Did you mean 'Demonstration'"),
    ],
)
def test_bad_requests_are_refused_with_a_way_on(
    demo_place: Any, call: Any, arguments: tuple[str, ...], said: str
) -> None:
    refused = call(demo_place, *arguments)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split()) and "fix:" in refused.stderr
