"""The connections of the ledger to its database: reads where they are asked for, short transactions for writes.

Belongs here: what every part of the ledger needs. How the database is opened and upgraded belongs to `engine.database`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import tables
from enrich_assets.engine.database import is_read_only, open_database, place_of
from enrich_assets.engine.writer import GroupWriter, is_closed, not_committed

T = TypeVar("T")


def utc_now() -> datetime:
    """The wall clock in UTC."""
    return datetime.now(UTC)


class Connected:
    """The base of the ledger's parts. It may be used from several threads; StorageError when the database fails."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = open_database(url)
        self._where = place_of(self._engine.url)
        self._is_read_only = is_read_only(self._engine.url)
        self._now = now
        self._writer = GroupWriter(self._engine, self._where)
        # One connection for all reads, because taking one from the pool costs more than the look-up itself; one
        # thread at a time, because a connection is no place for two.
        self._reading = threading.RLock()
        self._reader: sa.Connection | None = None
        self._closed = False

    def close(self) -> None:
        """Commits what waits and closes the connections."""
        self._writer.close()
        with self._reading:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        self._engine.dispose()

    def _read(self, query: Any) -> Sequence[sa.Row[Any]]:
        return self._read_by(lambda connection: connection.execute(query).fetchall())

    def _read_by(self, read: Callable[[sa.Connection], T]) -> T:
        with self._reading:
            if self._closed:
                raise is_closed(self._where)
            try:
                if self._is_read_only:
                    with self._engine.connect() as connection:
                        return read(connection)
                if self._reader is None:
                    self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                return read(self._reader)
            except sa.exc.SQLAlchemyError as error:
                if self._reader is not None:
                    self._reader.invalidate()
                    self._reader.close()
                    self._reader = None
                raise StorageError(
                    f"the ledger cannot be read: {tables.first_line(error)}.",
                    where=self._where,
                    fix="Bring the database back, then enrich resume.",
                ) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self._closed:
            raise is_closed(self._where)
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise not_committed(error, self._where) from error
