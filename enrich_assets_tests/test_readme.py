"""Every command in the README runs, in its order, as a reader would type it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets_tests import warm

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
# Run inside the tests these would start themselves again; what they call is covered by the tests that they run.
ELSEWHERE = {"scripts/test": "scripts/test --collect-only -q enrich_assets_tests/core", "scripts/check": "true"}


def commands() -> list[str]:
    """The command lines of the README's shell blocks, in order, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("readme")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    return {
        **os.environ,
        "HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "ENRICH_STORAGE": str(home / "data"),
        "COLUMNS": "120",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.mark.timeout(400)
def test_every_command_of_the_readme_runs(place: dict[str, str]) -> None:
    listed = commands()
    # `scripts/demo` begins Python as a reader does; the `enrich` of the others is forked from one that has begun.
    forked = Path(place["HOME"]) / "bin" / "enrich"
    forked.parent.mkdir()
    forked.write_text(f'#!/bin/sh\nexec {shlex.join(warm.client())} "$@"\n', encoding="utf-8")
    forked.chmod(0o755)
    environment = {**place, "PATH": f"{forked.parent}:{place['PATH']}"}
    assert "scripts/demo" in listed
    assert "enrich ui" in listed
    for command in listed:
        if command in ("enrich ui", "enrich serve"):
            continue
        shown = ELSEWHERE.get(command, command).replace("mine.yaml", f"{place['HOME']}/mine.yaml")
        done = subprocess.run(
            shown, shell=True, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.long
def test_the_ui_command_of_the_readme_answers_and_ends(place: dict[str, str]) -> None:
    process = subprocess.Popen(
        ["enrich", "ui"],
        cwd=PROJECT,
        env=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        deadline, address, told = time.monotonic() + 90, "", ""
        while not address and time.monotonic() < deadline:
            line = process.stdout.readline()
            told += line
            found = re.search(r"http://(?:127\.0\.0\.1|localhost):(\d+)", line)
            address = found.group(0) if found else ""
        assert address, told
        assert _answers(f"{address}/server_info", deadline), told
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()


def test_the_readme_names_every_phase_of_the_graph_and_so_does_its_picture() -> None:
    picture = (PROJECT / "docs" / "graph.svg").read_text(encoding="utf-8")
    for number, phase in enumerate(GRAPHS["intelligence"].names, 1):
        assert f"| {number} | `{phase}` |" in README
        assert f"{number} {phase}<" in picture


def _answers(url: str, deadline: float) -> bool:
    import httpx

    while time.monotonic() < deadline:
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            time.sleep(0.5)
    return False
