"""Going on with a run: what-ifs, damage, interruptions, failures, and views that went wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest

from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS

GRAPH = GRAPHS["intelligence"]


@pytest.fixture
def copy(demo_place: Any, tmp_path: Path) -> Any:
    """A copy of the shared demo run that a test may damage."""
    (tmp_path / "copy").mkdir()
    return demo_place.copied_to(tmp_path / "copy")


def flip_a_byte(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0xFF
    path.write_bytes(data)


def artifact(place: Any, name: str) -> Path:
    return Path(place.storage / "intelligence" / place.run_ids()[-1] / name)


def test_a_prepared_what_if_is_resumed_without_any_model_call(copy: Any, call: Any) -> None:
    first = copy.run_ids()[0]
    prepared = call(copy, "run", "--like", "latest", "--set", "tier3.threshold=6.5", "--title", "stricter", "--prepare")
    assert prepared.exit_code == 0, prepared.output
    run_id = copy.run_ids()[0]
    assert run_id != first
    assert prepared.stdout.splitlines() == [f"Run {run_id} is prepared.", f"next    enrich resume {run_id}"]
    assert run_id in copy.partitions()
    assert not (copy.storage / "intelligence" / run_id).exists()
    listed = json.loads(call(copy, "runs", "--json").stdout)
    assert [(run["title"], run["state"]) for run in listed] == [("stricter", "prepared"), ("Demonstration", "complete")]
    resumed = call(copy, "resume", "stricter")
    assert resumed.exit_code == 0, resumed.output
    assert f"Run {run_id} goes on at 1 initialized, which is missing" in resumed.stdout
    shown = json.loads(call(copy, "show", "stricter", "--json").stdout)
    phases = {phase["phase"]: phase for phase in shown["phases"]}
    assert shown["like"] == first
    assert phases["tier2"]["usage"]["model_calls"] == phases["tier3"]["usage"]["model_calls"] == 0
    before = json.loads(call(copy, "show", first, "--json").stdout)["phases"]
    assert phases["tier2"]["counts"] == before[3]["counts"]
    assert phases["tier3"]["counts"]["kept"] < before[4]["counts"]["kept"]


def test_a_complete_run_has_nothing_to_resume(copy: Any, call: Any) -> None:
    done = call(copy, "resume", "--latest")
    assert done.exit_code == 0
    assert "is complete: there is nothing to do" in done.stdout


def test_damage_is_found_named_refused_and_made_again(copy: Any, call: Any) -> None:
    run_id = copy.run_ids()[0]
    flip_a_byte(artifact(copy, "tier2.parquet"))
    checked = call(copy, "check")
    assert checked.exit_code == 2
    assert f"PROBLEM   {run_id} tier2:" in checked.stdout
    assert "tier2.parquet" in checked.stdout
    refused = call(copy, "run", "latest", "--from", "tier3")
    assert refused.exit_code == 2
    assert "tier3 cannot run: tier2 before it is damaged" in refused.stderr
    assert f"enrich run {run_id} --from tier2" in refused.stderr
    assert "tier2" in call(copy, "show", "latest").stdout
    resumed = call(copy, "resume")
    assert resumed.exit_code == 0, resumed.output
    assert f"Run {run_id} goes on at 4 tier2, which is damaged" in resumed.stdout
    assert call(copy, "check").exit_code == 0


def test_one_phase_is_refused_while_its_input_is_missing(copy: Any, call: Any) -> None:
    artifact(copy, "validated.parquet").unlink()
    done = call(copy, "run", "latest", "--only", "report")
    assert done.exit_code == 2
    assert "report cannot run: validated before it is missing" in done.stderr
    assert "--from validated" in done.stderr
    artifact(copy, "scraped.parquet").unlink()
    first = call(copy, "run", "latest", "--only", "report")
    assert first.exit_code == 2
    assert "report cannot run: scraped before it is missing" in first.stderr
    assert "--from scraped" in first.stderr
    shown = call(copy, "show", "latest", "validated")
    assert shown.exit_code == 2
    assert "validated is not made yet" in shown.stderr


def test_a_blocked_input_is_refused_with_the_phase_to_run_first() -> None:
    from enrich_assets.cli.execution import check_ready
    from enrich_assets.core.errors import UserError
    from enrich_assets.engine.resume import Standing

    states = {"validated": ("blocked", "quotes_hold: 3 quotes do not occur")}
    standings: Any = [Standing(phase, *states.get(phase.name, ("done", ""))) for phase in GRAPH.phases]
    with pytest.raises(UserError, match="validated before it is blocked") as refused:
        check_ready(None, GRAPH, "r", [GRAPH.last], standings)  # type: ignore[arg-type]
    assert "enrich run r --from validated" in refused.value.fix


def test_one_phase_again_leaves_the_later_ones_and_says_what_is_outdated(copy: Any, call: Any) -> None:
    before = artifact(copy, "report.json").stat().st_mtime_ns
    done = call(copy, "run", "latest", "--only", "10")
    assert done.exit_code == 0, done.output
    assert artifact(copy, "report.json").stat().st_mtime_ns > before
    done = call(copy, "run", "latest", "--only", "ranked")
    assert done.exit_code == 0, done.output
    assert "goes on" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("next    enrich show")
    listed = json.loads(call(copy, "runs", "--json").stdout)[0]
    assert (listed["state"], listed["phases_done"]) == ("complete", 10)


def test_views_that_disagree_with_the_files_are_named_and_repaired(copy: Any, call: Any) -> None:
    run_id = copy.run_ids()[0]
    folder = copy.storage / "intelligence"
    (folder / run_id / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "latest.json").unlink()
    with Ledger.for_storage(str(copy.storage)) as ledger:
        ledger.phase_progress(run_id, "tier1", rows_out=1)
        ledger.phase_started(run_id, "report", 10, None)
        ledger.phase_progress(run_id, "report")
    _age_heartbeats(copy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dagster as dg

        with dg.DagsterInstance.from_config(str(copy.home)) as instance:
            instance.delete_dynamic_partition("intelligence_runs", run_id)
    done = call(copy, "check", "latest")
    assert done.exit_code == 0, done.output
    for words in (
        "manifest.json: it was damaged; it was rebuilt",
        "latest named no run",
        "tier1",
        "report",
        "Dagster did not know the run",
    ):
        assert words in done.stdout
    assert copy.partitions() == {run_id}
    assert copy.recorded(run_id)["report"]["status"] == "complete"
    again = call(copy, "check")
    assert again.exit_code == 0
    assert "1 run checked: 0 problems, 0 views repaired." in again.stdout


def test_a_lost_ledger_is_listed_again_from_the_runs_themselves(copy: Any, call: Any) -> None:
    run_id = copy.run_ids()[0]
    for file in copy.storage.glob("ledger.db*"):
        file.unlink()
    assert call(copy, "show", run_id).exit_code == 0
    for command in (("runs",), ("keep",), ("keep", "--apply"), ("report", "nobody")):
        refused = call(copy, *command)
        told = " ".join(refused.output.split())
        assert refused.exit_code == 2 and "no run yet" not in told, command
        assert "the ledger lists no run, and 1 run is in the storage." in told
        assert "enrich check lists the runs again from their folders; only the stored answers are lost." in told
    done = call(copy, "check")
    assert done.exit_code == 0, done.output
    assert "listed again from its own snapshot" in done.stdout
    listed = json.loads(call(copy, "runs", "--json").stdout)
    assert [(run["run_id"], run["title"], run["state"]) for run in listed] == [(run_id, "Demonstration", "complete")]
    assert "there is nothing to do" in call(copy, "resume", run_id).stdout


def test_a_run_that_fails_ends_with_the_phase_the_reason_and_the_way_on(
    empty_place: Any, call: Any, tmp_path: Path
) -> None:
    settings = tmp_path / "down.yaml"
    settings.write_text(
        "attempts: 1\nmax_failed_fraction: 0.1\ncategories: [{id: a, name: A, description: a., keywords: [a]}]\n"
        "sources: [{id: gone, name: Gone, kind: feed, url: 'http://127.0.0.1:9/feed'}]\n",
        encoding="utf-8",
    )
    done = call(empty_place, "run", "--settings", "down.yaml", "--title", "down")
    assert done.exit_code == 1, done.output
    run_id = empty_place.run_ids()[0]
    assert "✗ scraped failed" in done.stderr
    assert "kept: 1 finished phase (initialized)" in done.stderr
    assert done.stderr.count(f"enrich resume {run_id}") == 1
    assert "Traceback" not in done.output
    frame = call(empty_place, "watch", "down").stdout
    assert "failed · 1 of 10 phases" in frame
    assert "scraped:" in frame
    shown = call(empty_place, "show", "down").stdout
    assert "· failed · own settings" in shown.splitlines()[0]
    assert ["✗", "2", "scraped", "failed"] in [line.split() for line in shown.splitlines()]
    assert "✗ scraped failed: 1 of 1 rows failed" in shown
    assert shown.count(f"enrich resume {run_id}") == 1
    one = call(empty_place, "show", "down", "scraped")
    assert one.exit_code == 2
    assert "Error: scraped failed: 1 of 1 rows failed" in one.stderr
    assert one.stderr.count(f"enrich resume {run_id}") == 1
    assert not (empty_place.storage / "intelligence" / "latest.json").exists()


def test_ctrl_c_ends_with_130_and_the_run_can_be_resumed(empty_place: Any, call: Any) -> None:
    process = subprocess.Popen(
        empty_place.command("demo"),
        env=empty_place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        _wait_until(lambda: process.poll() is not None or "scraped" in _recorded(empty_place), 60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, told
    run_id = empty_place.run_ids()[0]
    assert f"Go on with: enrich resume {run_id}" in told
    assert "Traceback" not in told
    statuses = {name: row["status"] for name, row in empty_place.recorded(run_id).items()}
    assert statuses["initialized"] == "complete"
    assert "running" not in statuses.values()
    assert _open_launches(empty_place) == 0
    listed = json.loads(call(empty_place, "runs", "--json").stdout)
    assert listed[0]["state"] in ("stopped", "unfinished")


def test_a_launch_whose_process_died_is_closed(copy: Any) -> None:
    from enrich_assets.defs.processes import PROCESS_TAG, close_dead_launches

    gone = subprocess.Popen(["true"])
    gone.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import platform

        import dagster as dg

        with dg.DagsterInstance.from_config(str(copy.home)) as instance:
            last = instance.get_runs(limit=1)[0]
            dead, retry = (f"00000000-0000-0000-0000-00000000000{number}" for number in range(2))
            open_one = last.with_status(dg.DagsterRunStatus.STARTED).with_tags(
                {**last.tags, PROCESS_TAG: f"{platform.node()}:{gone.pid}:12345 {dead}"}
            )
            instance.add_run(open_one._replace(run_id=dead))
            # A retry begins with the tags of the launch that failed, so it is not known yet where it runs.
            instance.add_run(open_one._replace(run_id=retry, parent_run_id=dead, root_run_id=dead))
            assert close_dead_launches(instance) == [dead]
            assert instance.get_run_by_id(dead).status is dg.DagsterRunStatus.FAILURE
            instance.report_run_canceled(instance.get_run_by_id(retry))
    assert _open_launches(copy) == 0


@pytest.mark.long
def test_the_ui_takes_a_free_port_when_3000_is_taken_and_ctrl_c_ends_it(empty_place: Any) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 3000))
            other.listen()
        except OSError:
            pass  # somebody else has it, which serves as well
        process = subprocess.Popen(
            empty_place.command("ui"),
            env=empty_place.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "http://" in line)
            address = line.split("at ", 1)[1].split()[0]
            assert not address.endswith(":3000")
            assert str(empty_place.home) in line
            _wait_until(lambda: _answers(f"{address}/server_info"), 60)
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130, told
    assert not _answers(f"{address}/server_info")


@pytest.mark.long
def test_the_ui_of_a_script_that_ignores_interrupts_leaves_no_process_behind(empty_place: Any) -> None:
    process = subprocess.Popen(
        empty_place.command("ui"),
        env=empty_place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if "http://" in line).split("at ", 1)[1].split()[0]
        _wait_until(lambda: _answers(f"{address}/server_info"), 60)
        started = _family_of(process.pid)
        assert len(started) > 2
        process.terminate()
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, told
    assert "Aborted!" not in told
    assert not [number for number in started if _is_working(number)]


def test_a_foreign_owner_of_litellm_is_a_problem_and_other_versions_are_a_note(
    empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import importlib.metadata

    from enrich_assets.cli.installation import installation_notes, pinned

    owners = {"litellm": ["litellm", "unclecode-litellm"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    done = call(empty_place, "check")
    assert done.exit_code == 2
    assert "litellm belongs to litellm, unclecode-litellm" in done.stdout
    lock = tmp_path / "lock"
    lock.write_text(
        "typer==0.0.1 \\\n    --hash=sha256:00\nnot-there-at-all==1.0\nelsewhere==2 ; sys_platform == 'never'\n",
        encoding="utf-8",
    )
    assert list(pinned(lock.read_text(encoding="utf-8"))) == [("typer", "0.0.1"), ("not-there-at-all", "1.0")]
    notes = " ".join(installation_notes(lock))
    assert "(locked: 0.0.1)" in notes
    assert "not installed: not-there-at-all" in notes


def test_ctrl_c_within_a_command_is_130_too(empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from enrich_assets.graphs import presets

    def stopped(_graph: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(presets, "preset_names", stopped)
    assert call(empty_place, "presets").exit_code == 130


def _recorded(place: Any) -> dict[str, Any]:
    if not (place.storage / "ledger.db").exists():
        return {}
    ids = place.run_ids()
    return dict(place.recorded(ids[0])) if ids else {}


def _open_launches(place: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dagster as dg

        statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
        with dg.DagsterInstance.from_config(str(place.home)) as instance:
            return len(instance.get_runs(filters=dg.RunsFilter(statuses=statuses)))


def _age_heartbeats(place: Any) -> None:
    import sqlite3

    with sqlite3.connect(place.storage / "ledger.db") as connection:
        connection.execute("update enrich_phases set heartbeat_at = '2026-01-01T00:00:00.000000+00:00'")
    connection.close()


def _wait_until(holds: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _family_of(ancestor: int) -> list[int]:
    """Processes that a process started, and those started."""
    parents = {int(path.name): _stat(int(path.name))[1] for path in Path("/proc").iterdir() if path.name.isdigit()}
    family = [ancestor]
    for member in family:
        family += [number for number, parent in parents.items() if parent == str(member)]
    return family[1:]


def _is_working(number: int) -> bool:
    return _stat(number)[0] not in ("", "Z", "X")


def _stat(number: int) -> tuple[str, str]:
    """State and parent of a process; empty when it is gone."""
    try:
        words = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return words[0], words[1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_a_run_that_another_process_works_on_is_refused_before_anything_is_launched(copy: Any, call: Any) -> None:
    run_id = copy.run_ids()[0]
    with Ledger.for_storage(str(copy.storage)) as ledger:
        lease = ledger.lease_phase(run_id, "ranked")
        try:
            done = call(copy, "run", run_id, "--from", "ranked")
        finally:
            lease.release()
    assert done.exit_code == 2, done.output
    assert f"{run_id}/ranked is being worked on by" in done.output
