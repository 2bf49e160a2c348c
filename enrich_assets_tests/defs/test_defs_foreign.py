"""The definitions inside somebody else's project, beside its own assets, executor and IO manager."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets_tests.defs.conftest import Room

PROJECT = Path(__file__).parents[2]
FOREIGN = '''
import json
from pathlib import Path

import dagster as dg

from enrich_assets.definitions import build_definitions


class Notes(dg.ConfigurableIOManager):
    """Their IO manager, under the name that assets take by default."""

    folder: str

    def handle_output(self, context, obj):
        Path(self.folder, "_".join(context.asset_key.path) + ".json").write_text(json.dumps(obj), encoding="utf-8")

    def load_input(self, context):
        return json.loads(Path(self.folder, "_".join(context.asset_key.path) + ".json").read_text(encoding="utf-8"))


@dg.asset
def words():
    return ["their", "own"]


@dg.asset
def sentence(words):
    return " ".join(words)


theirs = dg.Definitions(
    assets=[words, sentence],
    resources={"io_manager": Notes(folder=str(Path(__file__).parent))},
    executor=dg.multiprocess_executor,
)
defs = dg.Definitions.merge(theirs, build_definitions(key_prefix="theirs"))
'''
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "foreign"
    place.mkdir()
    (place / "foreign_project.py").write_text(FOREIGN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(place))
    return place


@pytest.fixture
def foreign(folder: Path) -> Iterator[Any]:
    yield importlib.import_module("foreign_project").defs
    sys.modules.pop("foreign_project", None)


def test_all_keys_are_prefixed_and_their_executor_stays(foreign: Any) -> None:
    keys = {key.to_user_string() for key in foreign.resolve_asset_graph().get_all_asset_keys()}
    tier1 = foreign.resolve_asset_graph().get(dg.AssetKey(["theirs", "tier1"]))

    dg.Definitions.validate_loadable(foreign)
    assert {"words", "sentence"} <= keys
    assert all(key.startswith("theirs/") for key in keys - {"words", "sentence"})
    assert len(keys) == 12
    assert {key.to_user_string() for key in tier1.parent_keys} == {"theirs/initialized", "theirs/scraped"}
    assert foreign.executor is dg.multiprocess_executor
    assert foreign.resolve_job_def("theirs_intelligence").executor_def is dg.in_process_executor


def test_each_asset_uses_its_own_io_manager(foreign: Any, folder: Path, demo_copy: Room) -> None:
    before = demo_copy.envelope("tier1")
    result = foreign.resolve_job_def("theirs_intelligence").execute_in_process(
        instance=demo_copy.instance, partition_key=demo_copy.run_id,
        asset_selection=[dg.AssetKey(["theirs", "tier1"])], run_config=QUIET,
    )  # fmt: skip
    own = dg.materialize(
        [foreign.get_assets_def("words"), foreign.get_assets_def("sentence")],
        instance=demo_copy.instance, resources={"io_manager": foreign.resources["io_manager"]}, run_config=QUIET,
    )  # fmt: skip
    after = demo_copy.envelope("tier1")

    assert result.success and own.success
    assert after.artifact_id != before.artifact_id
    assert (after.data_sha256, after.counts.rows_out) == (before.data_sha256, 58)
    assert demo_copy.instance.get_latest_materialization_event(dg.AssetKey(["theirs", "tier1"])) is not None
    assert sorted(path.name for path in folder.glob("*.json")) == ["sentence.json", "words.json"]
    assert json.loads((folder / "sentence.json").read_text(encoding="utf-8")) == "their own"


def test_a_phase_runs_in_processes_of_their_executor(folder: Path, room: Room) -> None:
    run_id = room.begin(preset="demo")
    command = [
        sys.executable, "-m", "dagster", "asset", "materialize", "--select", "theirs/initialized",
        "--partition", run_id, "-f", str(folder / "foreign_project.py"), "-a", "defs",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert room.envelope("initialized", run_id).status == "complete"
    latest = room.instance.get_latest_materialization_event(dg.AssetKey(["theirs", "initialized"]))
    assert latest is not None


def test_a_store_at_another_place_moves_the_io_managers_along(room: Room, tmp_path: Path) -> None:
    from enrich_assets.definitions import build_definitions
    from enrich_assets.defs.resources import STORE, StoreResource

    elsewhere = tmp_path / "elsewhere"
    ours = build_definitions()
    resources = {**(ours.resources or {}), STORE: StoreResource(storage=str(elsewhere))}
    moved = dg.Definitions(assets=ours.assets, jobs=ours.jobs, resources=resources)
    run_id = room.begin(preset="demo")
    result = moved.resolve_job_def("intelligence").execute_in_process(
        instance=room.instance, partition_key=run_id, asset_selection=[dg.AssetKey("initialized")], run_config=QUIET
    )

    assert result.success
    assert (elsewhere / "intelligence" / run_id / "initialized.json").is_file()
    assert not (room.home / "data" / "intelligence" / run_id).exists()
