"""What people are told: failures and ends of launches, overdue runs, budgets; once each, and never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from enrich_assets.core.errors import FinalError, PhaseFailed, UserError
from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.running_ui import RunningUI, only_ui
from enrich_assets.defs.watching import overdue_sensor
from enrich_assets.defs.webhook import message, ui_link
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import utc_now
from enrich_assets.engine.spending import Caps
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

SECRET = "not-for-anybody-0815"
PATH = f"/services/{SECRET}-hook"


class Listener:
    """The webhook on loopback: what it received, and what it answers."""

    def __init__(self, server: HTTPServer) -> None:
        self.texts: list[str] = []
        self.raw = ""
        self.status = 200
        self.url = server.url_for(PATH)
        server.expect_request(PATH, method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        self.raw += request.get_data(as_text=True)
        body = json.loads(request.get_data(as_text=True))
        assert set(body) == {"text"}
        self.texts.append(body["text"])
        return Response("ok", status=self.status)


@pytest.fixture
def webhook(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listener = Listener(httpserver)
    monkeypatch.setenv("ENRICH_WEBHOOK_URL", listener.url)
    monkeypatch.setenv("ENRICH_UI_URL", "https://dagster.example/base/")
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    yield listener
    httpserver.check_assertions()


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_definitions()


def ticks(defs: dg.Definitions, room: Room, name: str, sensor: Any = None) -> Callable[[], Any]:
    """Evaluates a sensor again and again, each time with the cursor that it left."""
    found = sensor or next(sensor for sensor in defs.sensors or () if sensor.name == name)
    cursor: list[str | None] = [None]

    def tick() -> Any:
        with dg.build_sensor_context(
            instance=room.instance, cursor=cursor[0], definitions=defs, resources=defs.resources
        ) as context:
            result = found.evaluate_tick(context)
        cursor[0] = result.cursor or cursor[0]
        return result

    return tick


def broken(articles: Any, settings: Any, initialized: Any) -> Any:
    raise PhaseFailed(
        f"the server said <!channel> {SECRET} & sk-abcdefghijklmnop1234 to https://me:pw123456@host/x.",
        fix="Mend it.",
    )


def test_a_failure_is_told_once_with_phase_reason_rows_cost_link_and_command(
    defs: dg.Definitions, room: Room, webhook: Listener, changed: Callable[..., Graph]
) -> None:
    tick = ticks(defs, room, "webhook_failed")
    tick()
    run_id = room.begin(preset="demo", title="<Harbour> & news")
    launched = room.execute(run_id, ["initialized", "scraped", "tier1"], changed(tier1=broken))
    tick()
    tick()

    assert not launched.succeeded
    (text,) = webhook.texts
    lines = text.splitlines()
    assert lines[0] == f"*Run {run_id} “&lt;Harbour&gt; &amp; news” failed at tier1*"
    assert lines[1] == "phase: tier1"
    assert lines[2].startswith("reason: the server said &lt;!channel&gt; [")
    assert [line.partition(":")[0] for line in lines[3:]] == ["rows", "cost", "launch", "next"]
    assert "cost: $0" in lines
    launch = room.instance.get_runs(limit=1)[0].run_id
    assert lines[-2:] == [
        f"launch: https://dagster.example/base/runs/{launch}",
        f"next: enrich resume {run_id}",
    ]
    assert SECRET not in webhook.raw and "sk-abc" not in webhook.raw and "pw123456" not in webhook.raw


def test_the_end_of_a_run_is_told_with_its_rows(defs: dg.Definitions, demo_copy: Room, webhook: Listener) -> None:
    tick = ticks(defs, demo_copy, "webhook_done")
    tick()
    demo_copy.execute(demo_copy.run_id, ["report"])
    tick()
    tick()

    (text,) = webhook.texts
    rows_out = demo_copy.envelope("validated").counts.rows_out
    assert text.startswith(f"*Run {demo_copy.run_id} “") and "is complete*" in text
    assert "phases: 10 of 10 complete" in text and f"{rows_out:,} out" in text
    assert f"next: enrich show {demo_copy.run_id}" in text


def test_a_bad_launch_of_new_run_and_no_launch_of_others_are_told(
    defs: dg.Definitions, room: Room, webhook: Listener
) -> None:
    @dg.op
    def theirs() -> None:
        raise ValueError("of another project")

    @dg.job
    def their_job() -> None:
        theirs()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tick = ticks(defs, room, "webhook_failed")
    tick()
    their_job.execute_in_process(instance=room.instance, raise_on_error=False, run_config=quiet)
    bad = {"ops": {"new_run_settings": {"config": {"preset": "demo", "overrides": {"titel": 1}}}}, **quiet}
    defs.resolve_job_def("new_run").execute_in_process(instance=room.instance, raise_on_error=False, run_config=bad)
    for _ in range(3):
        tick()

    (text,) = webhook.texts
    assert text.startswith("*new_run failed*\nreason: No run was begun: overrides: titel: unknown key")


def test_launches_of_bad_keys_and_of_single_assets_are_told(
    defs: dg.Definitions, room: Room, webhook: Listener
) -> None:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tick = ticks(defs, room, "webhook_failed")
    tick()
    room.instance.add_dynamic_partitions("intelligence_runs", ["a,<b>", "20990101_000000"])
    # What the UI's Materialize does: a job of Dagster's own, with no name of ours.
    single = defs.resolve_implicit_global_asset_job_def()
    assert single.name == "__ASSET_JOB"
    for key, asset in (("a,<b>", "initialized"), ("20990101_000000", "tier1")):
        single.get_subset(asset_selection={dg.AssetKey(asset)}).execute_in_process(
            instance=room.instance, partition_key=key, raise_on_error=False, run_config=quiet
        )
    for _ in range(4):
        tick()

    bad, unregistered = webhook.texts
    assert bad.startswith("*initialized a,&lt;b&gt; failed*\nreason: 'a,&lt;b&gt;' is not a run ID.")
    assert "Delete partitions" in bad and "\nlaunch: https://dagster.example/base/runs/" in bad
    assert unregistered.startswith("*tier1 20990101_000000 failed*\nreason: initialized of the run 20990101_000000 is")


def test_rows_that_failed_are_not_called_done(
    defs: dg.Definitions, room: Room, webhook: Listener, changed: Callable[..., Graph]
) -> None:
    async def refused(source: Any, clients: Any, settings: Any) -> Any:
        raise FinalError("the site said no")

    tick = ticks(defs, room, "webhook_failed")
    tick()
    run_id = room.begin(preset="demo")
    room.execute(run_id, ["initialized", "scraped"], changed(scraped=refused))
    tick()
    tick()

    (text,) = webhook.texts
    (rows,) = [line for line in text.splitlines() if line.startswith("rows: ")]
    done, of, failed = map(int, re.fullmatch(r"rows: (\d+) of (\d+) done, (\d+) failed", rows).groups())  # type: ignore[union-attr]
    assert (done, failed) == (0, of)


def test_links_lead_to_the_ui_that_runs_in_the_home_where_no_address_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("ENRICH_UI_URL", raising=False)
    with only_ui(tmp_path) as note:
        note.write(RunningUI(url="http://127.0.0.1:4711"))
        running = ui_link("runs")
        monkeypatch.setenv("ENRICH_UI_URL", "https://dagster.example")
        named = ui_link("runs")
    monkeypatch.delenv("ENRICH_UI_URL")

    assert (running, named) == ("http://127.0.0.1:4711/runs", "https://dagster.example/runs")
    assert ui_link("runs") == "http://127.0.0.1:3000/runs"


@pytest.mark.parametrize("kind", ["answers 500", "is gone", "is no address"])
def test_a_webhook_that_fails_is_logged_without_its_address_and_nothing_else_happens(
    defs: dg.Definitions,
    room: Room,
    webhook: Listener,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    webhook.status = 500
    if kind != "answers 500":
        monkeypatch.setenv(
            "ENRICH_WEBHOOK_URL", f"http://127.0.0.1:9/{SECRET}" if kind == "is gone" else f"\x01{SECRET}"
        )
    tick = ticks(defs, room, "webhook_failed")
    tick()
    room.instance.add_dynamic_partitions("intelligence_runs", ["typed_by_hand"])
    with room.ledger() as ledger:
        ledger.claim_run("intelligence", {"graph": "intelligence", "settings": {}}, run_id="typed_by_hand")
    room.execute("typed_by_hand", ["tier1"])
    tick()
    logged = "".join(capfd.readouterr())

    if kind == "answers 500":
        (text,) = webhook.texts
        assert "*Run typed_by_hand failed at tier1*" in text
        assert "reason: " in text and "is not made yet" in text and "ArtifactMissing" not in text
    assert "The webhook of ENRICH_WEBHOOK_URL" in logged
    assert SECRET not in logged


def test_without_a_webhook_it_says_so(defs: dg.Definitions, demo_copy: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENRICH_WEBHOOK_URL", raising=False)
    tick = ticks(defs, demo_copy, "webhook_done")
    tick()
    demo_copy.execute(demo_copy.run_id, ["initialized"])

    assert "ENRICH_WEBHOOK_URL is not set: nobody is told." in str(tick().skip_message)


def test_no_complete_run_for_hours_is_told_once_and_again_after_the_next_one(
    defs: dg.Definitions, demo_copy: Room, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICH_OVERDUE_HOURS", "5")
    ahead = [timedelta(hours=1)]
    sensor = overdue_sensor(INTELLIGENCE, "overdue", now=lambda: utc_now() + ahead[0])
    tick = ticks(defs, demo_copy, "overdue", sensor)
    in_time = tick()
    ahead[0] = timedelta(hours=7)
    webhook.status = 503
    tick()
    webhook.status = 200
    for _ in range(3):
        tick()
    demo_copy.execute(demo_copy.run_id, ["report"])
    tick()
    monkeypatch.setenv("ENRICH_OVERDUE_HOURS", "soon")

    assert "less than 5 hours ago" in in_time.skip_message
    assert len(webhook.texts) == 3  # the first was not taken, the third is about the newer run
    assert all("No run of intelligence has been complete for 7 hours" in text for text in webhook.texts)
    with pytest.raises(UserError, match="is no number of hours"):
        tick()


def test_where_there_never_was_a_run_the_hours_count_from_the_first_look(
    defs: dg.Definitions, room: Room, webhook: Listener
) -> None:
    ahead = [timedelta(0)]
    sensor = overdue_sensor(INTELLIGENCE, "overdue", now=lambda: utc_now() + ahead[0])
    tick = ticks(defs, room, "overdue", sensor)
    tick()
    ahead[0] = timedelta(hours=37)
    tick()
    tick()

    (text,) = webhook.texts
    assert "last: there is none" in text


def spend(room: Room, run_id: str, usd: float) -> None:
    async def pay() -> None:
        given: dict[str, Any] = {"phase": "tier2", "row_id": "r", "kind": "model", "endpoint": "m"}
        reservation = ledger.reservation(run_id=run_id, most=usd, caps=Caps(), **given)
        assert await ledger.reserve(reservation) is None
        ledger.settle(reservation, cost=usd)
        await ledger.written()

    import asyncio

    with room.ledger() as ledger:
        asyncio.run(pay())


def test_four_fifths_of_each_budget_are_told_once(
    defs: dg.Definitions, room: Room, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = room.begin(preset="demo", overrides=["budget.run_usd=10"])
    with room.ledger() as ledger:
        ledger.set_cap("day", 100.0)
    tick = ticks(defs, room, "webhook_budget")
    spend(room, run_id, 7.9)
    below = tick()
    spend(room, run_id, 0.2)
    webhook.status = 500
    tick()
    webhook.status = 200
    for _ in range(2):
        tick()
    told = len(webhook.texts)
    with room.ledger() as ledger:
        ledger.set_cap("day", 10.0)
    for _ in range(2):
        tick()

    assert below.skip_message == "No budget is nearly spent."
    assert told == 2  # the first was not taken
    assert f"*81% of the budget of run {run_id} is spent*\nspent: $8.10\nbudget: $10.00" in webhook.texts[1]
    assert f"next: enrich budget {run_id} --usd AMOUNT raises it" in webhook.texts[1]
    (day,) = webhook.texts[2:]
    assert "of the budget of the day" in day and "enrich budget --day-usd AMOUNT" in day


def test_what_settings_reference_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_ENDPOINT", "plain-word-42")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    settings = {"models": {"own": {"api_key": {"env": "OWN_ENDPOINT"}}}}
    text = message(
        "plain-word-42", [("reason", "by Somebody: plain-word-42\nand more"), ("left", "")], settings=settings
    )

    assert text == "*[OWN_ENDPOINT]*\nreason: by Somebody: [OWN_ENDPOINT] and more"
    assert len(message("x", [("reason", "y" * 5000)])) < 700
