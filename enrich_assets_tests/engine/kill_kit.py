"""The test's side of `kill_server`: starting and awaiting its processes, and what has to hold after every kill."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import judged
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine import tables
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.runner import run_phase
from enrich_assets.engine.spending import Spent
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets.store.store import Store
from enrich_assets_tests.engine.kill_driver import PHASE, RUN, USD_IN, USD_OUT
from enrich_assets_tests.model_server import ModelServer

ROOT = Path(__file__).resolve().parents[2]
_NUMBER = re.compile(r"Number: row (\d+)")


@dataclass(frozen=True)
class Ended:
    """How a driver's process ended: its exit code (negative: the signal), and its outcome if it came to that."""

    code: int
    outcome: dict[str, Any]

    @property
    def ended(self) -> str:
        return str(self.outcome.get("ended", ""))

    @property
    def message(self) -> str:
        return str(self.outcome.get("message", ""))


class Drivers:
    """One process that has imported the engine, and forks one more for every piece of work."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "enrich_assets_tests.engine.kill_server"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._started: queue.Queue[int] = queue.Queue()
        self._codes: dict[int, int] = {}
        self._told = threading.Condition()
        self._outcomes = tempfile.TemporaryDirectory(prefix="outcomes-")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "started" in told:
                self._started.put(told["started"])
                continue
            with self._told:
                self._codes[told["pid"]] = told["code"]
                self._told.notify_all()

    def start(self, folder: Path, **work: Any) -> int:
        """Starts a piece of work (`kill_driver.Work`); gives its process."""
        assert self._process.stdin is not None
        folder.mkdir(parents=True, exist_ok=True)
        self._process.stdin.write(json.dumps({"folder": str(folder), "outcomes": self._outcomes.name, **work}) + "\n")
        self._process.stdin.flush()
        return self._started.get(timeout=30)

    def wait(self, process: int, seconds: float = 60.0) -> Ended:
        """Waits for its end; kills it when it takes longer, and raises AssertionError."""
        with self._told:
            done = self._told.wait_for(lambda: process in self._codes, seconds)
        if not done:
            os.kill(process, signal.SIGKILL)
        assert done, f"the process was not gone after {seconds} s"
        file = Path(self._outcomes.name, f"{process}.json")
        outcome = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return Ended(self._codes[process], outcome)

    def run(self, folder: Path, **work: Any) -> Ended:
        """Starts a piece of work and waits for its end."""
        return self.wait(self.start(folder, **work))

    def close(self) -> None:
        """Ends the process that forks; what it started is ended by whoever started it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._outcomes.cleanup()


@dataclass
class Case:
    """One folder with its ledger, the model server, and the calls that were made so far."""

    drivers: Drivers
    server: ModelServer
    folder: Path
    ledger: str = ""
    work: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = {"base_url": self.server.base_url, "ledger": self.ledger, **self.work}

    def begin_at(self, folder: Path) -> None:
        """Begins anew in another folder, with nothing counted yet."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, server = folder, self.server
        server.calls = server.answered = server.tokens_in = server.tokens_out = 0
        server.requests.clear()

    @property
    def rows(self) -> int:
        return int(self.work.get("rows", 64))

    def start(self, **work: Any) -> int:
        """Starts the driver."""
        return self.drivers.start(self.folder, **{**self.work, **work})

    def run(self, **work: Any) -> Ended:
        """Runs the driver to its end."""
        ended = self.drivers.wait(self.start(**work))
        assert not ended.outcome.get("dagster"), "the driver imported dagster"
        assert ended.ended != "defect", ended.message
        return ended

    @contextmanager
    def opened(self) -> Iterator[Ledger]:
        """The ledger."""
        with Ledger(self.ledger or f"sqlite:///{self.folder / 'ledger.db'}") as ledger:
            yield ledger

    def answered(self) -> list[str]:
        """The row of every answer in the ledger."""
        table = tables.answers
        with self.opened() as ledger:
            query = sa.select(table.c.row_id).where(table.c.run_id == RUN, table.c.phase == PHASE)
            return [str(row[0]) for row in ledger._read(query)]

    def spent(self) -> Spent:
        """What the ledger says that the phase has spent."""
        with self.opened() as ledger:
            return ledger.spent(RUN, PHASE)

    def recorded(self) -> dict[str, Any]:
        """The ledger's view of the phase."""
        with self.opened() as ledger:
            return dict(ledger.phases(RUN)[0])

    def artifact_id(self) -> str:
        """The artifact that is published."""
        return self.store.envelope("bench", RUN, PHASE).artifact_id

    def forget_waits(self) -> None:
        """Lets nobody keep a server's wish to be asked later: the tests cannot wait for it."""
        with self.opened() as ledger, ledger._writing() as connection:
            connection.execute(sa.update(tables.limits).values(not_before=0.0))

    def problems(self) -> list[str]:
        """What is wrong with the ledger's file."""
        with self.opened() as ledger:
            return ledger.problems()

    @property
    def store(self) -> Store:
        return Store(self.folder / "data")

    def published_rows(self) -> list[str]:
        """The rows of the published table, everything of it verified."""
        self.store.verify("bench", RUN, PHASE)
        table = self.store.load("bench", RUN, PHASE).table
        assert table is not None
        return [str(row_id) for row_id in table.column("row_id").to_pylist()]

    def asked(self) -> Counter[str]:
        """How often the server was asked for each row."""
        return asked_of(self.server)

    def wait_for_calls(self, count: int, process: int, seconds: float = 20.0) -> None:
        """Returns when the server got so many requests, or the process is gone."""
        wait_until(lambda: self.server.calls >= count or not is_there(process), seconds)


