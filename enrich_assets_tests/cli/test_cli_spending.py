"""What people do about money from the command line: budgets, samples, pauses, and asking again what they choose."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from enrich_assets.cli.main import app
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.spending import Caps
from enrich_assets_tests.cli.conftest import CommandPlace, made_place
from enrich_assets_tests.model_server import ModelServer, digest
from enrich_assets_tests.newsroom import newsroom_answer, schema_title

SOURCES = ("harbor_ledger", "signal_review")
BUDGET = 0.06
"""USD: enough for tier2, tier3 and a part of what follows."""
REACHED = "paraphrased"
"""The phase in which it is reached."""


class Newsroom:
    """A model server that answers every phase, and tells which were asked; some rows it answers uselessly."""

    def __init__(self) -> None:
        self.server = ModelServer(answers=self._answer)
        self.asked: Counter[str] = Counter()
        self.useless: Callable[[str, str], bool] = lambda kind, text: False

    def _answer(self, body: Mapping[str, Any]) -> str:
        kind = schema_title(body)
        self.asked[kind] += 1
        text = str(body["messages"][1]["content"]).partition("\n\nYour last answer")[0]
        return "{}" if self.useless(kind, text) else newsroom_answer(body)

    def settings(self, *further: str, priced: bool = True) -> list[str]:
        """Arguments of a new run over two sources of the demo site whose phases ask this model."""
        sources = [f'{{id: {s}, name: {s}, url: "http://{s.replace("_", "-")}.example/feed"}}' for s in SOURCES]
        model: dict[str, Any] = {
            "model": "openai/loopback", "base_url": self.server.base_url, "path": "direct", "context_tokens": 100_000,
        }  # fmt: skip
        if priced:
            model |= {"usd_per_million_input": 2, "usd_per_million_output": 8}
        changed = [f"sources=[{', '.join(sources)}]", "model=own", "concurrency=2", "first_delay_seconds=0"]
        changed += [f"models.own.{name}={value}" for name, value in model.items()]
        return ["--preset", "demo", *(f"--set={one}" for one in (*changed, *further))]


@pytest.fixture(scope="module")
def newsroom() -> Iterator[Newsroom]:
    newsroom = Newsroom()
    with newsroom.server:
        yield newsroom


@pytest.fixture
def calm(newsroom: Newsroom) -> Newsroom:
    """The newsroom as it was before any test changed it."""
    newsroom.asked.clear()
    newsroom.useless = lambda kind, text: False
    newsroom.server.latency = 0.0
    newsroom.server.heal()
    return newsroom


def rows(place: Any, call: Any, run_id: str) -> dict[str, Any]:
    """The counts of the phases of a run, by name."""
    shown = json.loads(call(place, "show", run_id, "--json").stdout)
    return {phase["phase"]: phase["counts"] for phase in shown["phases"] if "counts" in phase}


def state(place: Any, call: Any, run_id: str) -> str:
    listed = json.loads(call(place, "runs", "--json").stdout)
    return str(next(run["state"] for run in listed if run["run_id"] == run_id))


def told(place: Any, call: Any, *arguments: str) -> dict[str, dict[str, Any]]:
    """`enrich budget … --json`, by scope."""
    done = call(place, "budget", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return {entry["scope"]: entry for entry in json.loads(done.stdout)}


@dataclass(frozen=True)
class Story:
    """One run that reached its budget, got a larger one, and was resumed; and what the commands said."""

    place: CommandPlace
    run_id: str
    first: Any
    shown: str
    asked_before: int
    raised: Any
    resumed: Any
    asked: Counter[str]


@pytest.fixture(scope="module")
def story(newsroom: Newsroom, tmp_path_factory: pytest.TempPathFactory) -> Story:
    place = made_place(tmp_path_factory.mktemp("story"))
    newsroom.asked.clear()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in [name for name in os.environ if name.startswith(("ENRICH_", "OPENAI_"))]:
            patch.delenv(name)
        for name, value in (("DAGSTER_HOME", place.home), ("ENRICH_STORAGE", place.storage), ("COLUMNS", "80")):
            patch.setenv(name, str(value))

        def enrich(*arguments: str) -> Any:
            return CliRunner().invoke(app, list(arguments), prog_name="enrich")

        first = enrich("run", *newsroom.settings(f"budget.run_usd={BUDGET}"), "--title", "story")
        asked_before = newsroom.asked.total()
        shown = enrich("budget", "story").stdout
        raised = enrich("budget", "story", "--usd", "5")
        resumed = enrich("resume", "story")
    return Story(place, place.run_ids()[0], first, shown, asked_before, raised, resumed, newsroom.asked.copy())


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> CommandPlace:
    """A copy of the story's place, its run complete, that a test may change."""
    (tmp_path / "copy").mkdir()
    return story.place.copied_to(tmp_path / "copy")


