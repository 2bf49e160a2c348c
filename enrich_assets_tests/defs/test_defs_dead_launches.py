"""Launches whose process is gone: what this machine can know of them, and what the ledger knows of processes elsewhere.

The instance cannot be opened: what is wrong with its database is said by what to write.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from enrich_assets.core.errors import UserError
from enrich_assets.defs.instance import open_instance
from enrich_assets.defs.processes import PROCESS_TAG, SILENT_SECONDS, close_dead_launches
from enrich_assets.engine.leases import acquire
from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests.defs.conftest import Room

ELSEWHERE = "another-machine:4711:1234567"
LAUNCH = "00000000-0000-0000-0000-000000000001"
DEPLOYED = Path(__file__).parents[2] / "deploy" / "dagster.postgres.yaml"


def launched_elsewhere(demo: Room, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    """A launch of the demo run that a process on another machine executes."""
    last = demo.instance.get_runs(limit=1)[0]
    tags = {**last.tags, "dagster/partition": demo.run_id, PROCESS_TAG: f"{ELSEWHERE} {LAUNCH}"}
    demo.instance.add_run(last.with_status(status).with_tags(tags)._replace(run_id=LAUNCH))
    return LAUNCH


def lease_that_ran_out(ledger: Ledger, name: str, seconds_ago: float, holder: str = ELSEWHERE) -> None:
    """A lease that nobody gave back, because its holder is gone."""
    lease = acquire(ledger._engine, name, holder=holder, seconds=3600)
    lease._ended.set()  # nobody renews it from here on
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE enrich_leases SET expires_at = expires_at - 3600 - {seconds_ago} WHERE name = '{name}'"
        )


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
    ],
)
def test_a_process_elsewhere_that_let_its_lease_run_out_long_ago_is_dead(
    demo_copy: Room, status: dg.DagsterRunStatus, ended: dg.DagsterRunStatus
) -> None:
    launch_id = launched_elsewhere(demo_copy, status)
    with demo_copy.ledger() as ledger:
        lease_that_ran_out(ledger, f"{demo_copy.run_id}/tier2", SILENT_SECONDS + 60)
        assert close_dead_launches(demo_copy.instance, demo_copy.run_id) == []  # without the ledger nobody can tell
        assert close_dead_launches(demo_copy.instance, demo_copy.run_id, ledger=ledger) == [launch_id]
    launch = demo_copy.instance.get_run_by_id(launch_id)

    assert launch is not None and launch.status is ended
    if ended is dg.DagsterRunStatus.FAILURE:
        (event,) = demo_copy.instance.all_logs(launch_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "on another-machine" in event.message and "let its lease run out 6 min ago" in event.message


def test_a_process_elsewhere_that_may_live_is_left_alone(demo_copy: Room) -> None:
    launched_elsewhere(demo_copy)
    with demo_copy.ledger() as ledger:

        def closed(silent_seconds: float = SILENT_SECONDS) -> list[str]:
            return close_dead_launches(demo_copy.instance, ledger=ledger, silent_seconds=silent_seconds)

        assert closed() == closed(0.0) == []  # no lease: it may be between two phases
        lease_that_ran_out(ledger, f"{demo_copy.run_id}/tier1", 900, holder="another-machine:4712:1")
        lease_that_ran_out(ledger, "20200101_000000/tier1", 900)
        assert closed() == closed(0.0) == []  # neither another process nor another run says anything of this one
        lease_that_ran_out(ledger, f"{demo_copy.run_id}/tier2", -20)
        assert closed() == closed(0.0) == []  # it holds
        lease_that_ran_out(ledger, f"{demo_copy.run_id}/tier3", 60)
        assert closed() == []  # a minute of a database that was away is no death


def test_whoever_takes_a_phase_over_closes_the_launch_that_lost_it(demo_copy: Room) -> None:
    launch_id = launched_elsewhere(demo_copy)
    with demo_copy.ledger() as ledger:
        lease_that_ran_out(ledger, f"{demo_copy.run_id}/tier2", 5)
        assert close_dead_launches(demo_copy.instance, ledger=ledger, silent_seconds=0.0) == [launch_id]


def test_a_postgres_url_without_its_driver_is_answered_with_the_driver_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DEPLOYED, tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://enrich:hunter2@127.0.0.1:1/enrich")
    with pytest.raises(UserError) as told:
        open_instance()

    assert "the Python package psycopg" in told.value.what and "postgresql+psycopg2://" in told.value.fix
    assert "hunter2" not in str(told.value)
