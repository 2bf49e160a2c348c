"""The ledger's tables and how its database is opened. What stands in them is read and written by engine.ledger."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from enrich_assets.core.errors import StorageError

SCHEMA_VERSION = 3
"""1: schema, runs, phases, answers. 2: leases. 3: spending, totals, limits, members, renewals."""
_APPLICATION_ID = 0x454E5243  # "ENRC": tells a ledger from any other SQLite file

metadata = sa.MetaData()

schema_info = sa.Table(
    "enrich_schema",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)

runs = sa.Table(
    "enrich_runs",
    metadata,
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("graph", sa.String(60), nullable=False),
    sa.Column("title", sa.String(300), nullable=False, default=""),
    sa.Column("preset", sa.String(100), nullable=False, default=""),
    sa.Column("created_at", sa.String(40), nullable=False, index=True),
    sa.Column("registration", sa.LargeBinary, nullable=False),
    # Who asked for a pause, and when; a launch that began later does not heed it.
    sa.Column("pause_asked_at", sa.String(40)),
)

phases = sa.Table(
    "enrich_phases",
    metadata,
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("phase", sa.String(60), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.String(40)),
    sa.Column("ended_at", sa.String(40)),
    sa.Column("heartbeat_at", sa.String(40)),
    sa.Column("rows_in", sa.Integer),
    sa.Column("rows_done", sa.Integer),
    sa.Column("rows_out", sa.Integer),
    sa.Column("dropped", sa.Integer),
    sa.Column("failed", sa.Integer),
    sa.Column("calls", sa.Integer),
    sa.Column("reused", sa.Integer),
    sa.Column("tokens_in", sa.Integer),
    sa.Column("tokens_out", sa.Integer),
    sa.Column("cost", sa.Float),
    sa.Column("message", sa.Text),
)

answers = sa.Table(
    "enrich_answers",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("made_at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("final", sa.Text),
    sa.Column("final_kind", sa.String(60)),
    sa.Column("tokens_in", sa.Integer, nullable=False),
    sa.Column("tokens_out", sa.Integer, nullable=False),
    sa.Column("cost", sa.Float),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("run_id", sa.String(100), nullable=False),
    sa.Column("phase", sa.String(60), nullable=False),
    sa.Column("row_id", sa.String(200), nullable=False),
    # 1 where a newer answer to the same request was asked for and stands in its place.
    sa.Column("superseded", sa.Integer),
    sa.Index("enrich_answers_by_request", "request_hash", "made_at"),
)

spending = sa.Table(
    "enrich_spending",
    metadata,
    # One row a paid request that was about to leave: numbered by the process that sends, because ids made by the
    # database would cost a round trip before each request.
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(100), nullable=False),
    sa.Column("phase", sa.String(60), nullable=False),
    sa.Column("row_id", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("endpoint", sa.String(200), nullable=False),
    sa.Column("reserved_at", sa.String(40), nullable=False),
    # Upper bound in USD; NULL where the price is unknown.
    sa.Column("reserved", sa.Float(53)),
    # NULL until the outcome is known: then it counts at its upper bound.
    sa.Column("settled_at", sa.String(40)),
    # USD; NULL where the price is unknown.
    sa.Column("cost", sa.Float(53)),
    sa.Column("tokens_in", sa.Integer),
    sa.Column("tokens_out", sa.Integer),
    # Kind and message of the error that came instead of an answer.
    sa.Column("error", sa.String(300)),
    sa.Index("enrich_spending_by_phase", "run_id", "phase"),
)

totals = sa.Table(
    "enrich_totals",
    metadata,
    # run/ID, phase/ID/NAME, day/2026-11-02, month/2026-11 (UTC), and day, month: these two carry a cap alone.
    sa.Column("scope", sa.String(200), primary_key=True),
    # USD that is settled, and USD at the upper bounds of what is not.
    sa.Column("spent", sa.Float(53), nullable=False, default=0.0),
    sa.Column("reserved", sa.Float(53), nullable=False, default=0.0),
    # Requests that are not settled, and requests whose price is unknown.
    sa.Column("unsettled", sa.Integer, nullable=False, default=0),
    sa.Column("unpriced", sa.Integer, nullable=False, default=0),
    # USD that spent and reserved may reach together, set by hand; NULL leaves it to the settings.
    sa.Column("cap", sa.Float(53)),
)

limits = sa.Table(
    "enrich_limits",
    metadata,
    # What all processes share about one endpoint; moments in seconds since 1970 by the database's clock.
    sa.Column("endpoint", sa.String(200), primary_key=True),
    sa.Column("next_request", sa.Float(53), nullable=False, default=0.0),
    sa.Column("next_tokens", sa.Float(53), nullable=False, default=0.0),
    sa.Column("not_before", sa.Float(53), nullable=False, default=0.0),
)

members = sa.Table(
    "enrich_members",
    metadata,
    # Which processes send to an endpoint, and how many requests at once each of them may have there.
    sa.Column("endpoint", sa.String(200), primary_key=True),
    sa.Column("member", sa.String(200), primary_key=True),
    sa.Column("granted", sa.Integer, nullable=False),
    # What it could use at most: what it cannot use goes to the others.
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.Float(53), nullable=False),
)

renewals = sa.Table(
    "enrich_renewals",
    metadata,
    # From when on answers count for a phase of a run that a person wants asked again: all, or those that failed.
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("phase", sa.String(60), primary_key=True),
    sa.Column("again_from", sa.String(40)),
    sa.Column("retry_from", sa.String(40)),
)

leases = sa.Table(
    "enrich_leases",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("token", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
    sa.Column("expires_at", sa.Float(53), nullable=False),
)


def upsert(connection: sa.Connection) -> Any:
    """The `insert` of the connection's database that knows `on_conflict_do_update`."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def clock(connection: sa.Connection) -> sa.ColumnElement[float]:
    """The database's own clock, which all processes share: seconds since 1970."""
    if connection.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float(53))
    return (sa.func.julianday("now") - 2440587.5) * 86400.0


