"""Claims: of all who want the same answer at the same moment, one asks for it and the others wait.

A claim is a row with the hash of a request, written in the transaction of the reservation that pays for it and removed
in that of the answer. It needs no heartbeat of its own: it counts as long as the phase lease that it was made under
does, so it ends with a process that died, was stopped for too long, or gave its phase back. Waiting for the claims of
others belongs to `engine.claim_waits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.leases import Lease
from enrich_assets.engine.statements import Statement

NO_ANSWER = "9999"
"""A moment later than any: no answer counts from then on. Digits, which every collation of a database sorts alike."""
_TAKE = """
INSERT INTO enrich_claims (request_hash, lease, token)
SELECT {given}
WHERE NOT EXISTS (
    SELECT 1 FROM enrich_answers AS known WHERE known.request_hash = {hash} AND known.made_at >= {counts_from}
)
ON CONFLICT (request_hash) DO UPDATE SET lease = excluded.lease, token = excluded.token
WHERE enrich_claims.lease = excluded.lease OR NOT EXISTS (
    SELECT 1 FROM enrich_leases AS held
    WHERE held.name = enrich_claims.lease AND held.token = enrich_claims.token AND held.expires_at >= {now}
)"""
_take_here = Statement(
    sa.text(
        _TAKE.format(
            given=":request_hash, :lease, :token",
            hash=":request_hash",
            counts_from=":counts_from",
            now="(julianday('now') - 2440587.5) * 86400.0",
        )
    )
)
_take_there = sa.text(
    _TAKE.format(
        given="given.hash, :lease, :token "
        "FROM unnest(CAST(:hashes AS TEXT[]), CAST(:moments AS TEXT[])) AS given (hash, counts_from)",
        hash="given.hash",
        counts_from="given.counts_from",
        now="EXTRACT(EPOCH FROM clock_timestamp())",
    )
    + " RETURNING request_hash"
)
_table = tables.claims
_mine = (_table.c.lease == sa.bindparam("its_lease")) & (_table.c.token == sa.bindparam("its_token"))
_end = Statement(sa.delete(_table).where(_table.c.request_hash == sa.bindparam("its_hash"), _mine))


@dataclass(frozen=True, slots=True)
class Claim:
    """The requests that one message asks for, and from when on an answer to them counts (ISO 8601, empty: any).

    `is_answered` looks whether one of them is answered by now.
    """

    hashes: tuple[str, ...]
    counts_from: str
    is_answered: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Why a reservation was not made: another process asks for some of its requests (`held`), or was answered
    meanwhile (`held` is empty)."""

    held: frozenset[str]


class AskedElsewhere(Exception):
    """Another process asks for the same; `where` says which requests."""

    def __init__(self, where: Elsewhere) -> None:
        super().__init__()
        self.where = where


class AnsweredElsewhere(Exception):
    """The answer came from another process while this one waited: it stands in the ledger."""


def take_claims(connection: sa.Connection, lease: Lease, wanted: Mapping[str, str]) -> dict[str, bool]:
    """Claims requests by hash, each with the moment from which on an answer counts; gives those that are not to be
    asked now: True where somebody else asks, False where an answer came meanwhile."""
    hashes = sorted(wanted)  # one order for all, so that two who claim the same never wait for each other
    if connection.dialect.name == "sqlite":
        rows = [
            {"request_hash": name, "counts_from": wanted[name], "lease": lease.name, "token": lease.token}
            for name in hashes
        ]
        if _take_here.many(connection, rows) == len(rows):
            return {}
    else:
        values = {"lease": lease.name, "token": lease.token, "hashes": hashes, "moments": [wanted[h] for h in hashes]}
        if len(connection.execute(_take_there, values).fetchall()) == len(hashes):
            return {}
    found = {
        row.request_hash: row.lease
        for row in connection.execute(
            sa.select(_table.c.request_hash, _table.c.lease).where(_table.c.request_hash.in_(hashes))
        )
    }
    return {name: name in found for name in hashes if found.get(name) != lease.name}


def end_claims(connection: sa.Connection, lease: Lease, hashes: Iterable[str]) -> None:
    """Ends claims that were made under the lease; others stay."""
    rows = [{"its_hash": name, "its_lease": lease.name, "its_token": lease.token} for name in sorted(hashes)]
    if rows:
        _end.many(connection, rows)
