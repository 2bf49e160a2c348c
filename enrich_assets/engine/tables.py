"""The ledger's tables and how its database is opened. What stands in them is read and written by engine.ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError

SCHEMA_VERSION = 1
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
    sa.Index("enrich_answers_by_request", "request_hash", "made_at"),
)


def open_database(url: str) -> sa.Engine:
    """The database of a ledger, with its tables made where they are missing.

    SQLite runs in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. Raises StorageError
    for a file that is damaged, foreign, of a newer version, or cannot be written.
    """
    parsed = sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    try:
        if parsed.get_backend_name() == "sqlite":
            engine = _open_sqlite(parsed)
        else:
            engine = sa.create_engine(parsed, pool_pre_ping=True)
        with engine.begin() as connection:
            metadata.create_all(connection)
            found = connection.execute(sa.select(schema_info.c.value).where(schema_info.c.name == "version")).scalar()
            if found is None:
                connection.execute(sa.insert(schema_info).values(name="version", value=str(SCHEMA_VERSION)))
    except sa.exc.DatabaseError as error:
        raise StorageError(
            f"the ledger cannot be opened: {_first_line(error)}",
            where=parsed.render_as_string(hide_password=True),
            fix="Check that it is a ledger of enrich_assets, intact and writable; it was not changed.",
        ) from error
    if found is not None and int(found) > SCHEMA_VERSION:
        raise StorageError(
            f"the ledger has version {found}, this program reads up to {SCHEMA_VERSION}",
            where=parsed.render_as_string(hide_password=True),
            fix="Upgrade enrich_assets.",
        )
    return engine


def _open_sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    if path.is_file() and path.stat().st_size and not _is_ours(path):
        raise StorageError("is no ledger of enrich_assets", where=str(path), fix="Name another file; it was not changed.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder: {error.strerror}", where=str(path.parent)) from error
    engine = sa.create_engine(url, connect_args={"timeout": 30.0, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        cursor.close()

    return engine


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\x00"):
        return False
    return int.from_bytes(header[68:72], "big") in (0, _APPLICATION_ID)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", error)).splitlines()[0]
