"""A partition typed by hand: it takes the default preset and says so; a bad key is refused before it is a path."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import dagster as dg
import pytest

from enrich_assets.core.errors import RunIdError
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.store.layout import RunFolder
from enrich_assets_tests.defs.conftest import Room
from enrich_assets_tests.shared_data import shared_data

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
BAD = ["a/b", "a,b", '"a"', "'a'", "..", "../../escape", " ", "a b", "", "x" * 300, "latest", "/tmp/absolute", "a\nb"]
PARTITIONS = partitions_name("intelligence")


def refusal(room: Room, key: str, asset: str = "initialized") -> str:
    room.instance.add_dynamic_partitions(PARTITIONS, [key])
    result = (
        build_definitions()
        .resolve_job_def("intelligence")
        .execute_in_process(
            instance=room.instance, partition_key=key, asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False, run_config=QUIET,
        )
    )  # fmt: skip
    assert not result.success
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    told = event.event_specific_data.user_failure_data  # type: ignore[union-attr]
    assert told is not None, event.message
    return str(told.description)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    listed = json.loads(shared_data("security", "blns", "blns.json").read_text(encoding="utf-8"))
    return [str(text) for text in listed]


def test_a_key_typed_by_hand_takes_the_default_preset_and_says_so(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.instance.add_dynamic_partitions(PARTITIONS, ["by_hand"])
    with caplog.at_level(logging.INFO):
        launched = room.execute("by_hand", ["initialized"])
    with room.ledger() as ledger:
        (run,) = ledger.runs()
    document = room.store.load("intelligence", "by_hand", "initialized").document or {}

    assert launched.succeeded, launched.failure
    assert (run["run_id"], run["preset"]) == ("by_hand", "ai_news")
    assert "Nobody registered settings for by_hand, so it takes the preset ai_news." in document["notes"]


@pytest.mark.parametrize("key", [".. ", "a,b", "a/b", "x" * 300])
def test_a_bad_key_fails_with_one_sentence_and_writes_nothing(room: Room, tmp_path: Path, key: str) -> None:
    before = everything(tmp_path)
    told = refusal(room, key)
    new = {name for name in everything(tmp_path) - before if not name.startswith("home/") or "/data" in name}

    assert "is not a run ID. A run ID has 1 to 100 letters, digits, '_' or '-'" in told
    assert "the arrow beside Materialize…, then Delete partitions" in told
    assert len(told) < 300 and "\n" not in told
    assert new == set()


def test_no_bad_key_becomes_a_folder(room: Room) -> None:
    for key in BAD:
        with pytest.raises(RunIdError) as told:
            RunFolder(room.store.root, "intelligence", key)
        assert "\n" not in str(told.value) and len(str(told.value)) < 220, key


def test_none_of_the_naughty_strings_gets_out_of_the_storage(room: Room, naughty: list[str]) -> None:
    taken = []
    for text in naughty:
        try:
            taken.append(valid_run_id(text))
        except RunIdError as error:
            assert "is not a run ID" in str(error)
            assert str(error).isascii() and "\n" not in str(error) and len(str(error)) < 700, text
            with pytest.raises(RunIdError):
                RunFolder(room.store.root, "intelligence", text)
    root = str(room.store.root)

    assert len(naughty) > 500 and 10 < len(taken) < 150
    for key in taken:
        place = RunFolder(room.store.root, "intelligence", key).path
        assert str(place.parent) == f"{root}/intelligence" and place.name == key


def test_naughty_strings_materialized_for_real_write_nothing(room: Room, naughty: list[str], tmp_path: Path) -> None:
    hostile = [text for text in naughty if ".." in text or "<script" in text][:2]
    picked = [*hostile, "$HOME", "﷽", "`touch /tmp/blns.fail`"]
    for text in picked:
        assert "is not a run ID" in refusal(room, text), text

    assert not (room.home / "data").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
