"""One number for one thing: what a phase took, gave, lost, asked and paid is the same wherever it is shown."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from enrich_assets.core.units import money
from enrich_assets_tests.cli.conftest import CommandPlace, made_place
from enrich_assets_tests.cli.small_runs import TEXTS, article, feed_of, settings_file
from enrich_assets_tests.cli.test_cli_lost_pages import QUICK, serve_pages
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.newsroom import newsroom_answer
from enrich_assets_tests.service.viewer_kit import served

COUNTS = ("rows_in", "rows_out", "dropped", "failed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandPlace, dict[str, int]]:
    """Runs by title with the calls that the model server counted: `lost`, one page of three; `twice`, a phase paid in
    two launches; `nothing`, all rows dropped."""
    folder = tmp_path_factory.mktemp("counts")
    place, calls = made_place(folder), {}
    with (
        feed_of([article(n, content_text="") for n in TEXTS]) as server,
        ModelServer(answers=newsroom_answer) as model,
    ):
        serve_pages(server, status={1: 404})
        own = {
            "model": "openai/loopback", "base_url": model.base_url, "path": "direct", "context_tokens": 100_000,
            "usd_per_million_input": 2, "usd_per_million_output": 8,
        }  # fmt: skip
        plain: dict[str, Any] = {**QUICK, "tier3": {"threshold": 0}, "tier2": {"threshold": 0}}
        nothing = [{"id": "fire", "name": "Fire", "description": "Fires.", "keywords": ["volcano"]}]
        for title, values in (
            ("lost", plain),
            ("twice", {**plain, "tier2": {"threshold": 0, "model": "own"}, "models": {"own": own}}),
            ("nothing", {**plain, "categories": nothing}),
        ):
            done = place.enrich("run", "--settings", str(settings_file(folder, server, title=title, **values)))
            assert done.returncode == 0, done.stdout + done.stderr
            if title == "twice":
                assert place.enrich("run", title, "--from", "tier2", "--again").returncode == 0
            calls[title] = model.calls
    return place, calls


@pytest.mark.parametrize("title", ["lost", "twice", "nothing"])
def test_every_place_shows_the_same_counts(runs: Any, call: Callable[..., Any], title: str, tmp_path: Path) -> None:
    place, calls = runs
    shown = json.loads(call(place, "show", title, "--json").stdout)
    run_id = shown["run_id"]
    phases = {phase["phase"]: phase for phase in shown["phases"] if phase["phase"] != "report"}
    assert call(place, "report", title, "--out", str(tmp_path / "reports")).exit_code == 0
    numbers = json.loads((tmp_path / "reports" / "numbers.json").read_text(encoding="utf-8"))["reports"]
    reports = {name: {one["pointer"]: one["value"] for one in listed} for name, listed in numbers.items()}
    assert shown["reports"][0].endswith("/reports/report.html")
    recorded, viewed, materialized = place.recorded(run_id), _viewer(place, run_id), _dagster(place, run_id, phases)
    for place_in_report, (name, phase) in enumerate(phases.items()):
        counts, usage = phase["counts"], phase["usage"]
        told = {name: counts[name] for name in COUNTS}
        asked = usage["model_calls"] + usage["page_requests"] + usage["search_requests"]
        one = json.loads(call(place, "show", title, name, "--json").stdout)
        assert {name: one["counts"][name] for name in COUNTS} == told, name
        assert {key: recorded[name][key] for key in COUNTS} == told, name
        assert recorded[name]["calls"] == asked, name
        at = f"/phases/{place_in_report}"
        summary = reports["summary"]
        assert {key: summary[f"{at}/{key}"] for key in COUNTS} == told, name
        assert summary[f"{at}/model_calls"] == usage["model_calls"], name
        assert summary[f"{at}/cost"] == pytest.approx(phase["cost"]), name
        quality = reports["quality"]
        assert {key: quality[f"{at}/{key}"] for key in COUNTS[1:]} == {key: told[key] for key in COUNTS[1:]}, name
        assert quality[f"{at}/judged"] == told["rows_out"] + told["dropped"] + told["failed"], name
        news = reports["news"]
        assert {key: news[f"/funnel/{place_in_report}/{key}"] for key in COUNTS} == told, name
        assert news[f"/usage/phases/{place_in_report}/model_calls"] == usage["model_calls"], name
        assert viewed[name] == [*told.values(), asked, money(phase["cost"])], name
        assert (materialized[name]["dropped"], materialized[name]["failed"]) == (told["dropped"], told["failed"])
        assert (
            materialized[name]["kept"] == counts["kept"] and materialized[name]["model_calls"] == usage["model_calls"]
        )
    lines = call(place, "show", title).stdout.splitlines()
    for name, phase in phases.items():
        line = next(line for line in lines if f" {name} " in line)
        assert f"{phase['counts']['rows_in']} → {phase['counts']['rows_out']}" in line
    if title == "twice":
        assert phases["tier2"]["usage"]["model_calls"] == calls["twice"] - calls["lost"] > 1


def _viewer(place: CommandPlace, run_id: str) -> dict[str, list[Any]]:
    """In, out, dropped, failed, requests and cost of each phase, as the viewer's page of the run has them."""
    with served(place.storage) as viewer:
        soup = BeautifulSoup(viewer.get(f"/runs/{run_id}").text, "html.parser")
    found = {}
    for row in soup.find("table", class_="phases").find("tbody").find_all("tr"):
        cells = [cell.get_text(strip=True) for cell in row.find_all("td")]
        numbers = [int(cell.replace(",", "")) for cell in cells[1:6]]
        found[row.find("th").get_text(" ", strip=True).split()[-1]] = [*numbers, cells[7]]
    return found


def _dagster(place: CommandPlace, run_id: str, phases: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metadata of each phase's newest materialization."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dagster as dg

        found = {}
        with dg.DagsterInstance.from_config(str(place.home)) as instance:
            for name in phases:
                wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey([name]), asset_partitions=[run_id])
                made = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
                assert made is not None
                found[name] = {key: getattr(value, "value", None) for key, value in made.metadata.items()}
    return found
