"""Launches that commands hand to the webserver, two of one run, and the assets inside another project's UI."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from enrich_assets.defs.registered import settings_tag
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests import warm
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.ui.dagster_kit import Dagster, environment_of, free_port, prepare_home, wait_until
from enrich_assets_tests.ui.news_wire import NewsWire, endpoint

FOREIGN = """
import dagster as dg
from enrich_assets.definitions import build_definitions


@dg.asset
def their_own() -> None:
    ...


defs = dg.Definitions.merge(dg.Definitions(assets=[their_own]), build_definitions(key_prefix="theirs"))
"""


@pytest.fixture(scope="module")
def wire() -> Iterator[NewsWire]:
    with NewsWire(24) as running:
        yield running


def test_a_command_hands_a_run_to_the_webserver_and_returns(dagster: Dagster) -> None:
    # Two at once; the second finds the UI of the same home without an address.
    addressed: list[dict[str, str]] = [{"ENRICH_UI_URL": dagster.url}, {}]
    done = [dagster.enrich("run", "--preset", "demo", "--launch", **further) for further in addressed]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    run_ids = [one.stdout.split()[1] for one in done]
    for one, run_id in zip(done, run_ids, strict=True):
        page = one.stdout.split("launched ")[1].split()[0]
        assert page.startswith(f"{dagster.url}/runs/")
        assert dagster.wait_until_ended(page.rpartition("/")[2], 120) == "SUCCESS"
        assert {row["status"] for row in dagster.recorded(run_id).values()} == {"complete"}
    again = dagster.enrich("run", run_ids[0], "--only", "ranked", "--launch", ENRICH_UI_URL=dagster.url)
    assert again.returncode == 0, again.stderr
    launch_id = again.stdout.split("/runs/")[1].split()[0]
    assert dagster.wait_until_ended(launch_id) == "SUCCESS"
    (launch,) = [one for one in dagster.launches(run_ids[0]) if one["runId"] == launch_id]
    assert [key["path"] for key in launch["assetSelection"]] == [["ranked"]]


def test_nobody_there_is_said_and_the_run_is_kept(dagster: Dagster) -> None:
    done = dagster.enrich("run", "--preset", "demo", "--launch", ENRICH_UI_URL=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert "no webserver answers at http://127.0.0.1:" in done.stderr and "enrich ui" in done.stderr


def test_a_webserver_on_another_storage_gets_no_launch(dagster: Dagster, tmp_path: Path) -> None:
    before = dagster.ask("{ runsOrError { ... on Runs { results { runId } } } }")
    done = dagster.enrich("run", "--preset", "demo", "--launch", ENRICH_STORAGE=str(tmp_path / "elsewhere"))
    run_id = done.stdout.split()[1]
    assert done.returncode == 2
    assert f"works with ENRICH_STORAGE {dagster.storage}, and this command with {tmp_path / 'elsewhere'}" in done.stderr
    assert f"enrich resume {run_id}" in done.stderr
    assert dagster.ask("{ runsOrError { ... on Runs { results { runId } } } }") == before


def test_a_webserver_of_another_instance_gets_no_launch(dagster: Dagster, tmp_path: Path) -> None:
    home, storage = prepare_home(tmp_path)
    there = {**environment_of(home, storage), "ENRICH_UI_URL": dagster.url}
    done = warm.enrich("run", "--preset", "demo", "--launch", environment=there)
    run_id = done.stdout.split()[1]
    assert done.returncode == 2
    assert f"belongs to another Dagster instance: it does not know the run {run_id}" in done.stderr
    assert dagster.launches(run_id) == []


def test_what_launches_a_run_with_another_ledger_is_refused_by_its_first_phase(
    dagster: Dagster, tmp_path: Path
) -> None:
    # The webserver is not known to be another storage's where somebody else started it: then the tag tells.
    elsewhere = {"ENRICH_STORAGE": str(tmp_path / "elsewhere")}
    prepared = dagster.enrich("run", "--preset", "demo", "--prepare", **elsewhere)
    run_id = prepared.stdout.split()[1]
    with Ledger.for_storage(elsewhere["ENRICH_STORAGE"]) as ledger:
        tags = settings_tag(run_id, ledger)
    launch_id = dagster.launch(run_id, ["initialized"], **tags)
    assert dagster.wait_until_ended(launch_id) == "FAILURE"
    with dagster.instance() as instance:
        told = [str(entry.user_message) + str(entry.dagster_event) for entry in instance.all_logs(launch_id)]
    assert any(f"the settings of {run_id} are not in the ledger of this process" in text for text in told)
    assert dagster.recorded(run_id) == {} or "complete" not in str(dagster.recorded(run_id))


def test_a_second_ui_of_the_same_home_is_refused_with_the_address_of_the_first(dagster: Dagster) -> None:
    done = dagster.enrich("ui")
    assert done.returncode == 2
    assert f"the UI of this instance runs already at {dagster.url}, process {dagster.process.pid}" in done.stderr


def test_a_run_that_is_launched_twice_at_once_is_worked_on_once(dagster: Dagster, wire: NewsWire) -> None:
    with ModelServer(latency=10.0) as server:
        settings = wire.settings("twice", **endpoint(server.base_url), concurrency=4, tier3={"model": "own"})
        run_id = dagster.prepare(settings)
        first = dagster.launch(run_id, INTELLIGENCE.names)
        wait_until(lambda: server.in_flight, 90, "the first launch to ask")
        second = dagster.launch(run_id, ["tier3"])
        assert dagster.wait_until_ended(second) == "FAILURE"
        with dagster.instance() as instance:
            told = [str(entry.user_message) + str(entry.dagster_event) for entry in instance.all_logs(second)]
        assert any(f"{run_id}/tier3 is being worked on by" in text for text in told)
        assert dagster.status(first) == "STARTED"
        server.latency = 0.0
        assert dagster.wait_until_ended(first) == "SUCCESS"
    assert {row["status"] for row in dagster.recorded(run_id).values()} == {"complete"}


@pytest.mark.long
def test_new_run_has_a_place_while_four_runs_work_and_a_fifth_waits(dagster: Dagster, wire: NewsWire) -> None:
    bad = {"ops": {"new_run_settings": {"config": {"preset": "demo", "overrides": {"titel": 1}}}}}
    with ModelServer(latency=600.0) as server:
        asking = {"concurrency": 1, "tier3": {"model": "own"}}
        names = [f"busy {number}" for number in range(5)]
        settings = [
            wire.settings(name, **endpoint(server.base_url), **asking, company={"name": name}) for name in names
        ]
        launches = [dagster.launch(dagster.prepare(one), INTELLIGENCE.names) for one in settings]
        try:
            wait_until(lambda: server.in_flight == 4, 120, "four runs to ask")
            slip = dagster.launch_job("new_run", bad)
            assert dagster.wait_until_ended(slip, 60) == "FAILURE"
            assert sorted(dagster.status(one) for one in launches) == ["QUEUED", *["STARTED"] * 4]
        finally:
            for one in launches[::-1]:
                dagster.terminate(one)
            for one in launches:
                dagster.wait_until_ended(one, 40)


@pytest.mark.long
def test_another_project_shows_and_makes_our_assets_under_its_prefix(tmp_path: Path) -> None:
    home, storage = prepare_home(tmp_path)
    (home / "theirs.py").write_text(FOREIGN, encoding="utf-8")
    port = free_port()
    environment = {**environment_of(home, storage), "PYTHONWARNINGS": "ignore"}
    prepare = [sys.executable, "-m", "enrich_assets.cli.main", "run", "--preset", "demo", "--prepare"]
    run_id = subprocess.run(prepare, env=environment, capture_output=True, text=True, check=True).stdout.split()[1]
    with (tmp_path / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", "-f", "theirs.py", "-p", str(port)],
            cwd=home, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: _answers(port), 90, "the webserver to be ready")
        made = subprocess.run(
            [sys.executable, "-m", "dagster", "asset", "materialize", "-f", "theirs.py", "--partition",
             run_id, "--select", "theirs/initialized,theirs/scraped,theirs/tier1"],
            cwd=home, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr[-3000:]
        query = """{ assetNodes { assetKey { path } groupName assetMaterializations(limit: 1) { partition } } }"""
        nodes = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=60).json()["data"]
        found = {"/".join(node["assetKey"]["path"]): node for node in nodes["assetNodes"]}
        assert {"their_own", *(f"theirs/{name}" for name in INTELLIGENCE.names)} == set(found)
        assert found["theirs/tier1"]["assetMaterializations"][0]["partition"] == run_id, json.dumps(nodes)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
