"""`enrich check` on what disks and people do to a storage: everything is found, said, and one fault hides no other."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.engine.ledger import Ledger

UNUSABLE = b"no SQLite at all" * 600


@pytest.fixture
def copy(demo_place: Any, tmp_path: Path) -> Any:
    """A copy of the shared demo run that a test may damage."""
    (tmp_path / "copy").mkdir()
    return demo_place.copied_to(tmp_path / "copy")


def run_folder(place: Any) -> Path:
    return Path(place.storage / "intelligence" / place.run_ids()[-1])


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_one_flipped_byte_a_page_of_the_ledger_is_a_problem(copy: Any, call: Any) -> None:
    path = copy.storage / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    for place in range(4096 + 50, len(data), 4096):
        data[place] ^= 0xFF
    path.write_bytes(data)
    with Ledger.for_storage(str(copy.storage)) as ledger:
        assert ledger.problems()
    done = call(copy, "check")
    assert done.exit_code == 2, done.output
    assert "PROBLEM   ledger: its database is damaged" in done.stdout
    assert "move the file and its -wal and -shm away" in done.stdout


def test_a_whole_ledger_has_no_problems(demo_place: Any) -> None:
    with Ledger.for_storage(str(demo_place.storage)) as ledger:
        assert ledger.problems() == []


@pytest.mark.parametrize("what", ["deleted", "symbolic link", "folder"])
def test_an_artifact_that_was_published_and_is_gone_is_a_problem_until_it_is_made_again(
    copy: Any, call: Any, what: str
) -> None:
    run_id, path = copy.run_ids()[0], run_folder(copy) / "validated.parquet"
    if what == "symbolic link":
        shutil.move(path, copy.storage / "elsewhere")
        path.symlink_to(copy.storage / "elsewhere")
    elif what == "folder":
        replaced_by_a_folder(path)
    else:
        path.unlink()
    for _ in range(2):  # what shows that it was there stays there
        done = call(copy, "check")
        assert done.exit_code == 2, done.output
        assert f"PROBLEM   {run_id} validated:" in done.stdout
        assert f"enrich resume {run_id}" in done.stdout
    words = {"deleted": "published and is missing", "symbolic link": "symbolic link", "folder": "a folder stands"}
    assert words[what] in done.stdout
    assert copy.recorded(run_id)["validated"]["status"] == "stopped"
    if what == "folder":
        path.rmdir()
    resumed = call(copy, "resume")
    assert resumed.exit_code == 0, resumed.output
    assert call(copy, "check").exit_code == 0


@pytest.mark.parametrize("what", ["gone", "a file"])
def test_a_run_whose_folder_is_gone_is_a_problem(copy: Any, call: Any, what: str) -> None:
    folder = run_folder(copy)
    shutil.rmtree(folder)
    if what == "a file":
        folder.write_text("x", encoding="utf-8")
    done = call(copy, "check")
    assert done.exit_code == 2
    assert (
        "run's folder is gone" if what == "gone" else "a file stands where the run's folder should be"
    ) in done.stdout


def test_a_folder_in_place_of_a_view_is_said_and_hides_nothing_else(copy: Any, call: Any) -> None:
    replaced_by_a_folder(run_folder(copy) / "manifest.json")
    replaced_by_a_folder(copy.storage / "intelligence" / "latest.json")
    (run_folder(copy) / "etl" / "tier1" / "dropped.parquet").unlink()
    done = call(copy, "check")
    assert done.exit_code == 2
    assert "tier1: " in done.stdout and "dropped.parquet" in done.stdout
    assert "latest of intelligence:" in done.stdout
    assert "A folder stands where a file should be: move it away." in done.stdout
    assert "1 run checked" in done.stdout


def test_resume_goes_on_although_views_are_folders(copy: Any, call: Any) -> None:
    replaced_by_a_folder(run_folder(copy) / "manifest.json")
    replaced_by_a_folder(copy.storage / "intelligence" / "latest.json")
    done = call(copy, "resume", "--latest")
    assert done.exit_code == 0, done.output
    assert "there is nothing to do" in done.stdout


def test_a_bad_run_does_not_hide_another(copy: Any, call: Any) -> None:
    bad = copy.storage / "intelligence" / "20200101_000000"
    bad.mkdir()
    (bad / "manifest.json").mkdir()
    (bad / "scraped.parquet").mkdir()
    (run_folder(copy) / "ranked.parquet").write_bytes(b"")
    done = call(copy, "check")
    assert done.exit_code == 2
    assert "20200101_000000 scraped:" in done.stdout
    assert "ranked: " in done.stdout
    assert "2 runs checked" in done.stdout


def test_a_damaged_dagster_database_is_named_and_artifacts_are_checked_all_the_same(copy: Any, call: Any) -> None:
    databases = sorted((copy.home / "history").glob("**/runs.db"))
    assert databases
    databases[0].write_bytes(UNUSABLE)
    (run_folder(copy) / "ranked.parquet").write_bytes(b"")
    done = call(copy, "check")
    assert done.exit_code == 2
    assert "Dagster's own database is damaged" in done.stdout
    assert str(databases[0]) in done.stdout
    assert "Move it away" in done.stdout
    assert "ranked: " in done.stdout
    resumed = call(copy, "resume")
    assert resumed.exit_code == 2
    assert "Dagster's own database is damaged" in resumed.stderr
    assert "dagster.yaml" not in resumed.stderr


def test_a_damaged_page_is_named_when_everything_is_checked(copy: Any, call: Any) -> None:
    pages = sorted((copy.storage / "pages").glob("*/*.gz"))
    for path in pages[:7]:
        path.write_bytes(gzip.compress(b"something else"))
    done = call(copy, "check")
    assert done.exit_code == 2
    assert f"PROBLEM   page: {pages[0]} is damaged" in done.stdout
    assert "2 more stored pages damaged" in done.stdout
    of_a_run = call(copy, "check", "latest")
    assert of_a_run.exit_code == 0 and "note      stored pages, their records and texts" in of_a_run.stdout


def test_a_damaged_record_and_a_text_of_another_page_are_named(copy: Any, call: Any) -> None:
    record, other = sorted((copy.storage / "pages").glob("*/*.json"))[:2]
    record.write_bytes(other.read_bytes())
    text, another = sorted((copy.storage / "texts").glob("*/*/*.json.gz"))[:2]
    text.write_bytes(another.read_bytes())
    done = call(copy, "check")
    assert done.exit_code == 2
    assert f"PROBLEM   page: {record} is damaged. Delete it; the ledger says the same" in done.stdout
    assert f"PROBLEM   text: {text} is damaged. Delete it; it is extracted again when needed." in done.stdout
    record.unlink()
    text.unlink()
    assert call(copy, "check").exit_code == 0


@pytest.mark.parametrize("where", ["etl", "versions"])
def test_a_file_where_a_folder_should_be_is_named_with_what_to_do(copy: Any, call: Any, where: str) -> None:
    folder = run_folder(copy)
    shutil.rmtree(folder / where, ignore_errors=True)
    (folder / where).write_text("x", encoding="utf-8")
    (folder / "validated.parquet").unlink()
    done = call(copy, "run", "latest", "--from", "initialized" if where == "etl" else "validated")
    assert done.exit_code == 1
    assert "[Errno" not in done.output
    assert str(folder / where) in done.stderr.replace("\n", "")
    assert "A file stands where a folder should be: move it away." in done.stderr


def test_a_run_that_fell_silent_is_not_shown_as_running(copy: Any, call: Any) -> None:
    run_id = copy.run_ids()[0]
    then = datetime.now(UTC) - timedelta(minutes=5)
    with Ledger.for_storage(str(copy.storage)) as ledger:
        ledger.phase_started(run_id, "report", 10, None)
    with Ledger.for_storage(str(copy.storage), now=lambda: then) as ledger:
        ledger.phase_progress(run_id, "report")
    listed = json.loads(call(copy, "runs", "--json").stdout)
    assert [run["state"] for run in listed] == ["silent"]
    assert listed[0]["silent_since"].startswith(f"{then:%Y-%m-%dT%H:%M}")
    shown = " ".join(call(copy, "runs").stdout.split())
    assert "stopped?" in shown
    assert "running" not in shown
    with Ledger.for_storage(str(copy.storage)) as ledger:
        ledger.phase_progress(run_id, "report")
    assert [run["state"] for run in json.loads(call(copy, "runs", "--json").stdout)] == ["running"]


def test_what_a_resumed_run_says_ends_with_one_full_stop(copy: Any, call: Any) -> None:
    os.truncate(run_folder(copy) / "report.json", 100)
    done = call(copy, "resume")
    assert "starts there." in done.stdout
    assert ".." not in done.stdout.splitlines()[0]
