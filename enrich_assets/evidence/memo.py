"""What one run has already looked up: equal work in flight or done is not done twice. Nothing is kept on disk."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Results of asynchronous work by key. Work that failed is forgotten, so that it can be tried again."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, done once a key. One caller's cancellation does not end it for the others."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._forget_failure(key, done))
        result: T = await asyncio.shield(task)
        return result

    def _forget_failure(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        # `exception()` also marks it as seen where the only caller was cancelled.
        if (task.cancelled() or task.exception() is not None) and self._tasks.get(key) is task:
            del self._tasks[key]


_MEMOS: dict[int, Memo] = {}


def memo_of(owner: object) -> Memo:
    """The memo that lives as long as `owner`."""
    memo = _MEMOS.get(id(owner))
    if memo is None:
        memo = _MEMOS[id(owner)] = Memo()
        weakref.finalize(owner, _MEMOS.pop, id(owner), None)
    return memo
