"""docs/merging.md: its two blocks are one program, and what it says of keys, executor and resources holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.resources import LEDGER, STORE
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets_tests.defs.conftest import Room

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "merging.md").read_text(encoding="utf-8")
BLOCKS, README_BLOCKS = (
    re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for text in (PAGE, (PROJECT / "README.md").read_text(encoding="utf-8"))
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def written() -> dict[str, Any]:
    """The names that the first block defines."""
    names: dict[str, Any] = {"__name__": "merging_page"}
    exec(compile(BLOCKS[0], "docs/merging.md", "exec"), names)
    # The page has it inside of the call.
    names["ours"] = build_definitions(key_prefix="press", graphs=[GRAPHS["intelligence"]], daily_at="05:30")
    return names


@pytest.mark.parametrize("page", ["merging, first block", "merging, both blocks", "README"])
def test_what_the_pages_show_loads_with_dagsters_own_command(page: str, tmp_path: Path) -> None:
    text = {
        "merging, first block": BLOCKS[0],
        "merging, both blocks": "\n".join(BLOCKS),
        "README": next(block for block in README_BLOCKS if "Definitions.merge" in block),
    }[page]
    (tmp_path / "theirs.py").write_text(text, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "DAGSTER"))}
    places = {"PRESS_STORAGE": str(tmp_path), "PRESS_LEDGER_URL": f"sqlite:///{tmp_path}/press.db"}
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-f", "theirs.py"],
        cwd=tmp_path, env={**kept, **places, "PYTHONWARNINGS": "ignore"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Validation successful" in done.stderr + done.stdout


def test_the_merged_project_loads_with_everything_under_the_prefix(written: dict[str, Any]) -> None:
    defs, ours = written["defs"], written["ours"]
    dg.Definitions.validate_loadable(defs)
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert keys - {"headlines"} == {key for key in keys if key.startswith("press/")}
    assert {"headlines", "press/initialized", "press/report"} <= keys
    named = [*ours.jobs, *ours.schedules, *ours.sensors]
    assert all(thing.name.startswith("press_") for thing in named)
    assert {"press_intelligence", "press_new_run"} <= {job.name for job in ours.jobs}
    assert defs.executor is dg.multiprocess_executor
    assert defs.resolve_job_def("press_intelligence").executor_def is dg.in_process_executor


def test_an_asset_of_theirs_reads_what_ours_published(written: dict[str, Any], demo_copy: Room) -> None:
    result = dg.materialize(
        [written["headlines"]], partition_key=demo_copy.run_id, instance=demo_copy.instance,
        resources=dict(written["ours"].resources), run_config=QUIET,
    )  # fmt: skip
    report = demo_copy.store.load("intelligence", demo_copy.run_id, "report").document
    assert report is not None
    assert result.output_for_node("headlines") == [article["title"] for article in report["articles"]] != []


def test_replaced_resources_name_another_storage_and_ledger(
    written: dict[str, Any], room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exec(compile(BLOCKS[1], "docs/merging.md", "exec"), written)
    monkeypatch.setenv("PRESS_STORAGE", str(tmp_path / "press"))
    monkeypatch.setenv("PRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'press.db'}")
    dg.Definitions.validate_loadable(written["defs"])
    placed = written["placed"](written["ours"])
    assert {type(placed.resources[name]).__name__ for name in (STORE, LEDGER)} == {
        "StoreResource",
        "LedgerResource",
    }
    run_id = "typed_by_hand"
    room.instance.add_dynamic_partitions("intelligence_runs", [run_id])
    result = (
        written["defs"]
        .resolve_job_def("press_intelligence")
        .execute_in_process(
            instance=room.instance, partition_key=run_id, run_config=QUIET,
            asset_selection=[dg.AssetKey(["press", "initialized"])],
        )
    )  # fmt: skip
    assert result.success
    assert (tmp_path / "press" / "intelligence" / run_id / "initialized.json").is_file()
    assert (tmp_path / "press.db").is_file()


def test_the_table_lists_every_resource(written: dict[str, Any]) -> None:
    table = PAGE.split("## Resources")[1].split("```")[0]
    assert set(re.findall(r"`(enrich_\w+)`", table)) == set(written["ours"].resources)
