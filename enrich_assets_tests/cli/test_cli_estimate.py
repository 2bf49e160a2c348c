"""`enrich estimate` against runs that really asked: what it foretells, what it knows to be free, what it leaves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.defs import estimating
from enrich_assets.defs.runs import new_registration
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.presets import preset_text
from enrich_assets.store.store import Store
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.newsroom import newsroom_answer

GRAPH = GRAPHS["intelligence"]
KEY = "ESTIMATE_TEST_KEY"
ANSWERED_FIRST = 19
"""Requests that are answered before the model's endpoint refuses one: all of tier2, some of tier3."""
LOADED = """
import sys
sys.argv = ["enrich", *sys.argv[1:]]
from enrich_assets.cli.main import main
try:
    main()
except SystemExit as end:
    code = end.code
print("LOADED", code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@dataclass(frozen=True)
class Told:
    """A place whose one run was refused in tier3 and then resumed, and what was estimated on the way."""

    place: Any
    settings: Path
    run_id: str
    before: dict[str, Any]
    midway: dict[str, Any]
    first_calls: int
    calls: int
    said: str


def settings_file(folder: Path, base_url: str) -> Path:
    """The preset `demo`, asking a model at this address."""
    endpoint = f'{{model: openai/test-model, base_url: "{base_url}", api_key: {{env: {KEY}}}'
    prices = "usd_per_million_input: 2.0, usd_per_million_output: 8.0}"
    path = folder / "asking.yaml"
    text = f"{preset_text('intelligence', 'demo')}\nmodel: test\nconcurrency: 4\n"
    path.write_text(f"{text}models:\n  test: {endpoint}, {prices}\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One run of the demo's pages with the loopback model."""
    from enrich_assets_tests.cli.conftest import made_place  # type: ignore[import-not-found,unused-ignore]

    folder = tmp_path_factory.mktemp("estimated")
    place = made_place(folder)
    with ModelServer(answers=newsroom_answer) as server:
        settings = settings_file(folder, server.base_url)
        environment = {KEY: "a-key-of-the-tests"}
        before = json.loads(place.enrich("estimate", "--settings", str(settings), "--json").stdout)
        server.plan("quota", every=ANSWERED_FIRST + 1)
        refused = place.enrich("run", "--settings", str(settings), **environment)
        assert refused.returncode == 1, refused.stderr
        first_calls = server.answered
        midway = json.loads(place.enrich("estimate", "latest", "--json").stdout)
        server.heal()
        ended = place.enrich("resume", "latest", **environment)
        assert ended.returncode == 0, ended.stderr
        yield Told(place, settings, place.run_ids()[0], before, midway, first_calls, server.answered, ended.stdout)


def phases_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {phase["phase"]: phase for phase in found["phases"]}


def holds(span: dict[str, float], actual: float) -> bool:
    return span["low"] <= actual <= span["high"]


