"""Five hundred runs in one place: lists, the page of a phase, and a resume still answer at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from enrich_assets.engine.ledger import utc_now
from enrich_assets_tests.ui.browser_kit import CHROMIUM, chromium
from enrich_assets_tests.ui.dagster_kit import Dagster, environment_of, prepare_home, running_dagster

RUNS = 500
LISTED_SECONDS, RESUMED_SECONDS, PAGE_SECONDS = 2.0, 8.0, 10.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Home and storage with one demo run and 500 others that are recorded like it."""
    folder = tmp_path_factory.mktemp("crowded")
    home, storage = prepare_home(folder)
    enrich = [sys.executable, "-m", "enrich_assets.cli.main"]
    for command in ([*enrich, "demo"], [sys.executable, "-m", "enrich_assets_tests.ui.many_runs", str(RUNS)]):
        subprocess.run(command, env=environment_of(home, storage), cwd=home, check=True, timeout=800)
    return home, storage


def test_runs_are_listed_within_two_seconds(crowded: tuple[Path, Path]) -> None:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = _enrich(crowded, "runs", "--limit", "1000")
        seconds.append(time.perf_counter() - began)
    assert len(done.stdout.splitlines()) > RUNS
    print(f"\nenrich runs: {min(seconds):.2f} s")
    assert min(seconds) < LISTED_SECONDS


def test_resume_is_at_its_first_phase_within_eight_seconds(crowded: tuple[Path, Path]) -> None:
    prepared = _enrich(crowded, "run", "--prepare", "--preset", "demo")
    run_id = prepared.stdout.split()[1]
    began = utc_now()
    resumed = _enrich(crowded, "resume", "--latest")
    assert resumed.returncode == 0, resumed.stderr
    dagster = Dagster(*crowded, 0, None)  # type: ignore[arg-type]  # nothing is served
    seconds = (dagster.began_at(run_id, "initialized") - began).total_seconds()
    print(f"\nenrich resume --latest: {seconds:.1f} s to its first phase")
    assert 0 < seconds < RESUMED_SECONDS


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_of_a_phase_is_usable(crowded: tuple[Path, Path], tmp_path: Path) -> None:
    home, storage = crowded
    with running_dagster(home.parent, home=home, storage=storage) as dagster:
        httpx.get(dagster.url)
        with chromium(dagster.url, tmp_path / "shots") as browser:
            browser.open("/assets/tier1?view=overview", "first_rows", "cost_usd")  # what the browser keeps is kept
            for view, texts in {
                "overview": ("first_rows", "cost_usd"),
                "partitions": ("Partitions Selected", "20240101_060000"),
                "lineage": ("tier2",),
            }.items():
                began = time.perf_counter()
                browser.open(f"/assets/tier1?view={view}", *texts)
                seconds = time.perf_counter() - began
                browser.shot(f"500 runs {view}")
                print(f"\ntier1 {view}: {seconds:.1f} s")
                assert seconds < PAGE_SECONDS


def _enrich(crowded: tuple[Path, Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "enrich_assets.cli.main", *arguments]
    return subprocess.run(
        command,
        env=environment_of(*crowded),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
