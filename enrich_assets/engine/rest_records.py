"""Which endpoints want no request for now, as the ledger's processes agreed; for people who ask, or lift it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.connection import Connected
from enrich_assets.engine.pacing import LONGEST_REST


@dataclass(frozen=True)
class Rest:
    """One endpoint that rests: the name that all processes give to it, and for how many seconds more."""

    endpoint: str
    seconds: float


class RestRecords(Connected):
    """The part of the ledger that knows of rests."""

    def rests(self) -> list[Rest]:
        """The endpoints that rest now, the longest rest first."""
        table = tables.limits

        def read(connection: sa.Connection) -> Sequence[Any]:
            left = (table.c.not_before - tables.clock(connection)).label("seconds")
            return connection.execute(sa.select(table.c.endpoint, left).where(table.c.not_before > 0)).fetchall()

        found = self._read_by(read)
        # Nobody writes a longer rest: a clock was set back since (see `engine.pacing`).
        rests = [Rest(str(row.endpoint), float(row.seconds)) for row in found if 0 < row.seconds <= LONGEST_REST + 1]
        return sorted(rests, key=lambda rest: -rest.seconds)

    def lift_rests(self, endpoints: list[str]) -> None:
        """Ends the rests of these endpoints, for phases that begin from now on."""
        table = tables.limits
        with self._writing() as connection:
            connection.execute(sa.update(table).where(table.c.endpoint.in_(endpoints)).values(not_before=0.0))