def test_a_budget_that_is_reached_stops_the_run_with_a_sentence_that_says_how_to_go_on(story: Story) -> None:
    assert story.first.exit_code == 1, story.first.stderr
    said = " ".join(story.first.stderr.split())
    assert f"✗ {REACHED} failed" in said
    assert f"the budget of the run, {BUDGET:.2f} USD, is reached" in said
    assert "Every answer so far is kept." in said
    assert f"Raise the budget: enrich budget {story.run_id} --usd AMOUNT; then: enrich resume {story.run_id}" in said
    assert "Traceback" not in said
    lines = {line.split()[0]: line.split() for line in story.shown.splitlines()[1:]}
    assert set(lines) == {"run", "tier2", "tier3", REACHED}
    spent, budget, left = (float(text.removeprefix("$")) for text in lines["run"][2:5])
    assert budget == BUDGET
    assert spent + left == pytest.approx(BUDGET, abs=2e-4)
    assert 0 < spent <= BUDGET


def test_a_larger_budget_lets_the_run_go_on_without_asking_anything_again(story: Story, call: Any) -> None:
    assert (story.raised.exit_code, story.resumed.exit_code) == (0, 0), story.resumed.stderr
    assert f"Run {story.run_id} goes on at 7 {REACHED}" in story.resumed.stdout
    assert 0 < story.asked_before < story.asked.total()
    counts = rows(story.place, call, story.run_id)
    assert counts["tier3"]["rows_in"] == story.asked["Assessment"]
    found = told(story.place, call, "story")
    run = found.pop(f"run {story.run_id}")
    assert (run["budget"], run["unsettled"]) == (5, 0)
    assert run["spent"] == pytest.approx(sum(phase["spent"] for phase in found.values()))
    assert run["left"] == pytest.approx(5 - run["spent"])
    assert found["tier1"] == {
        "scope": "tier1", "spent": 0, "reserved": 0, "unsettled": 0, "budget": None, "left": None,
    }  # fmt: skip


def test_budgets_are_set_shown_and_lifted_again(copy: Any, call: Any, story: Story) -> None:
    spent = told(copy, call)["today (UTC)"]["spent"]
    assert spent > BUDGET
    done = call(copy, "budget", "story", "--phase", "tier3", "--usd", "0.5", "--day-usd", "2.50", "--month-usd", "40")
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [
        "run", "tier2", "tier3", "paraphrased", "enriched", "today", "this",
    ]  # fmt: skip
    found = told(copy, call, "story")
    assert (found["tier3"]["budget"], found[f"run {story.run_id}"]["budget"]) == (0.5, 5)
    day, month = told(copy, call).values()
    assert (day["budget"], month["budget"]) == (2.5, 40)
    assert day["left"] == pytest.approx(2.5 - spent)
    lifted = ["budget", "latest", "--phase", "5", "--usd", "None", "--day-usd", "none", "--month-usd", "none"]
    assert call(copy, *lifted).exit_code == 0
    assert told(copy, call, "story")["tier3"]["budget"] is None
    assert [entry["budget"] for entry in told(copy, call).values()] == [None, None]
    assert call(copy, "budget", "latest", "--usd", "none").exit_code == 0
    assert told(copy, call, "story")[f"run {story.run_id}"]["budget"] == BUDGET  # that of its settings holds again


def test_without_any_run_a_budget_of_all_runs_can_be_seen_and_set(empty_place: Any, call: Any) -> None:
    assert told(empty_place, call)["today (UTC)"]["budget"] is None
    assert not empty_place.storage.exists()
    assert call(empty_place, "budget", "--month-usd", "0").exit_code == 0
    assert told(empty_place, call)["this month (UTC)"] == {
        "scope": "this month (UTC)", "spent": 0, "reserved": 0, "unsettled": 0, "budget": 0, "left": 0,
    }  # fmt: skip


