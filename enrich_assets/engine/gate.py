"""The way onto the wire to one endpoint: few at first, then as many as the endpoint bears, none while it wants rest.

Belongs here: what one phase knows by itself. What all processes agree on belongs to `engine.limits`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from types import TracebackType

from enrich_assets.core.errors import FinalError, MalformedAnswer, TransientError
from enrich_assets.core.units import duration
from enrich_assets.engine.limits import SharedLimits
from enrich_assets.engine.pacing import LONGEST_REST

_UNTIL_ANSWERED = 8
_NARROWED_TO = 0.7
"""Additive increase, multiplicative decrease (Chiu and Jain, 1989), with the factor of CUBIC (RFC 9438)."""


class Gate:
    """Lets the requests of one phase to one endpoint through; belongs to one event loop.

    A wrong key or an unknown model is told by the first answers; until one came that was none of these, only a
    handful of requests are on the wire. From then on `slots`, and fewer after a `hold`. Where an endpoint wants to
    rest for longer than `patience` seconds, requests are refused with a TransientError instead of kept waiting.
    """

    def __init__(self, slots: int, shared: SharedLimits | None = None, *, patience: float = 120.0) -> None:
        self._slots = slots
        self._patience = patience
        self._bearable = min(slots, _UNTIL_ANSWERED)
        self._has_answered = False
        self._has_refused = False
        self._answers = 0
        self._successes = 0
        self._round_trip = 0.0
        self._wave_ends = 0.0
        self._rests_until = 0.0
        self._granted = slots
        self._near = _Places(slots + max(2, slots // 8))
        self._wire = _Places(self.limit)
        self._shared = shared
        if shared is not None:
            shared.attach(inside=lambda: self._wire.inside, told=self._told, failed=self._wire.fail)

    @property
    def limit(self) -> int:
        """How many may be on the wire now; 0 while other processes have all that the endpoint allows."""
        return min(self._bearable, self._granted)

    def admitted(self) -> _Places:
        """A context for what is near the wire: a few more than `slots` are in it, so that the next are prepared."""
        return self._near

    def wire(self, tokens: int) -> _Passage:
        """A context for one request on the wire that takes `tokens` at most, in and out; at most `limit` are in it.

        It begins when the request may leave. Raises TransientError where the endpoint wants a longer rest, and
        StorageError when the ledger, by which processes agree, fails.
        """
        return _Passage(self, tokens)

    def open(self) -> None:
        """Opens all slots: the endpoint said that it takes the key and has the model."""
        if not self._has_answered and not self._has_refused:
            self._bearable = self._slots
            self._wire.resize(self.limit)

    async def hold(self, seconds: float | None) -> None:
        """Notes that the endpoint refused a request because there are too many (429, 503).

        `seconds`: for how long it wants none, from any process. The refusals of one round trip narrow the gate once.
        """
        now = time.monotonic()
        self._has_refused = True
        if now >= self._wave_ends:
            self._bearable = max(1, int((self.limit or self._bearable) * _NARROWED_TO))
            self._successes = 0
            self._wave_ends = now + self._round_trip
            self._wire.resize(self.limit)
        rest = min(max(0.0, seconds or 0.0), LONGEST_REST)
        self._rest(now + rest)
        if rest and self._shared is not None:
            await self._shared.hold(rest)

    def _rest(self, until: float) -> None:
        self._rests_until = max(self._rests_until, until)
        # What is refused meanwhile had left before.
        self._wave_ends = max(self._wave_ends, until)

    def _told(self, granted: int, rests_until: float) -> None:
        self._granted = min(self._slots, granted)
        if rests_until > self._rests_until:
            self._rest(rests_until)
        self._wire.resize(self.limit)

    def _note_timeout(self, answered: int) -> None:
        """Narrows the gate after a request that got no answer in its time, during which `answered` others did."""
        # A small server answers one after the other: with 16 on the wire and 20 s an answer, the last would wait 320 s
        # for its turn. What is answered in one request's time is what fits (Little's law); half of it leaves room.
        # Where many are answered meanwhile, one request alone hung, and the gate stays.
        bearable = max(1, answered // 2)
        if bearable < self._bearable:
            self._bearable = bearable
            self._has_refused = True
            self._successes = 0
            self._wire.resize(self.limit)

    def _note_answer(self, seconds: float) -> None:
        self._answers += 1
        self._round_trip += 0.1 * (seconds - self._round_trip) if self._has_answered else seconds
        if not self._has_answered:
            self._has_answered = True
            if not self._has_refused:
                self._bearable = self._slots
                self._wire.resize(self.limit)
        elif self._bearable < self._slots:
            self._successes += 1
            if self._successes >= self._bearable:
                self._successes = 0
                self._bearable += 1
                self._wire.resize(self.limit)

    async def _enter(self, tokens: int) -> None:
        while True:
            await self._wire.enter()
            try:
                if await self._may_leave(tokens):
                    return
            except BaseException:
                self._wire.leave()
                raise
            self._wire.leave()

    async def _may_leave(self, tokens: int) -> bool:
        """Waits, with a place on the wire, until a request may leave; False where the place is one too many now."""
        while True:
            while (rest := self._rests_until - time.monotonic()) > 0:
                if rest > self._patience:
                    until = datetime.now(UTC) + timedelta(seconds=rest)
                    raise TransientError(
                        f"The endpoint wants no request for another {duration(rest)}, until {until:%H:%M} UTC; "
                        "enrich limits lists and lifts rests.",
                        kind="rate limit",
                        retry_after=rest,
                    )
                await asyncio.sleep(rest)
            if self._wire.inside > self._wire.room:
                return False
            if self._shared is not None and not await self._shared.turn(tokens):
                continue
            if self._rests_until <= time.monotonic():
                return True


class _Passage:
    """One request's way over the wire."""

    __slots__ = ("_answers_before", "_gate", "_left_at", "_tokens")

    def __init__(self, gate: Gate, tokens: int) -> None:
        self._gate = gate
        self._tokens = tokens
        self._left_at = 0.0
        self._answers_before = 0

    async def __aenter__(self) -> None:
        gate = self._gate
        shared = gate._shared
        if shared is not None and not shared.is_known:
            await shared.know()
        places = gate._wire
        now = time.monotonic()
        if gate._rests_until > now or (shared is not None and shared.paces):
            await gate._enter(self._tokens)
        elif places.inside < places.room:
            places.inside += 1
            self._left_at, self._answers_before = now, gate._answers
            return
        else:
            await places.enter()
            if gate._rests_until > time.monotonic():
                # It was handed a place while the endpoint rests.
                places.leave()
                await gate._enter(self._tokens)
        self._left_at, self._answers_before = time.monotonic(), gate._answers

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gate = self._gate
        if kind is None or issubclass(kind, (MalformedAnswer, FinalError)):
            gate._note_answer(time.monotonic() - self._left_at)
        elif isinstance(error, TransientError) and error.kind == "timeout":
            gate._note_timeout(gate._answers - self._answers_before)
        gate._wire.leave()


class _Places:
    """Places that are handed on in the order of asking; their number may change. A context manager for one of them."""

    __slots__ = ("_waiting", "inside", "room")

    def __init__(self, room: int) -> None:
        self.room = room
        self.inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self.inside < self.room:
            self.inside += 1
        else:
            await self.enter()

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    async def enter(self) -> None:
        if self.inside < self.room:
            self.inside += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave()  # it was handed over a moment before
            raise

    def leave(self) -> None:
        self.inside -= 1
        if self._waiting:
            self._hand_on()

    def resize(self, room: int) -> None:
        self.room = room
        self._hand_on()

    def fail(self, error: Exception) -> None:
        """Lets nobody wait any longer."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def _hand_on(self) -> None:
        # Nobody waits while there is room: whoever comes can look at the room alone.
        while self._waiting and self.inside < self.room:
            place = self._waiting.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)
