"""The table of assets that the factory makes: pinned here, and the same in docs/assets.md.

After a change that is meant, correct the table below and write the page anew with

    RENEW_DOCS=1 .venv/bin/python -m pytest enrich_assets_tests/defs/test_defs_assets.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.definitions import build_definitions, defs

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "assets.md"

EVERY_PHASE_BEFORE = "initialized scraped tier1 tier2 tier3 ranked paraphrased enriched validated"
# key: inputs, kinds, checks (blocking ones with a !)
ASSETS = {
    "initialized": ("", "json python", ""),
    "scraped": (
        "initialized", "parquet python",
        "dates_can_be_read most_sources_answered no_source_fails_for_long nothing_stands_out",
    ),
    "tier1": ("initialized scraped", "parquet python", "nothing_stands_out something_left"),
    "tier2": ("tier1", "llm parquet python", "nothing_stands_out"),
    "tier3": ("tier2", "llm parquet python", "nothing_stands_out scores_vary"),
    "ranked": ("tier3", "parquet python", "nothing_stands_out"),
    "paraphrased": ("ranked", "llm parquet python", "analyses_have_their_length nothing_stands_out"),
    "enriched": ("scraped paraphrased", "llm parquet python", "nothing_stands_out"),
    "validated": (
        "initialized scraped enriched", "parquet python",
        "few_rows_quarantined! no_broken_rows_published! nothing_stands_out",
    ),
    "report": (EVERY_PHASE_BEFORE, "json python", ""),
}  # fmt: skip
JOBS = ["intelligence", *(f"intelligence_from_{name}" for name in list(ASSETS)[1:])]


@pytest.fixture(scope="module")
def assets() -> Any:
    return defs.resolve_asset_graph()


def _ordered(assets: Any) -> list[Any]:
    return sorted((assets.get(key) for key in assets.get_all_asset_keys()), key=lambda node: node.metadata["number"])


def _inputs(assets: Any, node: Any) -> str:
    known = [other.key for other in _ordered(assets)]
    return " ".join(key.to_user_string() for key in known if key in node.parent_keys)


def _checks(assets: Any, node: Any) -> str:
    specs = sorted((assets.get_check_spec(key) for key in node.check_keys), key=lambda spec: spec.name)
    return " ".join(f"{spec.name}!" if spec.blocking else spec.name for spec in specs)


def test_the_table_of_assets_is_what_it_was(assets: Any) -> None:
    made = {
        node.key.to_user_string(): (_inputs(assets, node), " ".join(sorted(node.kinds)), _checks(assets, node))
        for node in _ordered(assets)
    }
    assert made == ASSETS
    assert list(made) == list(ASSETS)


def test_every_asset_has_group_owner_code_version_description_and_runs_as_partitions(assets: Any) -> None:
    for node in _ordered(assets):
        name = node.key.to_user_string()
        assert node.group_name == "intelligence", name
        assert list(node.owners) == ["team:enrich"], name
        assert len(node.code_version) == 12, name
        assert len(node.description) > 80, name
        # What it costs stands in the text that the UI shows.
        told = ("Costs ", "costs nothing", " call ", "No model is asked")
        assert any(words in node.description for words in told), name
        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition), name
        assert node.partitions_def.name == "intelligence_runs", name


def test_every_table_declares_its_columns_with_type_and_description(assets: Any) -> None:
    for node in _ordered(assets):
        schema = node.metadata.get("dagster/column_schema")
        if "json" in node.kinds:
            assert schema is None
            continue
        assert schema.columns[0].name == "row_id"
        assert all(column.type and column.description for column in schema.columns), node.key
        assert len(schema.columns) > 15, node.key


def test_every_check_belongs_to_a_run(assets: Any) -> None:
    assert len(assets.asset_check_keys) == 16
    for key in assets.asset_check_keys:
        spec = assets.get_check_spec(key)
        assert spec.description, key
        assert spec.partitions_def is not None and spec.partitions_def.name == "intelligence_runs", key


def test_there_is_a_job_for_the_whole_and_one_from_each_phase_down() -> None:
    jobs = {job.name: job for job in defs.resolve_all_job_defs() if job.name.startswith("intelligence")}
    names = list(ASSETS)

    assert sorted(jobs) == sorted(JOBS)
    for name, job in jobs.items():
        start = names.index(name.removeprefix("intelligence_from_")) if "_from_" in name else 0
        keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        assert keys == set(names[start:]), name


def test_resources_have_names_of_their_own_and_no_executor_is_set_for_others() -> None:
    assert all(name.startswith("enrich_") for name in defs.resources or {})
    assert build_definitions().executor is None
    assert defs.executor is not None and defs.executor.name == "in_process"


def test_the_page_about_assets_is_up_to_date(assets: Any) -> None:
    if os.environ.get("RENEW_DOCS"):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(_page(assets), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == _page(assets), (__doc__ or "").split("\n\n", 1)[1]


def _page(assets: Any) -> str:
    """docs/assets.md: the table, the jobs, and each asset with its columns."""
    lines = [
        "# The assets",
        "",
        "What the factory makes of the declared phases. A run is a dynamic partition (`intelligence_runs`), and every",
        "asset belongs to the group `intelligence`, is owned by `team:enrich` and has a code version that covers its",
        "code and prompts. A check with a `!` blocks: later phases refuse what failed it.",
        "",
        "| asset | made from | kinds | checks |",
        "|---|---|---|---|",
    ]
    for node in _ordered(assets):
        cells = (_inputs(assets, node), " ".join(sorted(node.kinds)), _checks(assets, node))
        code = (", ".join(f"`{word}`" for word in cell.split()) for cell in cells)
        lines.append(f"| `{node.key.to_user_string()}` | " + " | ".join(code) + " |")
    lines += ["", "Jobs: `intelligence` runs all phases, and `intelligence_from_<phase>` a phase and those after it:"]
    lines += [", ".join(f"`{name}`" for name in JOBS[1:]) + "."]
    known: set[str] = set()
    for node in _ordered(assets):
        lines += ["", f"## {node.key.to_user_string()}", "", *node.description.splitlines()]
        schema = node.metadata.get("dagster/column_schema")
        new = [column for column in schema.columns if column.name not in known] if schema else []
        if new:
            lines += ["", "| column | type | |", "|---|---|---|"]
            lines += [f"| `{c.name}` | {_short(c.type)} | {c.description.replace('|', chr(92) + '|')} |" for c in new]
            if len(new) < len(schema.columns):
                lines += ["", "And the columns of the phases above."]
        known |= {column.name for column in new}
    return "\n".join(lines) + "\n"


def _short(kind: str) -> str:
    return kind if len(kind) <= 60 else kind.split("<", 1)[0] + " of " + kind.split("<", 2)[1].split(":")[-1].strip()


@pytest.mark.parametrize(
    "command",
    [
        ("dagster", "definitions", "validate", "--workspace", "workspace.yaml"),
        ("dg", "check", "defs"),
    ],
    ids=" ".join,
)
def test_dagsters_own_commands_load_the_project(command: tuple[str, ...], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "ENRICH_STORAGE": str(tmp_path / "data"),
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(Path(sys.executable).parents[1]),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DG_CLI_TELEMETRY": "false",
    }
    tool = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(tool), *command[1:]], cwd=PROJECT, env=environment, capture_output=True, encoding="utf-8", timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout + done.stderr
    assert "PreviewWarning" not in told
    assert "Validation successful" in told or "All definitions loaded successfully" in told, told
