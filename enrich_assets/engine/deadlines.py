"""Deadlines of rows: what is on the wire when its row's time runs out is given up.

One look at all of them several times a second: a timer for each request would cost more than most of a request's own
way, for deadlines that hardly any request meets.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from enrich_assets.core.errors import TransientError

T = TypeVar("T")

_LOOKS_EVERY = 0.2
"""Seconds; a deadline is kept to within so long."""


class RowTime:
    """When a row has to be done, by the loop's clock. What it waits for its turn under limits does not count."""

    def __init__(self, seconds: float) -> None:
        self.due = asyncio.get_running_loop().time() + seconds
        self._waiting = 0
        self._since = 0.0

    def is_over(self, now: float) -> bool:
        """Whether the row's time has run out at a moment of the loop's clock; it stands still while a turn is waited
        for."""
        return not self._waiting and self.due < now

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Counts nothing until the block ends; of blocks that overlap, what they take together."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._since = loop.time()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self.due += loop.time() - self._since


row_time: contextvars.ContextVar[RowTime | None] = contextvars.ContextVar("row_time", default=None)
"""The time of the present row."""


class Deadlines:
    """Keeps the deadlines of tasks in one event loop."""

    def __init__(self) -> None:
        self._due: dict[asyncio.Task[Any], RowTime] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def kept(self, task: asyncio.Task[Any], send: Callable[[], Awaitable[T]]) -> T:
        """What `send` brings within the present row's time; raises TransientError of unknown outcome after it.

        `task` is the one that runs this.
        """
        time = row_time.get()
        if time is None:
            return await send()
        self._due[task] = time
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOKS_EVERY, self._look)
        try:
            return await send()
        except asyncio.CancelledError:
            # As asyncio.timeout does: the cancellation is this one's own, unless somebody else asked for it too.
            if task in self._late and task.uncancel() <= 0:
                late = TransientError("The row's time ran out while its request was on the wire.", kind="deadline")
                late.outcome_unknown = True
                raise late from None
            raise
        finally:
            self._due.pop(task, None)
            self._late.discard(task)

    def close(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, time in list(self._due.items()):
            if time.is_over(now):
                del self._due[task]
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(_LOOKS_EVERY, self._look) if self._due else None


def refuse_late() -> None:
    """Raises TransientError when the present row's time is over."""
    if ends_before(0.0):
        raise TransientError("The row's time ran out before its request left.", kind="deadline")


def ends_before(seconds: float) -> bool:
    """Whether the present row's time runs out within so many seconds."""
    time = row_time.get()
    return time is not None and asyncio.get_running_loop().time() + seconds > time.due


def waiting_for_a_turn() -> AbstractContextManager[None]:
    """A block in which the present row's time stands still, also for a request that counts as sent."""
    time = row_time.get()
    return nullcontext() if time is None else time.standing_still()


def do_not_count_since(moment: float) -> None:
    """Gives the present row the time back that has passed since a moment of the loop's clock."""
    # Others who are before it, the budget and the endpoint's limits decide how long a row waits for its turn.
    time = row_time.get()
    if time is not None:
        time.due += asyncio.get_running_loop().time() - moment