def open_database(url: str) -> sa.Engine:
    """The database of a ledger, with its tables made where they are missing.

    SQLite runs in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. Raises StorageError
    for a file that is damaged, foreign, of a newer version, or cannot be written; such a file is not changed.
    """
    parsed = sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    where = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        where = parsed.database or ""
        engine = _open_sqlite(parsed)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    try:
        _prepare(engine, where)
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise StorageError(
            f"the ledger cannot be opened: {first_line(error)}.",
            where=where,
            fix="Check that it is a ledger of enrich_assets, intact and writable; it was not changed.",
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def first_line(error: BaseException) -> str:
    """What the database itself said, without the statement."""
    return (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def _prepare(engine: sa.Engine, where: str) -> None:
    with engine.connect() as connection:
        version = _version(connection, where)
    if version is None or version < SCHEMA_VERSION:
        _create(engine, where)
    elif version > SCHEMA_VERSION:
        raise StorageError(
            f"the ledger has version {version}, this program reads up to {SCHEMA_VERSION}.",
            where=where,
            fix="Upgrade enrich_assets, or name another ledger with ENRICH_LEDGER_URL; it was not changed.",
        )
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)


def _version(connection: sa.Connection, where: str) -> int | None:
    if not sa.inspect(connection).has_table(schema_info.name):
        return None
    found = connection.execute(sa.select(schema_info.c.value).where(schema_info.c.name == "version")).scalar()
    if found is not None and not str(found).isdecimal():
        raise StorageError(f"the ledger has the version {found!r:.40}, which is none.", where=where)
    return None if found is None else int(found)


def _create(engine: sa.Engine, where: str) -> None:
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # One writer at a time from the first statement on: two that begin at once make the tables once.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            strangers = set(sa.inspect(connection).get_table_names()) - set(metadata.tables)
            if strangers:
                raise _foreign(where)
            connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_APPLICATION_ID)))
        metadata.create_all(connection)
        # Versions only add tables so far, and what is there stays as it is.
        if _version(connection, where) is None:
            connection.execute(sa.insert(schema_info).values(name="version", value=str(SCHEMA_VERSION)))
        else:
            named = schema_info.c.name == "version"
            connection.execute(sa.update(schema_info).where(named).values(value=str(SCHEMA_VERSION)))
        connection.commit()


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
            raise StorageError("is a folder, where the ledger should be a file.", where=str(path), fix="Move it away.")
        _refuse_foreign(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the ledger cannot be opened: {error.strerror or error}.",
            where=str(error.filename or path),
            fix="Give this user the right to read and write there, or set ENRICH_STORAGE to another folder.",
        ) from error
    engine = sa.create_engine(url, connect_args={"timeout": 30.0, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


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
    return StorageError("is no ledger of enrich_assets.", where=where, fix="Name another file; it was not changed.")
