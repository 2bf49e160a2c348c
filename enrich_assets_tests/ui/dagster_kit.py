"""Dagster as people run it: `enrich ui` with webserver, daemon and code server, in a folder and on a port of its own.

Belongs here: starting and ending it, and asking it through GraphQL. What a browser does belongs to `browser_kit`.
https://docs.dagster.io/api/graphql
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.store import Store
from enrich_assets_tests import warm

PROJECT = Path(__file__).resolve().parents[2]
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "enrich_assets"}
PARTITION = "dagster/partition"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")

_LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on PresetNotFoundError { message } } }
"""
_TERMINATE = """
mutation ($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_RUNS = """
query ($filter: RunsFilter) { runsOrError(filter: $filter, limit: 50) { ... on Runs { results {
  runId status jobName startTime endTime parentRunId tags { key value } assetSelection { path }
} } } }
"""
_BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PartitionBackfill { status numPartitions } ... on PythonError { message } } }
"""


@dataclass
class Dagster:
    """A running webserver with its daemon and code server, on a home and a storage of its own."""

    home: Path
    storage: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.home, self.storage)

    def enrich(self, *arguments: str, seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """Calls the command on the same home and storage."""
        return warm.enrich(*arguments, environment={**self.environment, **environment}, seconds=seconds)

    def prepare(self, values: Mapping[str, Any] | None = None, *words: str) -> str:
        """Claims a run with `enrich run --prepare`, from settings or from the words given, and gives its ID."""
        given = list(words)
        if values is not None:
            file = self.home / "settings.yaml"
            file.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
            given += ["--settings", str(file)]
        prepared = self.enrich("run", "--prepare", *given)
        assert prepared.returncode == 0, prepared.stderr
        return prepared.stdout.split()[1]

    def ledger(self) -> Ledger:
        """The ledger of the storage, opened anew."""
        return Ledger.for_storage(str(self.storage))

    def store(self) -> Store:
        """The published runs."""
        return Store(str(self.storage))

    def recorded(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The ledger's view of a run's phases by name."""
        with self.ledger() as ledger:
            return {str(row["phase"]): row for row in ledger.phases(run_id)}

    def began_at(self, run_id: str, phase: str) -> datetime:
        """When a phase of a run began."""
        return datetime.fromisoformat(str(self.recorded(run_id)[phase]["started_at"]))

    @contextmanager
    def instance(self) -> Iterator[Any]:
        """The instance that the webserver shows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import dagster as dg

            before = Path.cwd()
            os.chdir(self.home)  # what dagster.yaml names is relative to it
            try:
                with dg.DagsterInstance.from_config(str(self.home)) as instance:
                    yield instance
            finally:
                os.chdir(before)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        response = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30)
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def launch(self, run_id: str, phases: Sequence[str], *, job: str = "__ASSET_JOB", **tags: str) -> str:
        """Launches phases of a run as the UI does, with further tags; gives the launch's ID."""
        selector = {**REPOSITORY, "pipelineName": job, "assetSelection": [{"path": [name]} for name in phases]}
        params = {
            "selector": selector,
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in {PARTITION: run_id, **tags}.items()]
            },
        }
        answer = self.ask(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def launch_job(self, job: str, config: Mapping[str, Any] | None = None) -> str:
        """Launches a job that works on no run; gives the launch's ID."""
        params = {
            "selector": {**REPOSITORY, "pipelineName": job},
            "mode": "default",
            "runConfigData": dict(config or {}),
        }
        answer = self.ask(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, launch_id: str) -> None:
        """Asks a launch to end, as the UI's button does."""
        answer = self.ask(_TERMINATE, id=launch_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def backfill(self, run_ids: Sequence[str], phases: Sequence[str]) -> str:
        """Launches a backfill of phases over runs; gives its ID."""
        keys = [{"path": [name]} for name in phases]
        answer = self.ask(_BACKFILL, params={"assetSelection": keys, "partitionNames": list(run_ids)})
        answer = answer["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        return str(self.ask(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"])

    def launches(self, run_id: str) -> list[dict[str, Any]]:
        """The launches of a run, newest first, with their tags as a mapping."""
        found = self.ask(_RUNS, filter={"tags": [{"key": PARTITION, "value": run_id}]})["runsOrError"]["results"]
        return [{**launch, "tags": {tag["key"]: tag["value"] for tag in launch["tags"]}} for launch in found]

    def status(self, launch_id: str) -> str:
        found = self.ask(_RUNS, filter={"runIds": [launch_id]})["runsOrError"]["results"]
        return str(found[0]["status"])

    def wait_until_ended(self, launch_id: str, seconds: float = 90) -> str:
        """How a launch ended."""
        wait_until(lambda: self.status(launch_id) in ENDED, seconds, f"launch {launch_id} to end")
        return self.status(launch_id)

    def code_servers(self) -> list[int]:
        """The processes that serve the definitions; the last one starts the workers."""
        return [number for number, words in self._descendants() if "code-server" in words or "grpc" in words]

    def workers(self) -> list[int]:
        """The processes that execute launches: what the code servers started, but Python's own helpers."""
        servers = set(self.code_servers())
        found = [(number, words) for number, words in self._descendants() if parent_of(number) in servers]
        return [n for n, words in found if n not in servers and any("spawn_main" in word for word in words)]

    def _descendants(self) -> list[tuple[int, list[str]]]:
        found, wanted = [], {self.process.pid}
        processes = [(number, parent_of(number)) for number in _all_processes()]
        while wanted:
            wanted = {number for number, parent in processes if parent in wanted}
            found += [(number, _words_of(number)) for number in sorted(wanted)]
        return found


def prepare_home(folder: Path) -> tuple[Path, Path]:
    """A new home below `folder` with the project's own dagster.yaml, and where its storage will be."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    return home, folder / "data"


@contextmanager
def running_dagster(folder: Path, *, home: Path | None = None, storage: Path | None = None) -> Iterator[Dagster]:
    """`enrich ui`, ready, on the home and storage given, else on new ones below `folder`, where its log stands."""
    if home is None or storage is None:
        home, storage = prepare_home(folder)
    port = free_port()
    with (folder / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "enrich_assets.cli.main", "ui", "--port", str(port)],
            env=environment_of(home, storage),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    dagster = Dagster(home, storage, port, process)
    try:
        wait_until(lambda: _is_ready(dagster), 120, f"the webserver to be ready: {folder / 'ui.log'}")
        yield dagster
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment_of(home: Path, storage: Path) -> dict[str, str]:
    """The environment of every process of the tests: nothing of the project's or of a provider's is inherited."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "OPENAI_", "DAGSTER"))}
    return {
        **kept,
        "DAGSTER_HOME": str(home),
        "ENRICH_STORAGE": str(storage),
        "COLUMNS": "100",
        "PYTHONIOENCODING": "utf-8",
    }


def wait_until(holds: Callable[[], Any], seconds: float, what: str) -> None:
    """Waits for a condition; the error of its absence says for what."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def parent_of(number: int) -> int:
    """The parent of a process, 0 where it is gone."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def is_gone(number: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in ("Z", "X")


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _words_of(number: int) -> list[str]:
    try:
        return Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []


def _is_ready(dagster: Dagster) -> bool:
    assert dagster.process.poll() is None, (dagster.home.parent / "ui.log").read_text(encoding="utf-8")
    query = """{ instance { daemonHealth { allDaemonStatuses { required healthy } } }
      workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
        __typename ... on PythonError { message } } } } } }"""
    try:
        answer = httpx.post(f"{dagster.url}/graphql", json={"query": query}, timeout=30).json()["data"]
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    served = [entry["locationOrLoadError"] for entry in answer["workspaceOrError"]["locationEntries"]]
    for found in filter(None, served):
        assert found["__typename"] == "RepositoryLocation", found
    return any(served) and all(daemon["healthy"] for daemon in daemons if daemon["required"])
