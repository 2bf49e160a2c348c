"""What the command costs before it does anything."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

HEAVY = ("dagster", "pandas", "pyarrow", "litellm", "sqlalchemy", "trafilatura", "httpx")
LOADED = """
import sys
sys.argv = ["enrich", *sys.argv[1:]]
from enrich_assets.cli.main import main
try:
    main()
except SystemExit as end:
    code = end.code
import sys
print("LOADED", code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded(place: Any, *arguments: str) -> set[str]:
    """Top-level modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], env=place.environment, capture_output=True, text=True, check=True
    )
    words = done.stdout.splitlines()[-1].split()
    assert words[:2] in (["LOADED", "0"], ["LOADED", "None"]), done.stdout
    return set(words[2:])


def test_help_takes_little_longer_than_the_libraries_that_write_it(empty_place: Any) -> None:
    seconds, bare = [], []
    for _ in range(5):
        begun = time.perf_counter()
        done = subprocess.run(
            empty_place.command("--help"), env=empty_place.environment, capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import typer, rich.console"], env=empty_place.environment, check=True)
        bare.append(time.perf_counter() - begun)
    # 1.5 times as long on a quiet machine; with one of the heavy libraries it would be ten times.
    assert statistics.median(seconds) < 4 * statistics.median(bare), (seconds, bare)
    shown = "demo run resume runs show compare watch check serve ui presets sources forget"
    for command in shown.split():
        assert f"\n  {command} " in done.stdout


def test_help_imports_nothing_heavy(empty_place: Any) -> None:
    assert not loaded(empty_place, "--help") & set(HEAVY)
    assert not loaded(empty_place, "run", "--help") & set(HEAVY)


def test_runs_watch_and_show_do_without_dagster_and_pandas(demo_place: Any) -> None:
    for arguments in (("runs",), ("watch", "latest", "--once"), ("show", "latest")):
        assert not loaded(demo_place, *arguments) & {"dagster", "pandas", "litellm"}


def test_looking_into_an_empty_place_leaves_no_folder_behind(empty_place: Any, call: Any) -> None:
    assert call(empty_place, "runs").stdout == "There is no run yet. Start one: enrich demo\n"
    assert call(empty_place, "runs", "--json").stdout == "[]\n"
    assert not empty_place.storage.exists()
