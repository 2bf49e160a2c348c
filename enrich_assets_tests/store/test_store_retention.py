"""Which runs stay, become an archive, or go: the pure decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich_assets.core.errors import SettingsError
from enrich_assets.store.retention import Decision, Limits, RunFacts, decide

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
SMALL = Limits(complete=2, archived=4, days=90, incomplete_days=30)


def run(name: str, days_ago: float, **facts: Any) -> RunFacts:
    moment = NOW - timedelta(days=days_ago)
    standard = {"graph": "intelligence", "run_id": name, "started": (moment, 1), "last_active": moment}
    return RunFacts(**{**standard, "is_complete": True, **facts})


def actions(runs: list[RunFacts], limits: Limits = SMALL) -> dict[str, str]:
    return {decision.run.run_id: decision.action for decision in decide(runs, limits, NOW)}


def why(runs: list[RunFacts], name: str, limits: Limits = SMALL) -> str:
    return next(d.why for d in decide(runs, limits, NOW) if d.run.run_id == name)


def test_the_newest_stay_the_next_become_archives_and_the_rest_goes_when_it_is_old_enough() -> None:
    runs = [run("a", 1), run("b", 2), run("c", 3), run("d", 4), run("e", 89), run("f", 91)]
    assert actions(runs) == {"a": "keep", "b": "keep", "c": "archive", "d": "archive", "e": "archive", "f": "delete"}


def test_incomplete_runs_go_after_their_last_sign_of_life_and_take_no_place() -> None:
    awake = run("awake", 80, is_complete=False, last_active=NOW - timedelta(days=29))
    runs = [run("a", 1), awake, run("dead", 31, is_complete=False), run("b", 200)]
    assert actions(runs) == {"a": "keep", "awake": "keep", "dead": "delete", "b": "keep"}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"is_pinned": True}, "pinned"),
        ({"in_use": "x/tier1 is being worked on by host:1"}, "in use"),
        ({"is_latest": True}, "latest"),
        ({"damaged": "its archive is cut short"}, "damaged"),
        ({"foreign": ("notes.txt",)}, "notes.txt"),
    ],
)
@pytest.mark.parametrize("is_complete", [True, False])
def test_what_holds_a_run_is_told(facts: Mapping[str, Any], told: str, is_complete: bool) -> None:
    runs = [*(run(f"n{day}", day) for day in range(1, 6)), run("old", 300, is_complete=is_complete, **facts)]
    assert actions(runs)["old"] == "keep"
    assert told in why(runs, "old")


def test_a_run_that_stays_keeps_whole_what_it_leans_on_and_an_archive_keeps_it_from_being_deleted() -> None:
    runs = [run(name, day) for day, name in enumerate("abcd", 1)]
    runs[1] = run("b", 2, leans_on=frozenset({"c", "old"}))
    runs[3] = run("d", 4, leans_on=frozenset({"older", "broken"}))
    runs += [run("old", 200), run("older", 201), run("broken", 202, is_complete=False), run("oldest", 203)]
    found = actions(runs)
    assert found == {
        "a": "keep", "b": "keep", "c": "keep", "d": "archive",
        "old": "keep", "older": "archive", "broken": "keep", "oldest": "delete",
    }  # fmt: skip


def test_leaning_is_one_step_and_no_chain() -> None:
    # Each run was told of the one before it, as with compare_with: else none would ever go.
    runs = [run(f"r{n:03}", n, leans_on=frozenset({f"r{n + 1:03}"})) for n in range(1, 200)]
    found = actions(runs)
    kept = [name for name, action in found.items() if action == "keep"]
    assert kept == ["r001", "r002", "r003"]
    # The last of them only because r090, which is not older than 90 days, was told of it.
    assert [name for name, action in found.items() if action == "archive"] == [f"r{n:03}" for n in range(4, 92)]
    assert found["r092"] == "delete"


def test_an_archived_run_stays_one_and_is_finished_where_its_folder_still_stands() -> None:
    runs = [run("a", 1), run("b", 2), run("c", 3, is_archived=True, has_folder=False), run("d", 4, is_archived=True)]
    assert actions(runs) == {"a": "keep", "b": "keep", "c": "keep", "d": "archive"}
    assert "archived" in why(runs, "c")


def test_a_deletion_that_was_begun_is_finished_even_where_somebody_leans_on_it() -> None:
    runs = [run("a", 1, leans_on=frozenset({"gone"})), run("gone", 50, is_complete=False, is_going=True)]
    assert actions(runs)["gone"] == "delete"


def test_each_graph_has_its_own_places() -> None:
    runs = [run(f"{graph}{n}", n, graph=graph) for graph in ("intelligence", "tables") for n in (1, 2, 3)]
    assert sorted(name for name, action in actions(runs).items() if action == "archive") == ["intelligence3", "tables3"]


FACTS = st.builds(
    lambda n, days, **facts: run(f"r{n}", days, **facts),
    st.integers(0, 30),
    st.floats(0, 400),
    is_complete=st.booleans(),
    is_archived=st.booleans(),
    is_pinned=st.booleans(),
    in_use=st.sampled_from(["", "worked on"]),
    damaged=st.sampled_from(["", "cut short"]),
    leans_on=st.frozensets(st.integers(0, 30).map(lambda n: f"r{n}"), max_size=3),
).filter(lambda facts: facts.is_complete or not facts.is_archived)  # only complete runs become archives


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, unique_by=lambda facts: facts.run_id, max_size=10))
def test_nothing_that_is_held_ever_goes(runs: list[RunFacts]) -> None:
    found: dict[str, Decision] = {d.run.run_id: d for d in decide(runs, SMALL, NOW)}
    assert len(found) == len(runs)
    newest = sorted((r for r in runs if r.is_complete), key=lambda r: (*r.started, r.run_id), reverse=True)[:2]
    for decision in found.values():
        facts = decision.run
        if facts.is_pinned or facts.in_use or facts.damaged or facts in newest:
            assert decision.action == "keep"
        if decision.action == "delete":
            assert NOW - facts.last_active > timedelta(days=30)
            # One step: who stays only because another one leans on it holds nobody.
            staying = [d for d in found.values() if d.action == "keep" and not d.why.endswith("leans on it")]
            assert not [d for d in staying if facts.run_id in d.run.leans_on - {d.run.run_id}]
        if decision.action == "archive":
            assert facts.is_complete
        assert decision.why


def test_the_numbers_come_from_the_environment_and_a_bad_one_is_named() -> None:
    assert Limits.from_environment({}) == Limits(complete=10, archived=100, days=90, incomplete_days=30)
    given = {"ENRICH_KEEP_COMPLETE": "3", "ENRICH_KEEP_RUNS": "20", "ENRICH_KEEP_DAYS": "10.5"}
    assert Limits.from_environment(given) == Limits(complete=3, archived=20, days=10.5, incomplete_days=30)
    for name, value in {"ENRICH_KEEP_COMPLETE": "0", "ENRICH_KEEP_DAYS": "soon", "ENRICH_KEEP_RUNS": "5"}.items():
        with pytest.raises(SettingsError) as error:
            Limits.from_environment({name: value})
        assert name in str(error.value) and error.value.fix
