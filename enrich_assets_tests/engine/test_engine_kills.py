"""Killed anywhere, a phase goes on as if nothing had happened: nothing lost, nothing doubled, nothing paid again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from enrich_assets_tests.engine.kill_kit import (
    Case,
    Drivers,
    Ended,
    costs_agree,
    fresh_server,
    resumed_as_if_nothing_had_happened,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

BOUNDARIES = [
    ("reservation commit", 1),
    ("reservation committed", 2),
    ("request", 30),
    ("answer", 30),
    ("answer commit", 3),
    ("answer committed", 3),
    ("publish", 1),
    ("side file", 1),
    ("artifact", 1),
    ("artifact in place", 1),
    ("manifest", 1),
    ("manifest in place", 1),
    ("published", 1),
]
"""Every boundary once."""
FURTHER = [
    *((name, n) for name in ("request", "answer") for n in (1, 9, 63, 64)),
    *((name, n) for name in ("reservation commit", "reservation committed") for n in (1, 2, 3, 6)),
    *((name, n) for name in ("answer commit", "answer committed") for n in (1, 2, 5, 8)),
    ("side file", 2),
    ("side file in place", 1),
    ("side file in place", 2),
]
"""Each at several moments more."""
LATENCY = {"latency": 0.012, "latency_sigma": 0.6}


def ids(boundary: tuple[str, int]) -> str:
    return f"{boundary[0].replace(' ', '-')}-{boundary[1]}"


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest) -> str:
    """Where the ledger is: in the folder, or on a Postgres."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="module")
def whole(drivers: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """An undisturbed run."""
    with fresh_server(**LATENCY) as server:
        case = Case(drivers, server, tmp_path_factory.mktemp("whole"))
        ended = case.run()
        assert (ended.code, ended.ended, server.calls) == (0, "published", case.rows), ended
        assert len(case.published_rows()) == case.rows
        costs_agree(case, exactly=True)
        again = case.run()
        assert (again.ended, server.calls) == ("published", case.rows)
        assert again.outcome["data_sha256"] == ended.outcome["data_sha256"]
        costs_agree(case, exactly=True)
    return ended


@pytest.fixture
def case(drivers: Drivers, tmp_path: Path, ledger: str) -> Iterator[Case]:
    with fresh_server(**LATENCY) as server:
        yield Case(drivers, server, tmp_path, ledger)


def test_the_driver_passes_every_boundary_without_dagster(whole: Ended) -> None:
    for name, n in [*BOUNDARIES, *FURTHER]:
        assert whole.outcome["passed"].get(name, 0) >= n, name
    assert whole.outcome["dagster"] is False


def die_and_resume(case: Case, whole: Ended, boundary: tuple[str, int]) -> None:
    died = case.run(die=boundary)
    assert died.code == -signal.SIGKILL, died
    resumed_as_if_nothing_had_happened(case, whole.outcome["data_sha256"])
    costs_agree(case, exactly=False)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=ids)
def test_a_kill_at_a_boundary_costs_at_most_what_was_on_its_way(
    case: Case, whole: Ended, boundary: tuple[str, int]
) -> None:
    die_and_resume(case, whole, boundary)


@pytest.mark.long
@pytest.mark.parametrize("boundary", FURTHER, ids=ids)
def test_a_kill_at_a_boundary_at_other_moments(case: Case, whole: Ended, boundary: tuple[str, int]) -> None:
    die_and_resume(case, whole, boundary)


def kill_at(case: Case, whole: Ended, seed: int) -> None:
    moment = random.Random(f"instant {seed}").uniform(0.02, 0.98) * float(whole.outcome["seconds"])
    process = case.start()
    time.sleep(moment)
    with suppress(ProcessLookupError):  # it was quicker than the undisturbed one
        os.kill(process, signal.SIGKILL)
    died = case.drivers.wait(process)
    assert died.code in (-signal.SIGKILL, 0)
    resumed_as_if_nothing_had_happened(case, whole.outcome["data_sha256"])
    costs_agree(case, exactly=died.code == 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_a_kill_at_a_random_instant(case: Case, whole: Ended, seed: int) -> None:
    kill_at(case, whole, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 130))
def test_a_kill_at_one_of_thirty_random_instants(case: Case, whole: Ended, seed: int) -> None:
    kill_at(case, whole, seed)


def test_a_phase_that_is_killed_again_and_again_ends_after_all(case: Case, whole: Ended) -> None:
    deaths: list[Any] = [("answer", 9), ("answer commit", 4), ("request", 17), ("answer committed", 1), ("artifact", 1)]
    for boundary in deaths:
        calls, committed = case.server.calls, len(case.answered()) if case.server.calls else 0
        assert case.run(die=boundary).code == -signal.SIGKILL
        # Each life goes on from where the last one was committed.
        assert case.server.calls - calls <= case.rows - committed
        kept = case.answered()
        assert len(set(kept)) == len(kept) >= committed
    ended = case.run()
    assert (ended.ended, ended.outcome["data_sha256"]) == ("published", whole.outcome["data_sha256"])
    assert len(case.published_rows()) == case.rows
    assert case.server.calls - case.rows <= len(deaths) * 2 * 8
    costs_agree(case, exactly=False)
