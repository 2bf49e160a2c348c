"""Every command and every type of report over runs whose settings leave what they can at its default.

The demo names a moment, a title and many sources; most people name none of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets_tests.cli.conftest import CommandPlace, made_place
from enrich_assets_tests.cli.small_runs import article, feed_of, settings_file

KINDS = ("untitled", "umlauts", "nothing")
REPORTS = {
    "report.md", "report.html", "articles.xlsx", "pipeline_summary.html", "data_quality.html", "full_report.pdf",
    "numbers.json",
}  # fmt: skip
VALUES: dict[str, dict[str, Any]] = {
    "untitled": {},
    "umlauts": {"title": "Häfen – 港口 ñ"},
    "nothing": {"categories": [{"id": "fire", "name": "Fire", "description": "Fires.", "keywords": ["volcano"]}]},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandPlace, dict[str, tuple[str, Any]], Path]:
    """A place with one finished run of each kind: its ID and what the command said; and a settings file."""
    folder = tmp_path_factory.mktemp("small")
    place = made_place(folder)
    made = {}
    with feed_of([article(1), article(2), article(3)]) as server:
        for kind in KINDS:
            settings = settings_file(folder, server, compare_with=0, **VALUES[kind])
            made[kind] = (said := place.enrich("run", "--settings", str(settings))), place.run_ids()[0]
            assert said.returncode == 0, said.stdout + said.stderr
    return place, {kind: (run_id, said) for kind, (said, run_id) in made.items()}, settings


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_report_is_made(runs: Any, call: Callable[..., Any], kind: str) -> None:
    place, made, _ = runs
    done = call(place, "report", made[kind][0])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (place.storage / "reports" / made[kind][0]).iterdir()} == REPORTS


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_that_looks_at_a_run_does(runs: Any, call: Callable[..., Any], kind: str, tmp_path: Path) -> None:
    place, made, settings = runs
    run_id = made[kind][0]
    phases = GRAPHS["intelligence"].names
    for arguments in (
        ["runs"], ["runs", "--json"], ["show", run_id], ["show", run_id, "--json"], ["show", run_id, "--findings"],
        ["show", run_id, "--findings", "--json"], *(["show", run_id, phase] for phase in phases),
        *(["show", run_id, phase, "--json"] for phase in phases),
        *(["show", run_id, phase, "--rows"] for phase in phases[1:]),
        ["show", run_id, "tier1", "--figure", "drop_reasons", "--out", str(tmp_path / "drops.svg")],
        *(
            ["compare", run_id, other, "--html", str(tmp_path / "differs.html")]
            for other, _ in made.values() if other != run_id
        ),
        ["watch", run_id, "--once"],
        ["pause", run_id], ["budget", run_id], ["budget", "--json"], ["check", run_id], ["check", run_id, "--numbers"],
        ["keep"], ["keep", "--pin", run_id], ["keep", "--unpin", run_id], ["estimate", run_id],
        ["estimate", "--settings", str(settings)], ["estimate", "--like", run_id], ["resume", run_id],
        ["sources", "list", "--settings", str(settings)], ["forget", "--list"], ["presets"],
    ):  # fmt: skip
        done = call(place, *arguments)
        assert done.exit_code == 0, (arguments, done.output)


def test_a_title_that_is_not_ascii_finds_its_run(runs: Any, call: Callable[..., Any]) -> None:
    place, made, _ = runs
    assert json.loads(call(place, "show", "Häfen – 港口 ñ", "--json").stdout)["run_id"] == made["umlauts"][0]


def test_a_run_is_made_again_and_another_like_it(runs: Any, call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    place = runs[0].copied_to(tmp_path / "copy")
    for kind in KINDS:
        run_id = runs[1][kind][0]
        assert place.enrich("run", run_id, "--only", "report").returncode == 0
        like = place.enrich("run", "--like", run_id, "--set", "tier3.threshold=1")
        assert like.returncode == 0, like.stdout + like.stderr
        assert call(place, "compare", run_id, "latest").exit_code == 0
