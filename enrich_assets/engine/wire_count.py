"""How many requests one call of a transport put on the wire, where that is not one.

A transport that learns what an endpoint takes sends a refused request again in another form, and of many that wait for
one to find out, none leaves when that one is refused for all. The counts that people pay by have to say so.
"""

from __future__ import annotations

from contextvars import ContextVar


class WireCount:
    """Requests of one call; 1 where its transport does not count them itself."""

    def __init__(self) -> None:
        self._counted: int | None = None

    @property
    def requests(self) -> int:
        """How many left so far."""
        return 1 if self._counted is None else self._counted

    def add(self, requests: int) -> None:
        """Counts requests; with 0, says that those to come are counted."""
        self._counted = (self._counted or 0) + requests


_present: ContextVar[WireCount | None] = ContextVar("wire_count", default=None)


def count_from_here() -> WireCount:
    """A new count of what the present task, and the tasks that it starts, put on the wire from now on."""
    count = WireCount()
    _present.set(count)
    return count


def note_requests(requests: int) -> None:
    """Says that so many requests are put on the wire now; 0, that each of those to come is counted by itself."""
    count = _present.get()
    if count is not None:
        count.add(requests)