def test_what_is_reserved_and_what_has_no_price_is_told_apart(copy: Any, call: Any, story: Story) -> None:
    def reserve(phase: str, most: float | None) -> None:
        with Ledger.for_storage(str(copy.storage)) as ledger:

            async def left_open() -> None:
                left = {"run_id": story.run_id, "phase": phase, "row_id": "a", "kind": "model", "endpoint": "own"}
                assert await ledger.reserve(ledger.reservation(**left, most=most, caps=Caps())) is None

            asyncio.run(left_open())

    spent = told(copy, call, "story")[f"run {story.run_id}"]["spent"]
    reserve("tier3", 0.25)
    run = told(copy, call, "story")[f"run {story.run_id}"]
    assert (run["spent"], run["reserved"], run["unsettled"]) == (spent, pytest.approx(0.25), 1)
    assert run["left"] == pytest.approx(5 - spent - 0.25)
    shown = " ".join(call(copy, "budget", "story").stdout.split())
    assert shown.endswith("Reserved: on its way, or of unknown outcome or usage, at the most that it can cost.")
    assert call(copy, "budget", "story", "--usd", "none").exit_code == 0
    reserve("scraped", None)
    found = told(copy, call, "story")
    assert [found[name]["spent"] for name in (f"run {story.run_id}", "scraped")] == [None, None]
    shown = call(copy, "budget", "story").stdout.splitlines()
    assert shown[1].split()[2:4] == ["unknown", "unknown"]
    assert shown[-1].startswith("Unknown: a model without a price.")


BAD_BUDGETS = {
    "a word": (["--day-usd", "much"], ["--day-usd: 'much' is no amount", "Write USD as 2 or 0.5, or 'none'."]),
    "less than nothing": (["--month-usd", "-1"], ["--month-usd: '-1' is no amount"]),
    "not a number": (["--day-usd", "nan"], ["'nan' is no amount"]),
    "without end": (["--day-usd", "inf"], ["'inf' is no amount"]),
    "with its sign": (["story", "--usd", "$5"], ["--usd: '$5' is no amount"]),
    "with a comma": (["story", "--usd", "1,50"], ["'1,50' is no amount"]),
    "an empty variable": (["story", "--usd", ""], ["--usd: '' is no amount"]),
    "no run": (["--usd", "2"], ["--usd and --phase need a RUN"]),
    "a phase without an amount": (["story", "--phase", "tier3"], ["--phase needs --usd"]),
    "an unknown run": (["nope", "--usd", "2", "--day-usd", "3"], ["no run has the ID or title 'nope'"]),
    "an unknown phase": (["story", "--phase", "tier9", "--usd", "2", "--day-usd", "3"], ["Did you mean tier"]),
    "one good and one bad": (["story", "--usd", "7", "--day-usd", "x"], ["--day-usd: 'x' is no amount"]),
}


