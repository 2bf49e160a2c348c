"""Whose turn it is: requests wait until their host has room and time for them, and until the client has a slot.

Belongs here: the order and the moments at which requests begin. What they ask belongs to `web.http`, what a site asks
of its readers to `web.robots`.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field

from enrich_assets.core.errors import TransientError

_PATIENCE = 120.0
"""Longest rest of a host that requests wait for, in seconds; `engine.backoff` has the same."""
_NEAREST = 0.9
"""How near a start may be to the one before, as a share of the spacing, to make good what the machine delayed: without
it every start that was late would move all that follow."""
_MOST_DEBT = 5
"""Spacings by which a host can lag behind its schedule; what is more is not made good."""


@dataclass(eq=False)
class Turn:
    """What the requests of one host share; moments are the loop's."""

    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    running: int = 0
    spacing: float = 0.0
    started: float = -math.inf
    """When its latest request began."""
    due: float = 0.0
    """When its next one should begin by the schedule; it may have passed."""
    free_at: float = 0.0
    """When its next one may."""
    rests_until: float = 0.0
    is_ready: bool = False
    timer: asyncio.TimerHandle | None = None


class Turns:
    """Gives turns to requests: at one host in the order in which they came, among hosts in rotation.

    At most `concurrency` turns are held at once, and `per_host` of one host; starts at one host lie its spacing
    (seconds) apart. A host that is slow, or rests, holds nothing that others need. Nothing is polled: a host has at
    most one timer, for the moment at which its next request may begin.
    """

    def __init__(self, concurrency: int, per_host: int) -> None:
        self._free = concurrency
        self._per_host = per_host
        self._hosts: dict[str, Turn] = {}
        self._ready: deque[Turn] = deque()

    async def take(self, name: str, spacing: float) -> Turn:
        """Waits for a turn at the host of that name; who has it gives it back.

        Without a name no host is spared, and only a slot is waited for. Raises TransientError of kind `resting` where
        the host rests for longer than anybody waits.
        """
        host = self._host(name) if name else Turn()
        now = asyncio.get_running_loop().time()
        left = host.rests_until - now
        if left > _PATIENCE:
            raise _resting(name, left)
        if not host.waiting and host.free_at <= now:
            host.due = now  # it was idle: there is nothing to make good
        if spacing > host.spacing:
            host.free_at = max(host.free_at, host.started + spacing)
            host.due = max(host.due, host.free_at)
        host.spacing = spacing
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host.waiting.append(turn)
        self._look(host)
        self._start()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.give_back(host)  # its turn came in the same moment
            raise
        return host

    def give_back(self, host: Turn) -> None:
        """Ends a turn."""
        self._free += 1
        host.running -= 1
        self._look(host)
        self._start()

    def rest(self, name: str, seconds: float) -> None:
        """Begins no further request at a host for so many seconds; who waits for a long rest is told at once."""
        host = self._host(name)
        host.rests_until = max(host.rests_until, asyncio.get_running_loop().time() + seconds)
        host.free_at = host.due = max(host.free_at, host.rests_until)
        if seconds <= _PATIENCE:
            return
        while host.waiting:
            turn = host.waiting.popleft()
            if not turn.done():
                turn.set_exception(_resting(name, seconds))

    def close(self) -> None:
        """Ends the timers."""
        for host in self._hosts.values():
            if host.timer is not None:
                host.timer.cancel()
                host.timer = None

    def _host(self, name: str) -> Turn:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Turn()
        return host

    def _look(self, host: Turn) -> None:
        """Puts the host among those that may begin a request, or sets the timer for the moment when it may."""
        while host.waiting and host.waiting[0].done():
            host.waiting.popleft()
        if host.is_ready or not host.waiting or host.running >= self._per_host:
            return
        loop = asyncio.get_running_loop()
        if host.free_at <= loop.time():
            host.is_ready = True
            self._ready.append(host)
        elif host.timer is None:
            host.timer = loop.call_at(host.free_at, self._time_has_come, host)

    def _time_has_come(self, host: Turn) -> None:
        host.timer = None
        self._look(host)
        self._start()

    def _start(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._free and self._ready:
            host = self._ready.popleft()
            host.is_ready = False
            while host.waiting and host.waiting[0].done():
                host.waiting.popleft()
            if host.waiting and host.free_at <= now:
                self._free -= 1
                host.running += 1
                host.started = now
                host.due = max(host.due, now - _MOST_DEBT * host.spacing) + host.spacing
                host.free_at = max(host.due, now + _NEAREST * host.spacing)
                host.waiting.popleft().set_result(None)
            self._look(host)


def _resting(name: str, seconds: float) -> TransientError:
    return TransientError(
        f"the host asked to be left alone for {_in_words(seconds)} more.",
        where=name,
        fix="Resume the run later.",
        kind="resting",
        retry_after=seconds,
    )


def _in_words(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minutes" if minutes <= 120 else f"{math.ceil(minutes / 60)} hours"
