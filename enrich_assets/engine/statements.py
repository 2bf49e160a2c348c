"""Statements of the hot path: written once, and on SQLite handed to the driver itself.

SQLAlchemy takes longer over a statement than SQLite does, and the writer executes several for every group of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa


class Statement:
    """A statement with named parameters, for any of the ledger's databases."""

    def __init__(self, clause: Any) -> None:
        self._clause = clause
        self._text = ""
        self._order: Sequence[str] = ()
        self._fixed: Mapping[str, Any] = {}

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows that it gives for the values; raises SQLAlchemyError."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._clause, dict(values)).fetchall())
        driver = self._prepared(connection)
        try:
            return list(driver.execute(self._text, self._in_order(values)).fetchall())
        except driver.Error as error:
            raise _as_sqlalchemy(self._text, error, driver) from error

    def many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Executes it once for each of the rows; gives how many rows it changed. Raises SQLAlchemyError."""
        if connection.dialect.name != "sqlite":
            return int(connection.execute(self._clause, [dict(row) for row in rows]).rowcount)
        driver = self._prepared(connection)
        try:
            return int(driver.executemany(self._text, [self._in_order(row) for row in rows]).rowcount)
        except driver.Error as error:
            raise _as_sqlalchemy(self._text, error, driver) from error

    def _in_order(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] if name in values else self._fixed[name] for name in self._order]

    def _prepared(self, connection: sa.Connection) -> Any:
        if not self._text:
            compiled = self._clause.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
            self._order, self._fixed = compiled.positiontup, compiled.params
            self._text = str(compiled)  # last: other threads take it for the sign that all three are there
        return connection.connection.driver_connection


def _as_sqlalchemy(text: str, error: Exception, driver: Any) -> sa.exc.DBAPIError:
    kinds = ("OperationalError", "IntegrityError", "DataError", "InterfaceError", "ProgrammingError")
    kind = next((name for name in kinds if isinstance(error, getattr(driver, name))), "DBAPIError")
    wrapped: sa.exc.DBAPIError = getattr(sa.exc, kind)(text, None, error)
    return wrapped
