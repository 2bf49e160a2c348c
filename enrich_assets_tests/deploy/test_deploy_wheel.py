"""The wheel alone, in an environment of its own, does what the README promises: nothing of the checkout is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "enrich_assets"
# What would lead the installed command back to this checkout, or to somebody's storage.
OURS = ("PYTHON", "ENRICH_", "DAGSTER_", "VIRTUAL_ENV")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as the project's own build back end makes it: without isolation, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    _done([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], PROJECT, dict(os.environ))
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("enrich_assets/")}
    tracked = _done(["git", "ls-files", "enrich_assets"], PROJECT, dict(os.environ)).splitlines()
    assert {*tracked, "enrich_assets/dagster.yaml", "enrich_assets/workspace.yaml"} <= held
    assert not [name for name in held if name.startswith("enrich_assets_tests")]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_installed_wheel_runs_the_demo_and_shows_it_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    home, folder, own = tmp_path / "home", tmp_path / "empty", tmp_path / "venv"
    home.mkdir()
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    _done([sys.executable, "-m", "venv", str(own)], tmp_path, environment)
    # pip finds packages as this machine is configured, which may stand in the home of who runs the test.
    _done([str(own / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)], tmp_path, environment)
    environment |= {"HOME": str(home), "COLUMNS": "100", "PATH": f"{own / 'bin'}:/usr/bin:/bin"}
    enrich = str(own / "bin" / "enrich")

    where = "import enrich_assets; print(enrich_assets.__file__)"
    assert _done([str(own / "bin" / "python"), "-c", where], folder, environment).startswith(str(own))
    assert re.search(r"\d+\.\d+", _done([enrich, "--version"], folder, environment))
    presets = _done([enrich, "presets"], folder, environment)
    assert all(path.stem in presets for path in (PACKAGE / "graphs" / "intelligence" / "presets").glob("*.yaml"))

    told = _done([enrich, "demo"], folder, environment)
    (run_id,) = re.findall(r"^run (\S+), cost \$0$", told, re.MULTILINE)
    base = folder / "data" / "intelligence" / run_id
    assert run_id in _done([enrich, "runs"], folder, environment)
    assert run_id in _done([enrich, "show", "latest"], folder, environment)
    # PDF needs an extra: without it the command says so, and makes every other type.
    reported = _done([enrich, "report", "latest"], folder, environment)
    assert "typst is not installed (extra `pdf`)" in reported
    assert {"pipeline_summary.html", "data_quality.html"} <= {p.name for p in (folder / "data").rglob("reports/**/*")}

    written = {path.name for path in (base / "reports").iterdir()}
    assert {"report.html", "report.md", "articles.xlsx", "data_quality.html"} <= written
    assert "report.pdf" not in written
    assert list((base / "eda").rglob("*.png"))
    assert {entry["kind"] for entry in json.loads((base / "manifest.json").read_text("utf-8"))["files"]}
    # Everything stands in the folder that the command was called in: Dagster's databases with the data.
    assert {path.name for path in folder.iterdir()} == {"data", "dagster.yaml"}
    assert (folder / "data" / "dagster" / "history").is_dir()
    assert not [path for path in home.rglob("*") if path.is_file()]


def _done(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr
