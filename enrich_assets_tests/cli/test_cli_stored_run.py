"""A run that version 0.1 left behind: every later version reads it, and goes on with it for nothing.

Two things change a later version's results by intention: a prompt, and code that decides otherwise. Both are told in
docs/upgrading.md, and CHANGED_FROM names the first phase that they reach; the phases before it stay held to the answers
and to the hashes of the version that made the run.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core import fingerprint
from enrich_assets.core.envelope import Envelope
from enrich_assets.engine.tables import SCHEMA_VERSION
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store
from enrich_assets_tests.real_site import only_loopback
from enrich_assets_tests.stored_run import KEY, PORT, TITLE, unpack

PROJECT = Path(__file__).resolve().parents[2]
STORED = PROJECT / "enrich_assets_tests" / "fixtures" / "run_0_1"
GRAPH = GRAPHS["intelligence"]
CHANGED_FROM = "report"
"""Name of the first phase whose results a later version changed by intention; empty while there is none."""


def held() -> tuple[str, ...]:
    """The phases that are held to what the stored run has."""
    return GRAPH.names[: GRAPH.names.index(CHANGED_FROM)] if CHANGED_FROM else GRAPH.names


@pytest.fixture
def stored(empty_place: Any, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place with the stored run, and a key that its model would not know."""
    monkeypatch.setenv(KEY, "of no value")  # after `call`, which removes all variables of ours
    unpack(STORED, empty_place.storage)
    return empty_place


@pytest.fixture
def other_code() -> Iterator[None]:
    """Fingerprints as if every phase had other code than before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "FORMAT_VERSION", fingerprint.FORMAT_VERSION + 1000)
        fingerprint.code_fingerprint.cache_clear()
        yield
    fingerprint.code_fingerprint.cache_clear()


def envelopes(place: Any) -> dict[str, Envelope]:
    store = Store(place.storage)
    (run_id,) = store.runs(GRAPH.name)
    return {name: store.verify(GRAPH.name, run_id, name) for name in store.phases(GRAPH.name, run_id)}


def in_ledger(place: Any, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place.storage / "ledger.db")) as connection:
        return connection.execute(query).fetchall()


def paid(place: Any) -> list[tuple[Any, ...]]:
    """Every request that left, with what it cost."""
    return in_ledger(place, "SELECT sender, number, phase, cost FROM enrich_spending ORDER BY sender, number")


def test_the_stored_run_is_small_and_has_what_was_paid(stored: Any) -> None:
    # Bytes: with the figures and profiles of ten phases and reports of three kinds.
    assert sum(path.stat().st_size for path in STORED.iterdir()) <= 400_000
    found = envelopes(stored)
    assert {envelope.package_version for envelope in found.values()} == {"0.1.0"}
    asked = {"tier2", "tier3", "paraphrased", "enriched"}
    assert {name for name, envelope in found.items() if envelope.usage.model_calls} == asked
    assert {phase for _, _, phase, _ in paid(stored)} == asked
    assert all(cost > 0 for *_, cost in paid(stored))
    assert found["report"].counts.rows_out == 1


def test_its_ledger_is_opened_and_brought_to_the_present_version(stored: Any, call: Callable[..., Any]) -> None:
    before = paid(stored)
    (listed,) = json.loads(call(stored, "runs", "--json").stdout)
    version = in_ledger(stored, "SELECT value FROM enrich_schema WHERE name = 'version'")
    assert (listed["title"], listed["phases_done"]) == (TITLE, len(GRAPH.names))
    assert listed["cost"] == pytest.approx(sum(cost for *_, cost in before))
    assert version == [(str(SCHEMA_VERSION),)]
    assert paid(stored) == before


def test_every_file_of_it_is_intact_and_is_shown(stored: Any, call: Callable[..., Any]) -> None:
    checked = call(stored, "check")
    assert checked.exit_code == 0, checked.output
    shown = json.loads(call(stored, "show", TITLE, "--json").stdout)
    assert [phase["phase"] for phase in shown["phases"]] == list(envelopes(stored))
    for name in envelopes(stored):
        one = call(stored, "show", TITLE, name)
        assert one.exit_code == 0, one.output


@pytest.mark.usefixtures("other_code")
def test_code_that_changed_makes_every_phase_again_out_of_known_answers(stored: Any, call: Callable[..., Any]) -> None:
    before, spent = envelopes(stored), paid(stored)
    answers = in_ledger(stored, "SELECT id, request_hash, superseded FROM enrich_answers ORDER BY id")
    with socket.socket() as listener, only_loopback():
        # Taken and not listened at: whoever asks the model in spite of all is refused, and counted in the ledger.
        with contextlib.suppress(OSError):  # another run of this test has it, which serves as well
            listener.bind(("127.0.0.1", PORT))
        done = call(stored, "resume", TITLE)
        assert done.exit_code == 0, done.output
        again = call(stored, "resume", TITLE)
    assert "1 initialized, which is outdated: its code or prompts changed since" in done.stdout
    assert again.exit_code == 0 and "nothing to do" in again.stdout
    told = r"^this launch paid \$0, \d+ requests answered from the ledger at no cost$"
    assert re.search(told, done.stdout, re.MULTILINE)
    after = envelopes(stored)

    # Every phase is complete and cost nothing; those that no version changed by intention are what they were, too.
    assert tuple(after) == GRAPH.names and {envelope.status for envelope in after.values()} == {"complete"}
    assert all(after[name].artifact_id != before[name].artifact_id for name in GRAPH.names)
    assert all(after[name].code_fingerprint != before[name].code_fingerprint for name in GRAPH.names)
    usage = {name: envelope.usage for name, envelope in after.items()}
    assert {(u.model_calls, u.page_requests, u.search_requests, u.cost) for u in usage.values()} == {(0, 0, 0, 0)}
    assert {name: u.spent for name, u in usage.items()} == {name: before[name].usage.spent for name in GRAPH.names}
    assert {n: after[n].data_sha256 for n in held()} == {n: before[n].data_sha256 for n in held()}
    assert {n: after[n].counts for n in held()} == {n: before[n].counts for n in held()}
    assert paid(stored) == spent
    assert in_ledger(stored, "SELECT id, request_hash, superseded FROM enrich_answers ORDER BY id") == answers


@pytest.mark.usefixtures("other_code")
def test_an_estimate_knows_that_its_answers_are_known(stored: Any, call: Callable[..., Any]) -> None:
    for name in ("initialized", "scraped", "tier1"):
        done = call(stored, "run", TITLE, "--only", name)
        assert done.exit_code == 0, done.output
    told = call(stored, "estimate", TITLE, "--json")
    assert told.exit_code == 0, told.output
    (tier2,) = (phase for phase in json.loads(told.stdout)["phases"] if phase["phase"] == "tier2")
    assert (tier2["is_done"], tier2["calls"]["high"]) == (False, 0) and tier2["known"] == tier2["rows_in"]["high"]


def test_what_a_version_changes_by_intention_is_told() -> None:
    upgrading = (PROJECT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    assert not CHANGED_FROM or f"`{CHANGED_FROM}`" in upgrading
