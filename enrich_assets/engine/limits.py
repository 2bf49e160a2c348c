"""The limits of one endpoint, kept together with all other processes: requests and tokens a minute, concurrency, rest.

Belongs here: when to ask the database, and handing on what it says. What is agreed there belongs to `engine.pacing`,
what one phase learns by itself to `engine.gate`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import tables
from enrich_assets.engine.charges import TokenCharges
from enrich_assets.engine.clients import EndpointLimits
from enrich_assets.engine.leases import this_process
from enrich_assets.engine.pacing import Ask, Pacing, Told

_LATE = 0.1
"""Seconds by which a send time may be used late; then another one is taken."""
_LATE_AT_LAST = 1.0
"""The same for a request that was late three times: a minute still holds no more than its limit."""
_GATHERING = 0.01
"""Seconds between two transactions that take send times."""
_TRIES = 5
_numbers = itertools.count()


@dataclass
class _Waiter:
    charge: float
    slot: asyncio.Future[tuple[float, float]] = field(default_factory=asyncio.Future)
    """When the request may leave, and the same moment if the database's clock was read as early as can be."""


class SharedLimits:
    """What one phase may send to one endpoint, agreed with all other processes; belongs to one event loop.

    `wanted`: the most requests at once that the phase can use. Nothing is asked of the database before the first
    request; for an endpoint without limits it is only looked at once a heartbeat, so that a rest that another process
    was told of is kept here too. `close` it before the ledger.
    """

    def __init__(
        self,
        engine: sa.Engine,
        limits: EndpointLimits,
        *,
        wanted: int,
        heartbeat: float = 2.0,
        expiry: float = 15.0,
    ) -> None:
        self.is_known = False
        """Whether the database was asked what holds now."""
        self.paces = any((limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency))
        """Whether each request has to ask for its turn."""
        self._has_rates = bool(limits.requests_per_minute or limits.tokens_per_minute)
        self._counts_tokens = bool(limits.tokens_per_minute)
        self._shares_places = limits.concurrency is not None
        self._endpoint = limits.key
        self._heartbeat = heartbeat
        member = f"{this_process()}:{next(_numbers)}"
        self._pacing = Pacing(engine, limits, member=member, wanted=wanted, expiry=expiry)
        # A thread of its own: the loop's own ones may all be busy with what waits for an answer.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")
        self._inside: Callable[[], int] = lambda: 0
        self._tell: Callable[[int, float], None] = lambda granted, rests_until: None
        self._fail: Callable[[Exception], None] = lambda error: None
        self._agent: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._word: asyncio.Future[None] | None = None
        self._waiting: deque[_Waiter] = deque()
        self._block_ends = 0.0
        self._lead = 0.0
        self._agreed_at = 0.0
        self._beat_due = 0.0
        self._places = 0
        self._places_until = 0.0
        self._rests_until = 0.0
        self._rest_written = 0.0
        self._charges = TokenCharges()
        self._grant = 0 if self._shares_places else wanted

    def attach(
        self,
        *,
        inside: Callable[[], int],
        told: Callable[[int, float], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Names who is told how many may be on the wire and until when the endpoint rests, and counts who is there."""
        self._inside, self._tell, self._fail = inside, told, failed
        told(self._grant, 0.0)

    async def know(self) -> None:
        """Waits until the database was asked for the first time; raises StorageError."""
        while not self.is_known:
            await self._hear()

    async def turn(self, tokens: int) -> bool:
        """Waits until a request that takes `tokens` at most may leave; False where it has to look again whether it may
        be on the wire at all: the endpoint began to rest, or the places were shared out anew.

        Raises StorageError when the database fails.
        """
        tries = 0
        if self._shares_places and time.monotonic() > self._places_until:
            self._beat_due = 0.0  # this process was not heard of for so long that others took its places
            await self._hear()
            return False
        while self._has_rates:
            tries += 1
            charge = self._charges.of(tokens) if self._counts_tokens else 0.0
            start, earliest = await self._slot(_Waiter(charge), first=tries > 1)
            now = time.monotonic()
            if start > now >= self._rests_until:
                await asyncio.sleep(start - now)
                now = time.monotonic()
            if self._rests_until > now:
                self._charges.correction -= charge
                return False
            if now <= earliest + (_LATE if tries <= 3 else _LATE_AT_LAST):
                if self._counts_tokens:
                    self._charges.keep(tokens, charge)
                return True
            self._charges.correction -= charge
        return self._rests_until <= time.monotonic()

    def used(self, tokens_bound: int, tokens_actual: int) -> None:
        """Notes what a request really took that could have taken `tokens_bound`; later ones are charged by that."""
        if self._counts_tokens:
            self._charges.used(tokens_bound, tokens_actual)

    async def hold(self, seconds: float) -> None:
        """Lets no process send for so long; comes back when that is written. Raises StorageError."""
        until = time.monotonic() + seconds
        self._rests_until = max(self._rests_until, until)
        # Refusals of one wave differ by less than this, and each would be a transaction.
        while self._rest_written < until - 0.05 and time.monotonic() < until:
            await self._hear()

    async def close(self) -> None:
        """Gives back what this process may have. What cannot be written any more runs out by itself."""
        if self._agent is not None:
            self._agent.cancel()
            with suppress(asyncio.CancelledError):
                await self._agent
            self._agent = None
            loop = asyncio.get_running_loop()
            with suppress(sa.exc.SQLAlchemyError):
                await loop.run_in_executor(self._thread, self._pacing.leave, self._charges.correction)
        self.is_known = False
        self._thread.shutdown(wait=False)

    async def _slot(self, waiter: _Waiter, *, first: bool) -> tuple[float, float]:
        if first:
            self._waiting.appendleft(waiter)
        else:
            self._waiting.append(waiter)
        self._start()
        if len(self._waiting) == 1 or first:
            self._wake.set()
        return await waiter.slot

    async def _hear(self) -> None:
        """Waits for the next word from the database."""
        self._start()
        if self._word is None:
            self._word = asyncio.get_running_loop().create_future()
        self._wake.set()
        await asyncio.shield(self._word)

    def _start(self) -> None:
        if self._agent is None or self._agent.done():
            self._agent = asyncio.ensure_future(self._agree_again_and_again())

    async def _agree_again_and_again(self) -> None:
        try:
            while True:
                await self._agree()
                await self._rest()
        except Exception as error:
            # The boundary of this task: whoever waits for it has to learn that it ended. Who comes next begins anew.
            self.is_known = False
            self._beat_due = 0.0
            self._fail(error)
            for waiter in self._waiting:
                if not waiter.slot.done():
                    waiter.slot.set_exception(error)
            self._waiting.clear()
            if self._word is not None:
                self._word.set_exception(error)
                self._word.exception()  # seen: whoever waited may be gone
                self._word = None

    async def _rest(self) -> None:
        """Waits until there is something to agree on."""
        loop = asyncio.get_running_loop()
        while True:
            due = self._beat_due
            if self._rests_until > max(self._rest_written + 0.05, time.monotonic()):
                return
            if self._waiting:
                due = min(due, self._block_due())
            delay = due - time.monotonic()
            if delay <= 0:
                return
            self._wake.clear()
            timer = loop.call_later(delay, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    def _block_due(self) -> float:
        # When the last block is nearly used: whoever takes more than it needs now keeps others waiting. Some time after
        # the last transaction: where thousands leave in a second, dozens gather in it for the next one.
        return max(self._block_ends - 0.05 - 2 * self._lead, self._agreed_at + _GATHERING)

    async def _agree(self) -> None:
        began = time.monotonic()
        while self._waiting and self._waiting[0].slot.done():
            self._waiting.popleft()
        takes = self._waiting and began >= self._block_due()
        charges = tuple(waiter.charge for waiter in itertools.islice(self._waiting, 1000)) if takes else ()
        rest = self._rests_until if self._rests_until > max(self._rest_written, began) else None
        is_beat = began >= self._beat_due
        correction = 0.0
        if charges:
            correction, self._charges.correction = self._charges.correction, 0.0
        held = max(self._places, self._inside())
        told = await self._ask(Ask(charges, correction, rest, held, is_beat, self._lead))
        self._agreed_at = time.monotonic()
        self._lead = max(min(1.0, self._agreed_at - told.earliest), 0.9 * self._lead)
        if rest is not None:
            self._rest_written = max(self._rest_written, rest)
        self._apply(told, charges, held, is_beat)
        word, self._word = self._word, None
        if word is not None:
            word.set_result(None)

    def _apply(self, told: Told, charges: tuple[float, ...], held: int, is_beat: bool) -> None:
        self.is_known = True
        if is_beat:
            self._beat_due = told.earliest + self._heartbeat
        if told.rests_until > told.now:
            rests_until = told.latest + told.rests_until - told.now
            self._rests_until = max(self._rests_until, rests_until)
            self._rest_written = max(self._rest_written, rests_until)
        if told.granted is not None:
            self._places = self._grant = told.granted
            self._places_until = told.earliest + self._pacing.expiry
            if told.granted < held:
                # What is on the wire above that is given back soon after it is free.
                self._beat_due = told.earliest + min(1.0, self._heartbeat)
        self._tell(self._grant, self._rests_until)
        for charge, moment in zip(charges, told.send_times, strict=False):
            ahead = moment - told.now
            self._block_ends = told.latest + ahead
            while self._waiting and self._waiting[0].slot.done():
                self._waiting.popleft()
            if self._waiting:
                waiter = self._waiting.popleft()
                self._charges.correction += waiter.charge - charge
                waiter.slot.set_result((told.latest + ahead, told.earliest + ahead))
            else:
                self._charges.correction -= charge

    async def _ask(self, ask: Ask) -> Told:
        loop = asyncio.get_running_loop()
        for attempt in range(_TRIES):
            try:
                return await loop.run_in_executor(self._thread, self._pacing.agree, ask)
            except sa.exc.SQLAlchemyError as error:
                if attempt + 1 == _TRIES:
                    raise StorageError(
                        f"the limits of {self._endpoint} cannot be agreed on: {tables.first_line(error)}.",
                        fix="Bring the ledger's database back, then enrich resume.",
                    ) from error
                await asyncio.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable")
