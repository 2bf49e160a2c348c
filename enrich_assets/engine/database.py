"""How the ledger's database is opened: made where there is none, upgraded where it is older, refused where not ours.

Belongs here: what happens before the first read. The tables themselves stand in `engine.tables`, the steps from one
version to the next in `engine.migrations`, what the tables hold in `engine.ledger`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import tables

_WAY_OUT = (
    "It was not changed. Put a copy of it back; or move it away (with its -wal and -shm), then enrich check lists the "
    "runs again from their folders, and only the stored answers are lost; or name another with ENRICH_LEDGER_URL."
)
_APPLICATION_ID = 0x454E5243  # "ENRC": tells a ledger from any other SQLite file


def open_database(url: str) -> sa.Engine:
    """The database of a ledger: a new one gets its tables, an older one is upgraded, in one transaction.

    SQLite runs in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. A ledger of a newer
    version opens, as it is, where its minimum reader is not above this program's version. Raises StorageError for a
    ledger that is damaged, foreign, too new, or cannot be written; it is not changed.
    """
    parsed = sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    where = place_of(parsed)
    if parsed.get_backend_name() == "sqlite":
        engine = _open_sqlite(parsed)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    try:
        _prepare(engine, where)
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        said = tables.first_line(error)
        raise StorageError(
            f"the ledger cannot be opened: {said}.",
            where=where,
            fix="Free some space there." if "disk is full" in said else _WAY_OUT,
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def place_of(url: sa.URL) -> str:
    """A database as people are told of it: the file, or the URL without its password."""
    is_file = url.get_backend_name() == "sqlite"
    return url.database or "" if is_file else url.render_as_string(hide_password=True)


class _Found(NamedTuple):
    version: int
    minimum_reader: int


def _prepare(engine: sa.Engine, where: str) -> None:
    with engine.connect() as connection:
        found = _find(connection, where)
    if is_read_only(engine.url) and (found is None or found.version < tables.SCHEMA_VERSION):
        raise StorageError(
            f"{where} can only be read, and "
            + ("has no tables yet." if found is None else f"has version {found.version}, which has to be upgraded."),
            fix="Let a user who may write there run enrich runs once.",
        )
    if found is None or found.version < tables.SCHEMA_VERSION:
        found = _bring_up(engine, where)
    if found.minimum_reader > tables.SCHEMA_VERSION:
        raise StorageError(
            f"the ledger has version {found.version} and needs a program that reads version {found.minimum_reader}; "
            f"this one reads version {tables.SCHEMA_VERSION}.",
            where=where,
            fix="Upgrade enrich_assets, or name another ledger with ENRICH_LEDGER_URL; it was not changed.",
        )
    if engine.dialect.name == "sqlite" and not is_read_only(engine.url):
        _use_write_ahead_log(engine)


def _find(connection: sa.Connection, where: str) -> _Found | None:
    # Read at once, because nearly every ledger has the table: looking for it first would be a query more.
    try:
        return _read(connection, where)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        connection.rollback()
        if not sa.inspect(connection).has_table(tables.schema_info.name):
            return None
        return _read(connection, where)  # another process made it in between; or what is wrong is said again


def _read(connection: sa.Connection, where: str) -> _Found | None:
    rows = connection.execute(sa.select(tables.schema_info.c.name, tables.schema_info.c.value))
    values = {str(name): str(value) for name, value in rows}
    for name in ("version", "minimum_reader"):
        text = values.get(name, "1")
        if not text.isdecimal() or int(text) < 1:
            raise _damaged(f"the ledger has the {name} {text!r:.40}, which is none.", where)
    if "version" not in values:
        return None
    # A version that names no minimum is read by programs of that version alone.
    return _Found(int(values["version"]), int(values.get("minimum_reader", values["version"])))


def _bring_up(engine: sa.Engine, where: str) -> _Found:
    with engine.connect() as connection:
        _begin_alone(connection)
        # Looked at again: another process may have been quicker.
        names = set(sa.inspect(connection).get_table_names())
        found = _read(connection, where) if tables.schema_info.name in names else None
        if found is None:
            _create(connection, names, where)
        elif found.version < tables.SCHEMA_VERSION:
            _upgrade(connection, found.version, where)
        else:
            return found
        for name, number in (("version", tables.SCHEMA_VERSION), ("minimum_reader", tables.MINIMUM_READER)):
            row = tables.upsert(connection)(tables.schema_info).values(name=name, value=str(number))
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": str(number)}))
        connection.commit()
    return _Found(tables.SCHEMA_VERSION, tables.MINIMUM_READER)


def _begin_alone(connection: sa.Connection) -> None:
    # One writer at a time from the first statement on: two that begin at once make the tables once. The lock of
    # Postgres ends with the transaction, so it also works behind a pooler.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_APPLICATION_ID)))


def _create(connection: sa.Connection, names: set[str], where: str) -> None:
    if names & set(tables.metadata.tables):
        raise _damaged("the ledger has tables and no version.", where)
    if connection.dialect.name == "sqlite":
        if names:
            raise _foreign(where)
        connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")
    tables.metadata.create_all(connection)
    connection.execute(sa.insert(tables.migrations).values(version_num=_revision(tables.SCHEMA_VERSION)))


def _upgrade(connection: sa.Connection, version: int, where: str) -> None:
    tables.migrations.create(connection, checkfirst=True)
    stamps = [str(stamp) for stamp in connection.execute(sa.select(tables.migrations.c.version_num)).scalars()]
    if not stamps:  # versions 1 and 2 were made before there were migrations
        connection.execute(sa.insert(tables.migrations).values(version_num=_revision(version)))
    elif stamps != [_revision(version)]:
        raise _damaged(f"the ledger has version {version} and the tables of {', '.join(stamps):.40}.", where)
    _migrate(connection)


_migrating = threading.Lock()  # alembic keeps the connection that it works on in its modules


def _migrate(connection: sa.Connection) -> None:
    # Imported here: 0.3 s of CPU, which a command whose ledger is of the present version does not pay.
    from alembic import command
    from alembic.config import Config

    # On the connection of the caller, so that all steps are one transaction
    # (https://alembic.sqlalchemy.org/en/latest/cookbook.html, "Sharing a Connection").
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with _migrating:
        command.upgrade(config, _revision(tables.SCHEMA_VERSION))


def _revision(version: int) -> str:
    return f"{version:04d}"


def _use_write_ahead_log(engine: sa.Engine) -> None:
    # A property of the file that is set once. While another process reads, the change is refused without waiting
    # (https://www.sqlite.org/wal.html), so it is tried again for as long as a lock would be waited for.
    for attempt in range(600):
        try:
            with engine.connect() as connection:
                if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except sa.exc.OperationalError:
            if attempt == 599:
                raise
            time.sleep(0.05)


def _open_sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    try:
        if path.is_dir():
            raise StorageError(f"{path} is a folder, where the ledger should be a file.", fix="Move it away.")
        _refuse_foreign(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the ledger cannot be opened: {error.strerror or error}.",
            where=str(error.filename or path),
            fix="Give this user the right to read and write there, or set ENRICH_STORAGE to another folder.",
        ) from error
    if is_read_only(path):
        # A new connection for each look: only then is it known anew whether somebody else is writing.
        return sa.create_engine(url, creator=lambda: _connect_to_read(path), poolclass=sa.NullPool)
    engine = sa.create_engine(url, connect_args={"timeout": 30.0, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


def is_read_only(file: Path | sa.URL) -> bool:
    """Whether this user can only read a SQLite ledger that is there: the file, or its folder, where the log is."""
    if isinstance(file, sa.URL):
        if file.get_backend_name() != "sqlite":
            return False
        file = Path(file.database or "")
    return file.is_file() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _connect_to_read(path: Path) -> sqlite3.Connection:
    # What stands in the log is not in the file yet, so the log has to be read too; without one nobody writes now, and
    # SQLite would only fail to make one (https://www.sqlite.org/wal.html, "Read-Only Databases").
    log = path.with_name(f"{path.name}-wal")
    is_whole = not (log.exists() and log.stat().st_size)
    address = f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if is_whole else "")
    return sqlite3.connect(address, uri=True, timeout=30.0, check_same_thread=False)


_known: set[Path] = set()
_checking = threading.Lock()


def _refuse_foreign(path: Path) -> None:
    # Once a process, before its first connection: POSIX drops all locks that a process holds on a file as soon as it
    # closes any descriptor of it, and without its locks another process takes the log away from under it
    # (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    with _checking:
        if path.absolute() in _known:
            return
        if path.is_file() and path.stat().st_size and not _is_ours(path):
            raise _foreign(str(path))
        _known.add(path.absolute())


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\x00"):
        return False
    mark = int.from_bytes(header[68:72], "big")
    return mark == _APPLICATION_ID or (mark == 0 and _has_no_tables(path))


def _has_no_tables(path: Path) -> bool:
    # Read as it stands, without locks and without the files that WAL mode makes: it may be somebody else's.
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error:
        return False


def _foreign(where: str) -> StorageError:
    return StorageError(f"{where} is no ledger of enrich_assets.", fix=_WAY_OUT)


def _damaged(what: str, where: str) -> StorageError:
    return StorageError(what, where=where, fix=_WAY_OUT)
