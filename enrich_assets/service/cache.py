"""What took long to make, kept in memory for the next page; the least used goes first.

What is kept, and how much of it, belongs to `viewer`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """At most `most` worth of values as `size` measures them; the newest one stays, however large it is."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._most = most
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made once however many ask for it at the same time; what `make` raises is not kept."""
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            lock = self._making.setdefault(key, threading.Lock())
        with lock:
            with self._guard:
                if key in self._values:
                    return self._values[key]
            try:
                made = make()
                with self._guard:
                    self._values[key] = made
                    self._drop_least_used()
            finally:
                with self._guard:
                    self._making.pop(key, None)
        return made

    def __len__(self) -> int:
        return len(self._values)

    def _drop_least_used(self) -> None:
        held = sum(map(self._size, self._values.values()))
        while held > self._most and len(self._values) > 1:
            held -= self._size(self._values.popitem(last=False)[1])
