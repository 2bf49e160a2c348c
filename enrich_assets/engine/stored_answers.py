"""Stored answers as a whole: walking through them, taking some out for good. Nothing here is on the hot path.

Belongs here: what `enrich forget` needs of the ledger. Looking one up by its request belongs to `engine.answers`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.answers import packed, unpacked
from enrich_assets.engine.connection import Connected

_AT_ONCE = 500


@dataclass(frozen=True)
class Answer:
    """One stored answer. `content` is None where it cannot be read back; `final` is the error in place of one."""

    id: int
    kind: str
    run_id: str
    phase: str
    row_id: str
    content: Any
    final: str


class StoredAnswers(Connected):
    """The part of the ledger that gives and takes out answers in bulk."""

    def answers(self, kind: str) -> Iterator[Answer]:
        """Every stored answer of a kind (page, search, model), oldest first, those without effect too."""
        table = tables.answers
        named = (table.c.id, table.c.run_id, table.c.phase, table.c.row_id, table.c.content, table.c.final)
        last = 0
        while True:
            query = sa.select(*named).where(table.c.kind == kind, table.c.id > last).order_by(table.c.id)
            found = self._read(query.limit(_AT_ONCE))
            for row in found:
                content = _read_back(bytes(row.content))
                yield Answer(row.id, kind, row.run_id, row.phase, row.row_id, content, row.final or "")
            if len(found) < _AT_ONCE:
                return
            last = found[-1].id

    def remove_answers(self, ids: Collection[int]) -> None:
        """Removes answers for good; what they cost stays counted."""
        listed = sorted(ids)
        for start in range(0, len(listed), _AT_ONCE):
            with self._writing() as connection:
                tables.forget_what_is_replaced(connection)
                chosen = tables.answers.c.id.in_(listed[start : start + _AT_ONCE])
                connection.execute(sa.delete(tables.answers).where(chosen))

    def replace_answer(self, answer_id: int, content: Mapping[str, Any]) -> None:
        """Puts another content in place of an answer's."""
        table = tables.answers
        with self._writing() as connection:
            tables.forget_what_is_replaced(connection)
            connection.execute(sa.update(table).where(table.c.id == answer_id).values(content=packed(content)))

    def truncate_log(self) -> None:
        """Writes SQLite's log back and empties it, so that nothing that was removed stands there; elsewhere nothing."""
        if self._engine.dialect.name == "sqlite":
            self._read(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _read_back(content: bytes) -> Any:
    try:
        return unpacked(content)
    except (zlib.error, ValueError):
        return None
