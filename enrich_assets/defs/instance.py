"""The Dagster instance that commands and UI share, opened. Which folder it stands in belongs to `defs.home`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import yaml

from enrich_assets.core.errors import UserError
from enrich_assets.defs.home import default_home as default_home
from enrich_assets.defs.home import enter_home as enter_home
from enrich_assets.defs.home import refuse_url_parts


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME; raises UserError that says what is wrong with it."""
    refuse_url_parts(_base_dir(Path(os.environ.get("DAGSTER_HOME", "."))))
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # Dagster raises many kinds for a bad dagster.yaml; each is the user's to mend
        if driver := _lacking_driver(error):
            raise UserError(
                f"the Python package {driver}, as which SQLAlchemy reads the URL of Dagster's storage, is missing.",
                where=os.environ.get("DAGSTER_HOME", ""),
                fix="Name the driver in the URL: postgresql+psycopg2://… in place of postgresql://…",
            ) from error
        damaged = damaged_databases()
        if damaged:
            raise database_error(damaged) from error
        raise UserError(
            f"the Dagster instance cannot be opened: {str(error).splitlines()[0]}",
            where=os.environ.get("DAGSTER_HOME", ""),
            fix="Correct its dagster.yaml, or unset DAGSTER_HOME to use the project's own.",
        ) from error


def _lacking_driver(error: BaseException | None) -> str:
    """The Postgres driver that could not be imported, where that is what went wrong."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name in ("psycopg", "asyncpg", "pg8000"):
            return error.name
        error = error.__cause__ or error.__context__
    return ""


def database_error(damaged: list[Path]) -> UserError:
    """The error of Dagster databases that cannot be read, and the remedy, which loses no run and no artifact."""
    return UserError(
        "Dagster's own database is damaged.",
        where=", ".join(str(path) for path in damaged),
        fix="Move it away, and Dagster makes a new one: it holds what the UI shows of launches; runs, artifacts and "
        "answers are not in it. Then `enrich check` tells Dagster its runs.",
    )


def damaged_databases() -> list[Path]:
    """The SQLite files of the instance in DAGSTER_HOME that SQLite itself finds damaged."""
    home = Path(os.environ.get("DAGSTER_HOME", "."))
    return [path for path in sorted({*_databases(home), *_databases(_base_dir(home))}) if _is_damaged(path)]


def _base_dir(home: Path) -> Path:
    try:
        settings = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8"))
        named = settings["storage"]["sqlite"]["base_dir"]
        named = os.environ.get(str(named["env"]), "") if isinstance(named, dict) else str(named)
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return home
    return home / named


def _databases(base: Path) -> list[Path]:
    # Where Dagster keeps them: runs.db and, for the event log, index.db and one file a launch; schedules.db.
    # https://docs.dagster.io/deployment/oss/oss-instance-configuration
    names = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
    return [path for path in (base / name for name in names) if path.is_file()]


def _is_damaged(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return [row[0] for row in connection.execute("PRAGMA quick_check(1)")] != ["ok"]
    except sqlite3.OperationalError:
        return False  # locked or not to be opened: that is not damage
    except sqlite3.DatabaseError:
        return True