def estimated(told: Told, call: Any, *arguments: str) -> dict[str, Any]:
    done = call(told.place, "estimate", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def actual_cost(told: Told) -> float:
    store = Store(str(told.place.storage))
    spent = [store.envelope("intelligence", told.run_id, name).usage.spent for name in GRAPH.names]
    return sum(amount for amount in spent if amount is not None)


def test_without_an_earlier_run_assumptions_are_told_and_hold(told: Told) -> None:
    (basis,) = told.before["basis"]
    assert basis.startswith("No earlier run: assumed scraped makes ")
    for words in ("at most 25", "half of the rows survive tier1, tier2 and tier3", "tokens in and", "calls a row in"):
        assert words in basis
    assert holds(told.before["calls"], told.calls) and holds(told.before["usd"], actual_cost(told))


def test_what_a_stopped_run_has_answered_is_not_counted_again(told: Told) -> None:
    phases = phases_of(told.midway)
    assert [name for name, phase in phases.items() if phase["is_done"]] == ["initialized", "scraped", "tier1", "tier2"]
    store = Store(str(told.place.storage))
    judged = store.envelope("intelligence", told.run_id, "tier3").counts
    tier2 = store.envelope("intelligence", told.run_id, "tier2").usage.model_calls
    known = told.first_calls - tier2
    assert 0 < known < judged.rows_in
    assert phases["tier3"]["known"] == known
    assert phases["tier3"]["calls"]["likely"] == judged.rows_in - known
    assert holds(phases["tier3"]["rows_out"], judged.kept)
    assert holds(told.midway["calls"], told.calls - told.first_calls)


def test_the_finished_run_tells_how_far_off_the_estimate_was(told: Told, call: Any) -> None:
    line = next(line for line in told.said.splitlines() if line.startswith("estimated $"))
    assert f"spent ${actual_cost(told):.4f}: " in line and line.endswith((" % more", " % less", "as estimated"))
    assert line in call(told.place, "estimate", "latest").stdout.splitlines()
    with Ledger.for_storage(str(told.place.storage)) as ledger:
        frozen = (ledger.registration(told.run_id) or {})["estimate"]
    assert frozen["calls"][1] == round(told.before["calls"]["likely"])
    document = Store(str(told.place.storage)).load("intelligence", told.run_id, "initialized").document
    assert document is not None and document["estimate"] == frozen and document["volatile"] == ["estimate"]


def test_the_end_of_a_resumed_run_tells_what_the_launch_paid_and_what_the_ledger_answered(told: Told) -> None:
    (line,) = (line for line in told.said.splitlines() if line.startswith("this launch paid $"))
    store = Store(str(told.place.storage))
    usage = {name: store.envelope("intelligence", told.run_id, name).usage for name in GRAPH.names}
    paid = float(line.removeprefix("this launch paid $").partition(",")[0])
    assert 0 < paid < actual_cost(told)
    assert paid == pytest.approx(actual_cost(told) - (usage["tier2"].spent or 0) - tier3_first(told), abs=0.0001)
    # What tier3 had answered before the endpoint refused.
    assert usage["tier3"].answers_reused == told.first_calls - usage["tier2"].model_calls
    reused = sum(usage[name].answers_reused for name in list(usage)[list(usage).index("tier3") :])
    assert line.endswith(f", {reused} requests answered from the ledger at no cost")


def tier3_first(told: Told) -> float:
    """USD that tier3 took before it was refused: what its last making did not pay of all that it cost."""
    usage = Store(str(told.place.storage)).envelope("intelligence", told.run_id, "tier3").usage
    return (usage.spent or 0) - (usage.cost or 0)


def test_a_run_like_it_costs_nothing(told: Told, call: Any) -> None:
    found = estimated(told, call, "--like", "latest")
    nothing = {"low": 0.0, "likely": 0.0, "high": 0.0}
    assert {name: found["usd"][name] for name in nothing} == nothing
    assert found["calls"]["high"] == 0
    assert found["next"] == f"enrich run --like {told.run_id}"


def test_a_new_run_takes_what_the_last_one_took(told: Told, call: Any) -> None:
    found = estimated(told, call, "--settings", str(told.settings))
    assert holds(found["calls"], told.calls) and holds(found["usd"], actual_cost(told))
    assert found["usd"]["high"] < 3 * found["usd"]["low"]
    assert found["usd"]["likely"] == pytest.approx(actual_cost(told), rel=0.15)
    assert f"Rates are those of {told.run_id}." in found["basis"]


def test_a_threshold_costs_no_call_of_its_phase_and_a_prompt_all_of_them(told: Told, call: Any) -> None:
    stricter = phases_of(estimated(told, call, "--like", "latest", "--set", "tier3.threshold=6"))
    assert stricter["tier3"]["calls"]["high"] == 0
    scores = Store(str(told.place.storage)).load("intelligence", told.run_id, "tier3").table.column("tier3_score")
    assert stricter["tier3"]["rows_out"]["likely"] == sum(score >= 6 for score in scores.to_pylist())
    other = phases_of(estimated(told, call, "--like", "latest", "--set", "tier3.text_characters=600"))
    assert other["tier2"]["is_done"]
    assert other["tier3"]["calls"]["likely"] == pytest.approx(other["tier3"]["rows_in"]["likely"], rel=0.1)
    assert other["tier3"]["known"] == 0
    assert other["tier3"]["tokens_in"]["likely"] < 0.8 * phases_of(told.before)["tier3"]["tokens_in"]["likely"]


def test_a_sample_costs_less_and_its_answers_are_there(told: Told, call: Any) -> None:
    found = phases_of(estimated(told, call, "--settings", str(told.settings), "--sample", "10"))
    assert found["tier2"]["calls"]["likely"] <= 3 and found["tier3"]["rows_in"]["likely"] <= 10
    assert estimated(told, call, "--like", "latest", "--sample", "10")["calls"]["likely"] == pytest.approx(0, abs=0.01)


def test_an_unknown_price_is_unknown_and_a_small_budget_is_told(told: Told, call: Any) -> None:
    prices = [f"models.test.usd_per_million_{way}put=null" for way in ("in", "out")]
    settings = ["--settings", str(told.settings)]
    unknown = [*settings, "--set", prices[0], "--set", prices[1]]
    assert estimated(told, call, *unknown)["usd"] is None
    assert "unknown" in call(told.place, "estimate", *unknown).stdout
    capped = estimated(told, call, *settings, "--set", "budget.run_usd=0.01", "--set", "budget.phase_usd=0.01")
    assert "0.01 USD, is below the likely cost" in capped["warnings"][0]
    assert any("of tier2" in warning for warning in capped["warnings"])
    (refused,) = estimated(told, call, *unknown, "--set", "budget.run_usd=5")["warnings"]
    assert "a price is unknown" in refused


def test_the_table_is_plain_and_ends_with_what_to_do(told: Told, call: Any) -> None:
    done = call(told.place, "estimate", "--settings", str(told.settings))
    assert "\x1b" not in done.stdout and "│" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["#", "phase", "rows", "calls", "known", "tokens", "cost"]
    assert lines[-1] == f"next    enrich run --settings {told.settings}"


def test_nothing_is_sent_claimed_or_written(told: Told, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: left.append(address))
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, address: left.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *names, **_: left.append(names))
    runs, files = told.place.run_ids(), sorted(told.place.storage.rglob("*.parquet"))
    with Ledger.for_storage(str(told.place.storage)) as ledger:
        answers = ledger.count_answers()
    for arguments in (["--settings", str(told.settings)], ["--like", "latest", "--set", "tier2.batch=4"], ["latest"]):
        assert call(told.place, "estimate", *arguments).exit_code == 0
    assert left == []
    assert told.place.run_ids() == runs and sorted(told.place.storage.rglob("*.parquet")) == files
    with Ledger.for_storage(str(told.place.storage)) as ledger:
        assert ledger.count_answers() == answers


