"""Many rows, the phase and its publication: memory has an upper bound, and a row of them takes hardly longer than one
of few (in the long form: the time of a short run is mostly that of the machine)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def found_for(rows: int, folder: Path) -> Any:
    """What a process of its own measured."""
    command = [sys.executable, "-m", "enrich_assets_tests.large_run", str(rows), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_five_thousand_rows_take_little_memory_and_known_answers_no_call(tmp_path: Path) -> None:
    found = found_for(5_000, tmp_path)
    assert found["first"]["calls"] == 5_000
    assert found["first"]["memory_mb"] <= 60, found
    assert found["again"]["calls"] == 0
    assert found["again"]["seconds"] < found["first"]["seconds"], found


@pytest.mark.long
def test_a_hundred_thousand_rows_take_what_a_thousand_take(tmp_path: Path) -> None:
    found = found_for(100_000, tmp_path)
    assert found["first"]["calls"] == 100_000
    assert found["first"]["memory_mb"] <= 150, found
    assert found["first"]["cpu_ms_a_row"] <= 1.2 * found["small_cpu_ms_a_row"], found
    assert found["again"]["calls"] == 0
    assert found["again"]["memory_mb"] <= 150, found
