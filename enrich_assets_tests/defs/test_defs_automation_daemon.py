"""The real daemon: the inbox and `new_run` make one run each, and none twice after it was started again; a backfill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets_tests.defs.conftest import Room

PROJECT = Path(__file__).parents[2]
# The job is cut down to the first phase, which reads no page, and the inbox is looked at as often as the daemon can.
TINY = """
import dagster as dg

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.inbox import inbox_sensor
from enrich_assets.defs.new_run import continuing_sensor, new_run_job
from enrich_assets.graphs.intelligence import INTELLIGENCE

made = build_definitions()
first = dg.define_asset_job(
    "intelligence", selection=dg.AssetSelection.assets("initialized"), executor_def=dg.in_process_executor
)
new_run = new_run_job(INTELLIGENCE, "new_run")
defs = dg.Definitions(
    assets=made.assets,
    jobs=[first, new_run],
    resources=made.resources,
    sensors=[
        continuing_sensor("new_run_continues", new_run, first),
        inbox_sensor(INTELLIGENCE, "intelligence_inbox", first, seconds=1),
    ],
)
"""
SETTINGS = (
    "title: Dropped\nsources: [{id: a, name: A, url: 'https://a.example/feed.xml'}]\n"
    "categories: [{id: c, name: C, description: D, keywords: [k]}]\n"
)
BEGIN = "ops: {new_run_settings: {config: {preset: ai_news, title: From the launchpad}}}\n"


@contextmanager
def daemon(room: Room, environment: dict[str, str]) -> Iterator[None]:
    """The daemon, ended with all that it started."""
    with (room.home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-f", "tiny.py", "-a", "defs"],
            cwd=room.home, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield
        assert process.poll() is None, (room.home / "daemon.log").read_text(encoding="utf-8")[-3000:]
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(holds: Callable[[], Any], room: Room, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.3)
    pytest.fail((room.home / "daemon.log").read_text(encoding="utf-8")[-3000:])


def launches(room: Room) -> list[tuple[str, str]]:
    """Partition and status of each launch of the graph."""
    found = room.instance.get_runs(filters=dg.RunsFilter(job_name="intelligence"))
    return [(launch.tags["dagster/partition"], launch.status.value) for launch in found]


def registrations(room: Room) -> dict[str, Any]:
    """What the ledger holds of each run, and the published settings."""
    with room.ledger() as ledger:
        return {
            run["run_id"]: (ledger.registration(run["run_id"]), room.envelope("initialized", run["run_id"]).data_sha256)
            for run in ledger.runs()
        }


def last_ticks(room: Room) -> dict[str, float]:
    """When each sensor that has a cursor was last evaluated."""
    known = {state.instigator_name: state.instigator_data for state in room.instance.all_instigator_state()}
    return {name: data.last_tick_timestamp or 0.0 for name, data in known.items() if getattr(data, "cursor", None)}


def command(room: Room, environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *words, "-f", "tiny.py", "-a", "defs"],
        cwd=room.home, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_inbox_and_new_run_make_one_run_each_and_none_twice_after_a_restart(room: Room) -> None:
    (room.home / "tiny.py").write_text(TINY, encoding="utf-8")
    (room.home / "begin.yaml").write_text(BEGIN, encoding="utf-8")
    inbox = room.home / "data" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "weekly.yaml").write_text(SETTINGS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    with daemon(room, environment):
        command(room, environment, "sensor", "start", "intelligence_inbox")
        wait_for(lambda: "new_run_continues" in last_ticks(room), room)
        command(room, environment, "job", "launch", "-j", "new_run", "-c", "begin.yaml")
        wait_for(lambda: [status for _, status in launches(room)] == ["SUCCESS"] * 2, room)
        wait_for(lambda: list((inbox / "done").glob("*-weekly.yaml")), room)
    first = sorted(launches(room))
    before = registrations(room)
    with daemon(room, environment):
        since = time.time()
        keys = ",".join(run_id for run_id, _ in first)
        # Over both runs: a backfill changes no settings, and launches each run by itself.
        command(room, environment, "job", "backfill", "-j", "intelligence", "--partitions", keys, "--noprompt")
        names = ("new_run_continues", "intelligence_inbox")
        wait_for(lambda: all(last_ticks(room).get(name, 0) > since + 3 for name in names), room)
        wait_for(lambda: [status for _, status in launches(room)] == ["SUCCESS"] * 4, room)
    with room.ledger() as ledger:
        begun = {run["run_id"]: run["title"] for run in ledger.runs()}

    assert sorted(launches(room)) == sorted(first * 2)
    assert registrations(room) == before
    assert sorted(begun.values()) == ["Dropped", "From the launchpad"]
    assert sorted(begun) == [run_id for run_id, _ in first]
    assert all(room.envelope("initialized", run_id).status == "complete" for run_id in begun)
