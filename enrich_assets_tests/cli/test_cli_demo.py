"""What is told about a finished run: by the command that made it, and by those that read it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from enrich_assets.cli.output import duration, money, total_cost
from enrich_assets.cli.progress import run_progress
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.graphs.presets import load_preset

NAMES = GRAPHS["intelligence"].names


def test_a_demo_run_tells_its_phases_its_report_its_cost_and_the_next_command(demo: Any) -> None:
    place, done = demo
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    finished = [line.split()[2] for line in lines if re.match(r"✓ +\d+ \w+ +\S+ → ", line) and "  " in line]
    assert finished == list(NAMES)
    run_id = place.run_ids()[0]
    paths = [word for line in lines for word in line.split() if word.startswith(str(place.storage))]
    assert [Path(path).name for path in paths] == ["report.html"]
    (beside,) = [line.partition("beside it:")[2] for line in lines if "beside it:" in line]
    named = [Path(paths[0]).with_name(name.strip()) for name in beside.split(",")]
    assert {"articles.xlsx", "report.md", "data_quality.html"} <= {path.name for path in named}
    assert all(path.stat().st_size > 1000 for path in (Path(paths[0]), *named))
    assert f"run {run_id}, cost $0" in lines
    assert lines[-1].split() == ["next", "enrich", "show", run_id]
    assert "dagster" not in done.stdout.lower()
    assert done.stderr.splitlines() == [f"DAGSTER_HOME is {place.home}: runs appear in that instance's UI."]


def test_a_finished_run_is_latest_and_known_to_dagster(demo_place: Any) -> None:
    run_id = demo_place.run_ids()[0]
    latest = json.loads((demo_place.storage / "intelligence" / "latest.json").read_text(encoding="utf-8"))
    assert latest["run_id"] == run_id
    assert demo_place.partitions() == {run_id}


def test_nothing_that_is_read_is_wider_than_eighty_columns(demo_place: Any, call: Any) -> None:
    listed = ("runs", "show latest", "show latest enriched", "watch", "presets", "--help", "run --help")
    for arguments in [text.split() for text in listed]:
        shown = call(demo_place, *arguments)
        assert shown.exit_code == 0, shown.output
        lines = [line.rstrip() for line in shown.stdout.splitlines() if str(demo_place.storage) not in line]
        wide = [line for line in lines if len(line) > 80]
        assert not wide, (arguments, wide)


def test_runs_as_json_have_state_phases_cost_and_time(demo_place: Any, call: Any) -> None:
    listed = json.loads(call(demo_place, "runs", "--json").stdout)
    assert [run["run_id"] for run in listed] == demo_place.run_ids()
    assert (listed[0]["state"], listed[0]["phases"], listed[0]["phases_done"]) == ("complete", 10, 10)
    assert listed[0]["cost"] == 0
    assert listed[0]["seconds"] > 0


def test_a_run_is_found_by_id_title_and_latest(demo_place: Any, call: Any) -> None:
    run_id = demo_place.run_ids()[0]
    for name in (run_id, "Demonstration", "latest"):
        assert json.loads(call(demo_place, "show", name, "--json").stdout)["run_id"] == run_id


def test_show_counts_every_row_of_every_phase(demo_place: Any, call: Any) -> None:
    found = json.loads(call(demo_place, "show", "latest", "--json").stdout)
    assert [phase["phase"] for phase in found["phases"]] == list(NAMES)
    for phase in found["phases"]:
        counts = phase["counts"]
        assert phase["state"] == "done"
        if not counts["created"]:
            assert counts["rows_in"] == counts["kept"] + counts["dropped"] + counts["failed"]
    shown = call(demo_place, "show", "latest").stdout
    for reason in found["phases"][2]["counts"]["dropped_by_reason"]:
        assert reason in shown


def test_show_of_a_phase_has_columns_rows_checks_and_files_by_name_and_by_number(demo_place: Any, call: Any) -> None:
    by_name = json.loads(call(demo_place, "show", "latest", "tier2", "--json").stdout)
    by_number = json.loads(call(demo_place, "show", "latest", "4", "--json").stdout)
    assert by_name == by_number
    assert by_name["envelope"]["phase"] == "tier2"
    described = {column["name"]: column["description"] for column in by_name["columns"]}
    assert described["tier2_score"]
    assert described["row_id"]
    assert len(by_name["first_rows"]) == 5
    assert all(Path(path).is_file() for path in [by_name["path"], *by_name["files"]])
    shown = call(demo_place, "show", "latest", "tier2").stdout
    for word in ("below_threshold", "tier2_reason", "first 5 rows", "etl/tier2/", "dropped.parquet"):
        assert word in shown
    assert "content_hash " not in shown.partition("first 5 rows")[2]
    assert len(shown.splitlines()) < 90


def test_a_frame_of_watch_has_a_mark_and_numbers_for_each_phase(demo_place: Any, call: Any) -> None:
    lines = call(demo_place, "watch").stdout.splitlines()
    assert "complete · 10 of 10 phases · cost $0" in lines[0]
    assert [line.split()[:3] for line in lines[2:12]] == [["✓", str(i), name] for i, name in enumerate(NAMES, 1)]


def test_presets_are_listed_with_their_sizes_and_printed_as_yaml(demo_place: Any, call: Any) -> None:
    listed = call(demo_place, "presets").stdout
    demo = load_preset("intelligence", "demo")
    assert re.search(rf"demo +Demonstration +{len(demo['sources'])} +{len(demo['categories'])}", listed)
    assert yaml.safe_load(call(demo_place, "presets", "demo").stdout) == demo


def test_a_copy_of_the_demo_preset_is_served_its_site(empty_place: Any, call: Any, tmp_path: Path) -> None:
    text = call(empty_place, "presets", "demo").stdout
    (tmp_path / "mine.yaml").write_text(text.replace("title: Demonstration", "title: Mine"), encoding="utf-8")
    prepared = call(empty_place, "run", "--settings", str(tmp_path / "mine.yaml"), "--prepare")
    assert prepared.exit_code == 0, prepared.stderr
    with Ledger.for_storage(str(empty_place.storage)) as ledger:
        registered = ledger.registration(prepared.stdout.split()[1]) or {}
    assert registered["title"] == "Mine"
    assert registered["settings"]["preset"] in INTELLIGENCE.sites


# The view of a run, out of the ledger's rows


NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def row(phase: str, status: str, started: float, ended: float | None = None, **values: Any) -> dict[str, Any]:
    """A row of the ledger's view; times in seconds before NOW."""

    def text(ago: float) -> str:
        return (NOW - timedelta(seconds=ago)).isoformat()

    return {
        "phase": phase,
        "status": status,
        "started_at": text(started),
        "heartbeat_at": text(started),
        "ended_at": None if ended is None else text(ended),
        "rows_in": 8,
        "rows_done": 3,
        "rows_out": None,
        "dropped": None,
        "failed": None,
        "calls": 0,
        "reused": 0,
        "cost": 0.0,
        "message": None,
        "seconds": None,
        "begun": None,
        **values,
    }