def test_an_empty_place_stays_empty(empty_place: Any, call: Any) -> None:
    done = call(empty_place, "estimate", "--preset", "demo")
    assert done.exit_code == 0 and "$0" in done.stdout  # the embedded model costs nothing
    assert not empty_place.storage.exists()


def test_neither_dagster_nor_litellm_is_loaded(told: Told) -> None:
    for arguments in (["--settings", str(told.settings)], ["--like", "latest"], ["latest"]):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, "estimate", *arguments],
            env=told.place.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        _, code, *loaded = done.stdout.splitlines()[-1].split()
        assert code in ("0", "None")
        assert not set(loaded) & {"dagster", "litellm", "pandas"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "demo", "--like", "latest"], "exclude each other"),
        (["latest", "--set", "tier3.threshold=6"], "settings of a run never change"),
        (["latest", "--sample", "5"], "settings of a run never change"),
        (["nobody"], "no run has the ID or title"),
        (["--preset", "dmeo"], "demo"),
        (["--preset", "demo", "--set", "tier3.treshold=6"], "unknown key"),
        (["--settings", "nowhere.yaml"], "there is no such file"),
        (["--sample", "0"], "--sample"),
    ],
)
def test_bad_requests_are_refused_with_one_sentence(told: Told, call: Any, arguments: list[str], words: str) -> None:
    done = call(told.place, "estimate", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr and "Traceback" not in done.stderr


def test_an_estimate_that_fails_stops_no_run(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no rates today")

    monkeypatch.setattr(estimating, "estimate", broken)
    store = Store(str(told.place.storage))
    with Ledger.for_storage(str(told.place.storage)) as ledger:
        registered = new_registration(GRAPH, store=store, ledger=ledger, preset="demo")
        estimating.freeze_estimate(GRAPH, registered, store, ledger)
    assert "estimate" not in registered
    assert registered["notes"] == ["The cost was not estimated: RuntimeError: no rates today"]
