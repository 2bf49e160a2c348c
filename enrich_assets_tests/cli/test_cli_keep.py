"""`enrich keep` on a real run: archived, read, restored, pinned, gone back; and what a wrong request gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enrich_assets.reading import open_run
from enrich_assets.store.archive import ArchivedRun, clear_folder, pack
from enrich_assets.store.layout import RunFolder
from enrich_assets.store.run_files import run_files
from enrich_assets.store.store import Store
from enrich_assets_tests.cli.conftest import CommandPlace

WHERE = "intelligence"


@pytest.fixture
def place(demo_place: CommandPlace, tmp_path: Path) -> CommandPlace:
    """The demo run and a second one like it, which are complete."""
    copy = demo_place.copied_to(tmp_path / "copy")
    (first,) = copy.run_ids()
    done = copy.enrich("run", "--like", first, "--title", "second")
    assert done.returncode == 0, done.stderr
    return copy


@pytest.mark.timeout(200)
def test_a_run_is_archived_read_restored_pinned_and_gone_back_to(
    place: CommandPlace, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    second, first = place.run_ids()
    store = Store(place.storage)
    folder = place.storage / WHERE / first
    before = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    shown = [call(place, "show", first, *rest).stdout for rest in ((), ("tier1",), ("tier1", "--dropped"))]
    table = open_run(first, storage=place.storage).table("ranked")

    listed = call(place, "keep")
    assert listed.exit_code == 0 and "stays" in listed.stdout, listed.output
    monkeypatch.setenv("ENRICH_KEEP_COMPLETE", "1")
    # The second run is like the first, so the first stays.
    assert "leans on it" in " ".join(call(place, "keep").stdout.split())
    assert call(place, "keep", "--rollback", first).exit_code == 0
    assert store.latest(WHERE) == first
    assert call(place, "show", "latest").stdout.split()[0] == first
    assert call(place, "check", first).exit_code == 0 and store.latest(WHERE) == first
    assert call(place, "keep", "--rollback", second).exit_code == 0
    assert store.latest(WHERE) == second
    assert f"latest went from {second} to {first}" in " ".join(call(place, "keep").stdout.split())

    (one,) = [one for one in json.loads(call(place, "keep", "--json").stdout) if one["run_id"] == first]
    assert (one["action"], one["is_archived"]) == ("keep", False)
    _without_like(place, second)
    applied = call(place, "keep", "--apply")
    assert applied.exit_code == 0 and f"archived {first}" in applied.stdout, applied.output
    assert not folder.exists()

    archive = place.storage / WHERE / "archive" / f"{first}.zip"
    again = [call(place, "show", first, *rest).stdout for rest in ((), ("tier1",), ("tier1", "--dropped"))]
    assert [_plain(text, str(archive), str(folder)) for text in again] == [_plain(text) for text in shown]
    assert open_run(first, storage=place.storage).table("ranked").equals(table)
    assert call(place, "check", first).exit_code == 0
    for refused in (("resume", first), ("run", first, "--from", "tier1"), ("run", first, "--only", "report")):
        told = call(place, *refused)
        assert told.exit_code == 2 and f"enrich keep --restore {first}" in told.stderr, told.output

    restored = call(place, "keep", "--restore", first)
    assert restored.exit_code == 0 and "pinned" in restored.stdout, restored.output
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert "pinned" in call(place, "keep").stdout
    assert call(place, "keep", "--unpin", first).exit_code == 0


def test_a_phase_goes_back_to_its_earlier_version(demo_place: CommandPlace, tmp_path: Path) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    (run_id,) = place.run_ids()
    store = Store(place.storage)
    old = store.envelope(WHERE, run_id, "ranked").artifact_id
    assert place.enrich("run", run_id, "--only", "ranked").returncode == 0
    assert store.envelope(WHERE, run_id, "ranked").artifact_id != old
    done = place.enrich("keep", "--rollback", run_id, "ranked")
    assert done.returncode == 0 and old in done.stdout, done.stderr
    assert store.envelope(WHERE, run_id, "ranked").artifact_id == old
    assert place.enrich("check", run_id).returncode == 0
    none = place.enrich("keep", "--rollback", run_id, "tier2")
    assert none.returncode == 2 and "no older version" in none.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--apply", "--json"),
        ("tier1",),
        ("--pin", "latest", "--unpin", "latest"),
        ("--version", "x"),
        ("--pin", "none"),
    ],
)
def test_a_wrong_request_changes_nothing_and_says_what_to_do(
    demo_place: CommandPlace, call: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    told = call(demo_place, "keep", *arguments)
    assert told.exit_code == 2 and "fix:" in told.stderr
    assert not (demo_place.storage / WHERE / "keep.json").exists()


def test_a_number_that_is_none_is_named(
    demo_place: CommandPlace, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICH_KEEP_DAYS", "soon")
    told = call(demo_place, "keep")
    assert told.exit_code == 2 and "ENRICH_KEEP_DAYS" in told.stderr


def test_check_names_an_archive_that_is_no_zip_file(demo_place: CommandPlace, tmp_path: Path) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    (run_id,) = place.run_ids()
    path = place.storage / WHERE / "archive" / f"{run_id}.zip"
    path.parent.mkdir()
    path.write_bytes(b"no zip file")
    told = place.enrich("check", run_id)
    assert told.returncode == 2 and path.name in told.stdout + told.stderr


def _without_like(place: CommandPlace, run_id: str) -> None:
    """The second run as if it had been begun by itself."""
    from enrich_assets.engine.ledger import Ledger

    with Ledger.for_storage(str(place.storage)) as ledger:
        registered = ledger.registration(run_id) or {}
        ledger.replace_registration(run_id, {**registered, "like": "", "earlier": [], "sources_before": {}})


def _plain(text: str, *replaced: str) -> list[str]:
    if replaced:
        text = text.replace(*replaced)
    return text.split()


def test_one_sentence_of_check_says_what_is_wrong_with_an_archive(
    demo_place: CommandPlace, tmp_path: Path, call: Callable[..., Any]
) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    (run_id,) = place.run_ids()
    archive = _archived(place, run_id)
    assert call(place, "check", run_id).exit_code == 0
    whole = archive.read_bytes()
    # The time in the first member's own header, which no reader looks at; and half of the file.
    for spoilt, told in ((whole[:10] + bytes([whole[10] ^ 1]) + whole[11:], "seal"), (whole[:-2000], "zip file")):
        archive.write_bytes(spoilt)
        done = call(place, "check", run_id)
        problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
        assert done.exit_code == 2 and len(problems) == 1, done.output
        assert archive.name in problems[0] and told in problems[0]


def test_a_folder_in_place_of_an_archive_keeps_no_other_run_from_being_looked_at(
    demo_place: CommandPlace, tmp_path: Path, call: Callable[..., Any]
) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    (place.storage / WHERE / "archive" / "20260102_030405.zip").mkdir(parents=True)
    for arguments in (("keep",), ("keep", "--apply")):
        done = call(place, *arguments)
        assert done.exit_code == 0, done.output
    checked = call(place, "check")
    assert checked.exit_code == 2 and "2 runs checked" in checked.stdout, checked.output
    assert "20260102_030405.zip" in checked.stdout and "a folder stands in its place" in checked.stdout


def test_what_frees_space_is_not_refused_for_lack_of_it(
    demo_place: CommandPlace, tmp_path: Path, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = demo_place.copied_to(tmp_path / "copy")
    monkeypatch.setattr("enrich_assets.store.root.shutil.disk_usage", lambda _: SimpleNamespace(free=2_000_000))
    refused = call(place, "run", "--preset", "demo")
    assert refused.exit_code == 2 and "MB are needed" in refused.stderr
    applied = call(place, "keep", "--apply")
    assert applied.exit_code == 0 and "0 runs archived" in applied.stdout, applied.output


def _archived(place: CommandPlace, run_id: str) -> Path:
    """The run as an archive alone."""
    store = Store(place.storage)
    folder = RunFolder(store.root, WHERE, run_id)
    names = run_files(folder, store.phases(WHERE, run_id)).own
    pack(folder, names, pages=(), now=datetime(2026, 1, 1, tzinfo=UTC))
    archived = ArchivedRun(store.root, WHERE, run_id)
    assert clear_folder(folder, archived) == []
    return Path(archived.path.path)