def resumed_as_if_nothing_had_happened(case: Case, whole: str, *, most_extra: int | None = None) -> Ended:
    """Runs the driver again after a kill and checks that nothing was lost, doubled or asked again.

    `whole` is the data hash of an undisturbed run. At most `most_extra` calls may have been made in vain: by default
    what was on the wire, or answered and not committed yet, of at most two rows a slot.
    """
    calls, rows = case.server.calls, [f"{number:08d}" for number in range(case.rows)]
    committed = case.answered()
    assert len(set(committed)) == len(committed)
    case.server.requests.clear()

    ended = case.run()
    assert (ended.code, ended.ended) == (0, "published"), ended
    asked_again = case.asked()
    assert not asked_again.keys() & set(committed), "a committed answer was asked again"
    assert sorted(asked_again) == sorted(set(rows) - set(committed))
    assert set(asked_again.values()) <= {1}
    assert sorted(case.published_rows()) == rows
    assert ended.outcome["data_sha256"] == whole
    assert sorted(case.answered()) == rows
    extra = case.server.calls - case.rows
    assert extra == calls - len(committed)
    assert extra <= (2 * int(case.work.get("concurrency", 8)) if most_extra is None else most_extra)
    assert case.problems() == []
    return ended


def costs_agree(case: Case, *, exactly: bool) -> None:
    """What the ledger shows is at least what the server counted, and equal to it where nothing was cut off."""
    if os.environ.get("NOSPEND"):
        return
    spent = case.spent()
    assert spent.total is not None
    if exactly:
        assert (spent.unsettled, spent.reserved) == (0, 0)
        assert abs(spent.total - server_cost_of(case.server)) < 1e-9
    else:
        assert spent.total >= server_cost_of(case.server) - 1e-9


def run_here(
    ledger: Ledger,
    server: ModelServer,
    rows: int,
    concurrency: int,
    *,
    endpoint: Mapping[str, Any] | None = None,
    **settings: Any,
) -> PhaseResult:
    """The phase in this process, by the direct path; nothing is published."""
    priced = {"usd_per_million_input": USD_IN, "usd_per_million_output": USD_OUT, "max_output_tokens": 200}
    reached = {"model": "openai/loopback", "base_url": server.base_url, "path": "direct"}
    models = Models({judged.MODEL: ModelEndpoint.model_validate({**priced, **reached, **(endpoint or {})})})
    return run_phase(judged.job(rows, concurrency, ledger, models, **settings))


def asked_of(server: ModelServer) -> Counter[str]:
    """How often a server was asked for each row, as far as its list of requests goes back."""
    users = (str(seen.body["messages"][-1]["content"]) for seen in list(server.requests))
    return Counter(f"{int(found.group(1)):08d}" for user in users if (found := _NUMBER.search(user)))


def server_cost_of(server: ModelServer) -> float:
    """What the server would put on the bill, USD."""
    return (server.tokens_in * USD_IN + server.tokens_out * USD_OUT) / 1_000_000


def fresh_server(**values: Any) -> ModelServer:
    """A model server that keeps every request."""
    return ModelServer(requests=deque(), **values)


def is_there(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until it holds; raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)
