"""The ledger's tables as they are now.

Belongs here: definitions, and what depends on the database behind them. How a ledger is opened belongs to
`engine.database`, how an older one becomes like this to `engine.migrations`, what stands in it to `engine.ledger`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

SCHEMA_VERSION = 5
"""1: schema, runs, phases, answers. 2: leases. 3: spending, totals, limits, members, renewals, migrations.
4: claims, failures; how long phases took and in which order they began.
5: series of the runs.

A new version is one more module in `engine.migrations.versions`; it only adds, and its columns may be NULL.
"""
MINIMUM_READER = 3
"""The oldest program that may work with a ledger of this version: before 3 requests left without a reservation."""

metadata = sa.MetaData()

schema_info = sa.Table(
    "enrich_schema",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)

migrations = sa.Table(
    "enrich_migrations",
    metadata,
    # As alembic makes it, under a name of our own, because a database may be shared with others that use alembic.
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="enrich_migrations_pkc"),
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
    # When somebody last asked for a pause; a launch that began later does not heed it.
    sa.Column("pause_asked_at", sa.String(40)),
    # NULL in runs of before there were series.
    sa.Column("series", sa.String(200)),
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
    # Seconds of work by a clock that nobody sets, as of the last heartbeat or the end.
    sa.Column("seconds", sa.Float(53)),
    # Which beginning of a phase of the run this was, counted from 1: in what order they began, whatever the clocks say.
    sa.Column("begun", sa.Integer),
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
    # deleted/ID carries nothing: it keeps the ID of a deleted run from being claimed again.
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
    # The rows for which retry_from holds, compressed JSON; NULL: all.
    sa.Column("retry_rows", sa.LargeBinary),
)

failures = sa.Table(
    "enrich_failures",
    metadata,
    # The rows that failed in the last attempt at a phase that published nothing, compressed JSON; an artifact has its
    # own.
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("phase", sa.String(60), primary_key=True),
    sa.Column("failed", sa.LargeBinary, nullable=False),
)

claims = sa.Table(
    "enrich_claims",
    metadata,
    # Requests that somebody asks for now, under a lease of a phase and its token: the others wait for the answer.
    sa.Column("request_hash", sa.String(64), primary_key=True),
    sa.Column("lease", sa.String(200), nullable=False),
    sa.Column("token", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
    # Written and removed once for every paid request: without a row id that is one tree less to change.
    sqlite_with_rowid=False,
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


def forget_what_is_replaced(connection: sa.Connection) -> None:
    """Lets SQLite overwrite with zeros what this connection deletes or replaces; Postgres does so when it vacuums.

    https://www.sqlite.org/pragma.html#pragma_secure_delete
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def first_line(error: BaseException) -> str:
    """What the database itself said, without the statement."""
    return (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0].strip().rstrip(".")