def test_a_run_runs_only_while_a_phase_does_and_who_follows_it_waits_for_the_next_one() -> None:
    ended = [row("a", "complete", 9, 2)]
    assert run_progress("r", ["a", "b"], ended, now=NOW).state == "unfinished"
    assert run_progress("r", ["a", "b"], ended, now=NOW, pause_seconds=15).state == "between phases"
    later = NOW + timedelta(minutes=1)
    assert run_progress("r", ["a", "b"], ended, now=later, pause_seconds=15).state == "unfinished"
    assert run_progress("r", ["a", "b"], [row("a", "running", 9)], now=NOW).state == "running"
    assert run_progress("r", ["a", "b"], [row("a", "running", 9)], now=later).state == "silent"
    assert run_progress("r", ["a"], [], now=NOW).state == "prepared"


def test_one_phase_made_again_leaves_the_run_complete() -> None:
    again = [row("a", "complete", 9, 2), row("b", "complete", 900, 890)]
    assert run_progress("r", ["a", "b"], again, now=NOW).state == "complete"


def test_a_phase_older_than_the_one_that_works_before_it_is_waiting() -> None:
    recorded = [row("a", "running", 5), row("b", "complete", 900, 890, rows_out=2)]
    progress = run_progress("r", ["a", "b"], recorded, now=NOW)
    assert [phase.mark for phase in progress.phases] == ["▸", "·"]
    assert [phase.rows for phase in progress.phases] == ["3 of 8", "waiting"]


def test_a_clock_that_was_set_back_leaves_durations_and_the_order_of_phases_as_they_were() -> None:
    hour = 3600.0
    began_before = row("a", "complete", -hour, 2, seconds=40.0, begun=4, rows_out=8)  # began at 13:00, ended at 11:59
    recorded = [began_before, row("b", "running", 1, seconds=1.5, begun=5)]
    progress = run_progress("r", ["a", "b"], recorded, now=NOW, waiting=["a", "b"], since=3, pause_seconds=15)
    assert [phase.mark for phase in progress.phases] == ["✓", "▸"]
    assert [phase.seconds for phase in progress.phases] == [40.0, 1.5]
    assert progress.state == "running" and progress.seconds == 41.5
    # What began before the one who looks is told no more, whatever the moments say.
    assert [p.mark for p in run_progress("r", ["a", "b"], recorded, now=NOW, waiting=["a"], since=4).phases] == [
        "·",
        "▸",
    ]


def test_a_view_without_measured_seconds_has_no_negative_duration() -> None:
    (phase,) = run_progress("r", ["a"], [row("a", "complete", -3600, 2)], now=NOW).phases
    assert phase.seconds == 0.0


def test_a_process_that_died_before_the_clock_was_set_back_is_silent() -> None:
    assert run_progress("r", ["a"], [row("a", "running", -3600)], now=NOW).state == "silent"
    ended = [row("a", "complete", -3590, -3600)]
    assert run_progress("r", ["a", "b"], ended, now=NOW, pause_seconds=15).state == "unfinished"


def test_an_outdated_phase_makes_a_run_unfinished() -> None:
    recorded = [row("a", "complete", 900, 890), row("b", "outdated", 880, 870)]
    assert run_progress("r", ["a", "b"], recorded, now=NOW).state == "unfinished"


def test_a_price_that_is_unknown_is_never_shown_as_nothing() -> None:
    assert money(total_cost([0.5, None])) == "unknown"
    assert (money(0.0), money(0.0123), money(12.5)) == ("$0", "$0.0123", "$12.50")
    assert (duration(0.84), duration(74), duration(720), duration(None)) == ("0.8 s", "74 s", "12 min", "–")
