"""The answers of the ledger: how they are stored and looked up by request.

Belongs here: the hot path, which runs once for every row. Committing them belongs to `engine.writer`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.engine import tables
from enrich_assets.engine.requests import NOTHING_ANSWERED, Reply, Request, Stored
from enrich_assets.engine.statements import Statement
from enrich_assets.engine.texts import storable, utc_text

_table = tables.answers
_NOTHING_LAST = sa.case((_table.c.final_kind.like(f"{NOTHING_ANSWERED}%"), 1), else_=0)
_SUPERSEDED_LAST = sa.func.coalesce(_table.c.superseded, 0)
_stored = sa.select(
    _table.c.content,
    _table.c.made_at,
    _table.c.final,
    _table.c.final_kind,
    _table.c.tokens_in,
    _table.c.tokens_out,
    _table.c.cost,
    _table.c.seconds,
    _table.c.run_id,
)
_find = (
    _stored.where(
        _table.c.request_hash == sa.bindparam("request_hash"),
        _table.c.made_at >= sa.bindparam("not_before"),
    )
    .order_by(_SUPERSEDED_LAST, _NOTHING_LAST, _table.c.made_at, _table.c.id)
    .limit(1)
)
FIND_ANSWER = Statement(_find)
"""The earliest answer at or after a moment; one that was asked for anew counts only where the new one does not, and
that nothing answered only where nothing did."""
NEWEST_ANSWER = Statement(
    _stored.where(_table.c.request_hash == sa.bindparam("request_hash"), _table.c.final.is_(None))
    .order_by(_table.c.made_at.desc(), _table.c.id.desc())
    .limit(1)
)
"""The answer that came last, however old it is; errors in place of one do not count."""


INSERT_ANSWER = Statement(
    sa.insert(_table).values({column.name: sa.bindparam(column.name) for column in _table.c if column.name != "id"})
)


def stored_answer(row: Any, *, request_hash: str, where: str) -> Stored:
    """The answer in a row of FIND_ANSWER or NEWEST_ANSWER; raises StorageError when it cannot be read back."""
    content, made_at, final, final_kind, tokens_in, tokens_out, cost, seconds, run_id = row
    try:
        found = unpacked(content)
    except (zlib.error, ValueError) as error:
        raise StorageError(
            f"the stored answer to request {request_hash[:12]} is damaged.",
            where=where,
            fix="Bring the ledger back from a copy, or name another one with ENRICH_LEDGER_URL.",
        ) from error
    reply = Reply(
        content=found,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=cost,
        seconds=seconds,
        made_at=datetime.fromisoformat(made_at),
        reused=True,
    )
    return Stored(reply, final=final, final_kind=final_kind or "", run_id=run_id)


def answer_row(
    request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str, now: datetime
) -> dict[str, Any]:
    """An answer as a row of the table."""
    reply = stored.reply
    return {
        "request_hash": request.hash,
        "made_at": utc_text(reply.made_at or now),
        "kind": request.kind,
        "content": packed(reply.content),
        "final": None if stored.final is None else storable(stored.final),
        "final_kind": storable(stored.final_kind)[:60] or None,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "run_id": run_id,
        "phase": phase,
        "row_id": storable(row_id)[:200],
        "superseded": None,
    }


_WORTH_COMPRESSING = 512


def unpacked(content: bytes) -> Any:
    """What `packed` packed; raises zlib.error or ValueError."""
    return json.loads(content if content[:1] == b"{" else zlib.decompress(content))


def packed(content: Mapping[str, Any]) -> bytes:
    """The content of an answer as the ledger keeps it: canonical JSON, compressed where that is worth it."""
    data = canonical_json(content)
    if len(data) < _WORTH_COMPRESSING:
        return data  # an object begins with a brace, which nothing that zlib makes does
    # A small window: zlib.compress sets up 256 KB for every call, which takes ten times as long as a short answer.
    packer = zlib.compressobj(1, zlib.DEFLATED, 12, 4)
    return packer.compress(data) + packer.flush()
