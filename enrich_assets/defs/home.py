"""The folder that commands and UI share: DAGSTER_HOME found or honoured, storage named absolutely. No Dagster here.

Opening the instance that stands there belongs to `defs.instance`.
`base_dir` in the project's dagster.yaml is relative to the working directory, so the project's folder is entered first.
https://docs.dagster.io/deployment/oss/dagster-yaml
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from enrich_assets.core.errors import UserError
from enrich_assets.core.named_paths import spelled_out

_URL_PARTS = re.compile(r"\?|%[0-9A-Fa-f]{2}")
PROJECT = Path(__file__).resolve().parents[2]
_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """A settings file of Dagster's as it comes with this project: beside the package, or in it where a wheel has it."""
    return PROJECT / name if (PROJECT / "dagster.yaml").is_file() else _PACKAGE / name


def enter_home(say: Callable[[str], None], *, settles: bool = False) -> Path:
    """Sets DAGSTER_HOME to the project's folder, or honours the one that is set, which `say` is told.

    `settles`: the folder that a command without a project works in gets the project's dagster.yaml where it has none.
    Without it Dagster would lay its databases beside the data, and send what it calls telemetry.
    Storage that is named relatively (`./data`) keeps meaning the folder that the command was called in.
    """
    named = os.environ.get("DAGSTER_HOME", "").strip()
    home = _home(named) if named else default_home()
    storage = os.environ.get("ENRICH_STORAGE", "").strip()
    if not storage:
        os.environ["ENRICH_STORAGE"] = str(default_home() / "data")
    else:
        from enrich_assets.store.root import storage_name

        os.environ["ENRICH_STORAGE"] = storage_name(storage)
    refuse_url_parts(home)
    if named and home != default_home():
        say(f"DAGSTER_HOME is {home}: runs appear in that instance's UI.")
    if settles and not named and not (home / "dagster.yaml").exists():
        from upath import UPath

        from enrich_assets.core.files import write_atomic

        write_atomic(UPath(home / "dagster.yaml"), shipped("dagster.yaml").read_bytes())
    os.environ["DAGSTER_HOME"] = str(home)
    os.chdir(home)
    return home


def default_home() -> Path:
    """The project's folder where it holds a dagster.yaml, else the working directory."""
    return PROJECT if (PROJECT / "dagster.yaml").is_file() else Path.cwd()


def refuse_url_parts(home: Path) -> None:
    """Raises UserError for a path that Dagster takes for a URL with parts: its databases would stand elsewhere."""
    found = _URL_PARTS.search(str(home))
    if found:
        raise UserError(
            f"Dagster cannot keep its databases in {str(home)!r}: it takes {found.group()!r} in the name for a part "
            "of a URL.",
            fix="Name another folder, in DAGSTER_HOME or as base_dir in its dagster.yaml, without '?' and without '%' "
            "before two hexadecimal digits in its path.",
        )


def _home(named: str) -> Path:
    home = spelled_out(named, "DAGSTER_HOME")
    or_own = "unset it to use the project's own."
    if not (named.startswith("~") or Path(named).is_absolute()):
        raise UserError(
            f"DAGSTER_HOME is set to {named!r}, which means another folder wherever a command is called.",
            fix=f"Set it to the whole path: export DAGSTER_HOME={shlex.quote(str(home))}; or {or_own}",
        )
    if not home.is_dir():
        raise UserError(
            f"DAGSTER_HOME is set to {named!r}, and {'that is no folder' if home.exists() else 'there is none'}.",
            fix=f"Make it: mkdir -p {shlex.quote(str(home))}; or set it to a folder that there is, or {or_own}",
        )
    return home.resolve()