@pytest.mark.parametrize("name", BAD_BUDGETS)
def test_a_budget_that_makes_no_sense_is_refused_and_nothing_is_set(story: Story, call: Any, name: str) -> None:
    arguments, expected = BAD_BUDGETS[name]
    done = call(story.place, "budget", *arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    for words in expected:
        assert words in done.stderr
    with Ledger.for_storage(str(story.place.storage)) as ledger:
        caps = [total.cap for total in ledger.totals([f"run/{story.run_id}", "day", "month"])]
    assert caps == [5, None, None]


@pytest.mark.parametrize("how", ["in its settings", "of a day"])
def test_a_budget_for_a_model_of_unknown_price_is_refused_before_a_run_is_claimed(
    how: str, empty_place: Any, call: Any, calm: Newsroom
) -> None:
    if how == "of a day":
        assert call(empty_place, "budget", "--day-usd", "1").exit_code == 0
    further = ["budget.phase_usd=1"] if how == "in its settings" else []
    done = call(empty_place, "run", *calm.settings(*further, priced=False))
    assert done.exit_code == 2, done.output
    named = "budget.phase_usd" if further else "of a day"
    assert f"there is a budget ({named}), and the price of the model 'own' is unknown" in done.stderr
    assert "usd_per_million_input" in done.stderr
    assert (empty_place.run_ids(), empty_place.partitions(), calm.asked.total()) == ([], set(), 0)


def test_a_sample_is_paid_first_and_the_whole_run_pays_the_rest_only(
    empty_place: Any, call: Any, calm: Newsroom, story: Story
) -> None:
    done = call(empty_place, "run", *calm.settings(), "--sample", "3", "--title", "sample")
    assert done.exit_code == 0, done.output
    sampled = rows(empty_place, call, "sample")
    assert sampled["tier2"]["dropped_by_reason"]["beyond_sample"] == sampled["tier2"]["rows_in"] - 3
    assert calm.asked["VerdictRows"] == 1
    first = calm.asked.copy()
    run_id = empty_place.run_ids()[0]
    assert f"enrich run --like {run_id} --set sample=null" in done.stdout
    whole = call(empty_place, "run", "--like", "sample", "--set", "sample=null", "--title", "whole")
    assert whole.exit_code == 0, whole.output
    assert "sample=null" not in whole.stdout
    counts = rows(empty_place, call, "whole")
    assert counts == rows(story.place, call, story.run_id)
    assert calm.asked["Assessment"] == counts["tier3"]["rows_in"]
    # Sixteen articles in twos of eight, less the three that were answered: 3 in one request, 13 in two.
    assert calm.asked["VerdictRows"] == first["VerdictRows"] + 2


def test_again_asks_one_phase_anew_once(copy: Any, call: Any, calm: Newsroom, story: Story) -> None:
    before = told(copy, call, "story")["tier2"]["spent"]
    done = call(copy, "run", "latest", "--only", "tier2", "--again")
    assert done.exit_code == 0, done.output
    assert calm.asked == {"VerdictRows": story.asked["VerdictRows"]}
    assert told(copy, call, "story")["tier2"]["spent"] == pytest.approx(2 * before)
    for arguments in (["run", "latest", "--only", "tier2"], ["resume"]):
        assert call(copy, *arguments).exit_code == 0
    assert calm.asked == {"VerdictRows": story.asked["VerdictRows"]}


@pytest.mark.parametrize("arguments", [["run", "--again"], ["run", "latest", "--again"]])
def test_again_without_a_phase_is_refused(copy: Any, call: Any, calm: Newsroom, arguments: list[str]) -> None:
    done = call(copy, *arguments)
    assert done.exit_code == 2, done.output
    assert calm.asked.total() == 0


def test_retry_failed_asks_for_nothing_but_what_failed(copy: Any, call: Any, calm: Newsroom) -> None:
    calm.useless = lambda kind, text: kind == "Assessment" and digest(text) % 3 == 0
    made = call(copy, "run", "latest", "--only", "tier3", "--again")
    assert made.exit_code == 0, made.output
    failed = rows(copy, call, "latest")["tier3"]["failed"]
    assert failed
    calm.useless = lambda kind, text: False
    calm.asked.clear()
    assert call(copy, "resume").exit_code == 0
    assert calm.asked["Assessment"] == 0  # what failed for good stays failed until somebody says otherwise
    assert "there is nothing to do" in call(copy, "resume").stdout
    calm.asked.clear()
    retried = call(copy, "resume", "--retry-failed")
    assert retried.exit_code == 0, retried.output
    assert "goes on at 5 tier3, it has failed rows, which are asked again." in retried.stdout
    assert calm.asked["Assessment"] == failed
    assert calm.asked["VerdictRows"] == 0
    assert rows(copy, call, "latest")["tier3"]["failed"] == 0
    assert "there is nothing to do" in call(copy, "resume", "--retry-failed").stdout


def test_retry_failed_of_a_phase_that_failed_as_a_whole_asks_for_its_failed_rows_alone(
    copy: Any, call: Any, calm: Newsroom, story: Story
) -> None:
    # The others were answered uselessly once, and then of use: these did not fail.
    useless, wavering = Counter[str](), Counter[str]()

    def answers_uselessly(kind: str, text: str) -> bool:
        if kind != "Assessment":
            return False
        if digest(text) % 4:
            useless[text] += 1
            return True
        wavering[text] += 1
        return wavering[text] == 1

    calm.useless = answers_uselessly
    broken = call(copy, "run", "latest", "--only", "tier3", "--again")
    assert broken.exit_code == 1, broken.output
    run_id, total = story.run_id, story.asked["Assessment"]
    assert len(useless) > total / 2 and wavering
    advice = " ".join(broken.output.split())
    assert f"enrich show {run_id} tier3 lists these rows" in advice
    assert f"enrich resume {run_id} --retry-failed asks them again and no others" in advice
    failed = json.loads(call(copy, "show", "latest", "tier3", "--json").stdout)["failed_rows"]
    assert len(failed) == len(useless) and {row["failure_kind"] for row in failed} == {"malformed"}
    assert "failed rows" in call(copy, "show", "latest", "tier3").stdout
    listed = json.loads(call(copy, "show", "latest", "tier3", "--rows", "--state", "failed", "--json").stdout)
    assert {row["row_id"] for row in listed} == {row["row_id"] for row in failed}

    calm.useless = lambda kind, text: False
    calm.asked.clear()
    replayed = call(copy, "run", "latest", "--only", "tier3")
    assert (replayed.exit_code, calm.asked["Assessment"]) == (1, 0)
    retried = call(copy, "resume", "--retry-failed")
    assert retried.exit_code == 0, retried.output
    assert calm.asked["Assessment"] == len(useless)
    assert calm.asked["VerdictRows"] == 0
    assert rows(copy, call, "latest")["tier3"]["failed"] == 0
    assert json.loads(call(copy, "show", "latest", "tier3", "--json").stdout)["failed_rows"] == []
    assert "there is nothing to do" in call(copy, "resume", "--retry-failed").stdout
    calm.asked.clear()
    assert call(copy, "run", "latest", "--only", "tier3").exit_code == 0
    assert calm.asked["Assessment"] == 0


def test_failed_rows_of_a_phase_that_never_published_anything_are_listed_and_asked_again(
    empty_place: Any, call: Any, calm: Newsroom, story: Story
) -> None:
    calm.useless = lambda kind, text: kind == "Assessment"
    broken = call(empty_place, "run", *calm.settings("attempts=2"))
    assert broken.exit_code == 1, broken.output
    run_id, total = empty_place.run_ids()[0], story.asked["Assessment"]
    shown = call(empty_place, "show", run_id, "tier3")
    assert shown.exit_code != 0
    assert shown.stdout.count(": malformed: ") == min(total, 10)
    assert f"enrich resume {run_id} --retry-failed" in shown.stdout
    calm.useless = lambda kind, text: False
    calm.asked.clear()
    assert call(empty_place, "resume").exit_code == 1
    assert calm.asked.total() == 0
    retried = call(empty_place, "resume", "--retry-failed")
    assert retried.exit_code == 0, retried.output
    assert calm.asked["Assessment"] == total
    assert calm.asked["VerdictRows"] == 0


def test_a_pause_of_a_run_that_is_complete_says_so_and_holds_up_nothing_later(
    copy: Any, call: Any, calm: Newsroom, story: Story
) -> None:
    done = call(copy, "pause")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"Run {story.run_id} is complete: there is nothing to pause.\n"
    assert call(copy, "run", "latest", "--from", "tier2").exit_code == 0
    assert state(copy, call, story.run_id) == "complete"
    assert call(copy, "pause", "nope").exit_code == 2


def test_a_run_at_work_elsewhere_is_paused_and_goes_on_without_asking_again(
    empty_place: Any, call: Any, calm: Newsroom, story: Story
) -> None:
    calm.server.latency = 0.8
    process = subprocess.Popen(
        empty_place.command("run", *calm.settings("concurrency=1")),
        env=empty_place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        deadline = time.monotonic() + 60
        while calm.asked["Assessment"] < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run_id = empty_place.run_ids()[0]
        paused = call(empty_place, "pause", run_id)
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert paused.exit_code == 0, paused.output
    assert paused.stdout.splitlines() == [f"Run {run_id} is paused.", f"next    enrich resume {run_id}"]
    assert process.returncode not in (0, 2), said
    assert f"enrich resume {run_id}" in errors
    assert "Traceback" not in errors
    answered = calm.asked["Assessment"]
    assert answered < story.asked["Assessment"]
    recorded = empty_place.recorded(run_id)
    assert recorded["tier3"]["status"] not in ("running", "complete", "failed")
    assert "ranked" not in recorded
    calm.server.latency = 0.0
    resumed = call(empty_place, "resume")
    assert resumed.exit_code == 0, resumed.output
    assert f"Run {run_id} goes on at 5 tier3" in resumed.stdout
    assert calm.asked == story.asked
    assert rows(empty_place, call, run_id) == rows(story.place, call, story.run_id)
