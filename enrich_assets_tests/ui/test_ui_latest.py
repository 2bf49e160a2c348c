"""Which run is the latest: the same one for every reader, wherever the run was executed."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from enrich_assets.reading import open_run
from enrich_assets_tests.service.viewer_kit import served
from enrich_assets_tests.ui.dagster_kit import Dagster, wait_until


def test_runs_by_launchpad_schedule_and_command_are_each_the_latest_for_every_reader(
    dagster: Dagster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_launchpad = _by_launchpad(dagster)
    assert _everybody_s_latest(dagster, "demo") == {by_launchpad}

    file = tmp_path / "ports" / "weekly.yaml"
    file.parent.mkdir()
    file.write_text(dagster.enrich("presets", "demo").stdout, encoding="utf-8")
    by_schedule = _by_schedule(dagster, file, monkeypatch)
    assert _everybody_s_latest(dagster, "weekly") == {by_schedule} != {by_launchpad}
    assert open_run("latest:demo", storage=dagster.storage).run_id == by_launchpad

    by_command = _by_command(dagster)
    assert _everybody_s_latest(dagster, "demo") == {by_command}
    assert open_run("latest:ports/weekly", storage=dagster.storage).run_id == by_schedule
    listed = json.loads(dagster.enrich("runs", "--series", "weekly", "--json").stdout)
    assert [(run["run_id"], run["series"]) for run in listed] == [(by_schedule, "ports/weekly")]


def _by_launchpad(dagster: Dagster) -> str:
    launch_id = dagster.launch_job("new_run", {"ops": {"new_run_settings": {"config": {"preset": "demo"}}}})
    assert dagster.wait_until_ended(launch_id) == "SUCCESS"
    tags = {tag["key"]: tag["value"] for tag in _run(dagster, launch_id)["tags"]}
    run_id = str(tags["enrich/run"])
    wait_until(lambda: dagster.launches(run_id), 60, "the sensor launches the run")
    assert dagster.wait_until_ended(dagster.launches(run_id)[0]["runId"], 120) == "SUCCESS"
    return run_id


def _by_schedule(dagster: Dagster, file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tick of the daily schedule at this moment, and the launch that it asks for."""
    for name, value in {**dagster.environment, "ENRICH_DAILY_SETTINGS": str(file)}.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings(), dagster.instance() as instance:
        warnings.simplefilter("ignore")
        import dagster as dg

        from enrich_assets.defs.build import build_definitions, graph_jobs
        from enrich_assets.defs.schedules import daily_schedule
        from enrich_assets.graphs.intelligence import INTELLIGENCE

        daily = daily_schedule(INTELLIGENCE, "daily", graph_jobs(INTELLIGENCE)[0], at="06:00")
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=datetime.now(UTC), resources=build_definitions().resources
        ) as context:
            request: Any = daily(context)
    launch_id = dagster.launch(
        request.partition_key,
        INTELLIGENCE.names,
        job="intelligence",
        **request.tags,
        **{"dagster/schedule_name": "daily"},
    )
    assert dagster.wait_until_ended(launch_id, 120) == "SUCCESS"
    return str(request.partition_key)


def _by_command(dagster: Dagster) -> str:
    done = dagster.enrich("run", "--preset", "demo", "--launch", ENRICH_UI_URL=dagster.url)
    assert done.returncode == 0, done.stderr
    launch_id = done.stdout.split("/runs/")[1].split()[0]
    assert dagster.wait_until_ended(launch_id, 120) == "SUCCESS"
    return done.stdout.split()[1]


def _run(dagster: Dagster, launch_id: str) -> dict[str, Any]:
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    return dict(dagster.ask(query, id=launch_id)["runOrError"])


def _everybody_s_latest(dagster: Dagster, series: str) -> set[str]:
    """What each reader takes for the latest, of all runs and of a series; one ID where they agree."""
    kept = json.loads(dagster.enrich("keep", "--json").stdout)
    found = {run["run_id"] for run in kept if run["why"] == "it is the latest"}
    found.add((dagster.storage / "intelligence" / "latest").resolve().name)
    for reference in ("latest", f"latest:{series}"):
        found.add(open_run(reference, storage=dagster.storage).run_id)
        found.add(json.loads(dagster.enrich("show", reference, "--json").stdout)["run_id"])
    with served(dagster.storage) as viewer:
        for reference in ("latest", f"latest:{series}"):
            page = httpx.get(f"{viewer.url}/runs/{reference}", follow_redirects=True, timeout=60).text
            found.add(page.split("/phases/")[0].rpartition("/runs/")[2])
    return found
