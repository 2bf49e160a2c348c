"""The folder that commands and UI share: DAGSTER_HOME found or honoured, storage named absolutely. No Dagster here.

Opening the instance that stands there belongs to `defs.instance`.
`base_dir` in the project's dagster.yaml is relative to the working directory, so the project's folder is entered first.
https://docs.dagster.io/deployment/oss/dagster-yaml
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from enrich_assets.core.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]


def enter_home(say: Callable[[str], None]) -> Path:
    """Sets DAGSTER_HOME to the project's folder, or honours the one that is set, which `say` is told.

    Storage that is named relatively (`./data`) keeps meaning the folder that the command was called in.
    """
    named = os.environ.get("DAGSTER_HOME", "").strip()
    home = _home(named) if named else default_home()
    storage = os.environ.get("ENRICH_STORAGE", "").strip()
    if not storage:
        os.environ["ENRICH_STORAGE"] = str(default_home() / "data")
    elif "://" not in storage:
        os.environ["ENRICH_STORAGE"] = str(Path(storage).expanduser().absolute())
    if named and home != default_home():
        say(f"DAGSTER_HOME is {home}: runs appear in that instance's UI.")
    os.environ["DAGSTER_HOME"] = str(home)
    os.chdir(home)
    return home


def default_home() -> Path:
    """The project's folder where it holds a dagster.yaml, else the working directory."""
    return PROJECT if (PROJECT / "dagster.yaml").is_file() else Path.cwd()


def _home(named: str) -> Path:
    home = Path(named).expanduser()
    if not home.is_absolute() or not home.is_dir():
        raise UserError(
            f"DAGSTER_HOME is set to {named!r}, which is no absolute path of a folder.",
            fix="Set it to an existing folder, or unset it to use the project's own.",
        )
    return home.resolve()
