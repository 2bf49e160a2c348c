"""How long to wait before a request is sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Retries of transient errors: exponential with full jitter (AWS Architecture Blog, 2015), seconds.

    A server's own wish (Retry-After) is kept exactly, up to `patience`; a request that would have to wait longer is
    given up for this run, because asking earlier than the server wants is of no use.

    A rate limit is no failed attempt: a limit per minute lets nothing through for up to a minute, and a queue of
    requests waits through many of those. Such a request is given up only when it waited for longer than `patience`
    and nobody got an answer meanwhile, or was refused `refusals` times so.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0
    patience: float = 120.0

    def gives_up(self, attempt: int, retry_after: float | None) -> bool:
        """Whether the given failed attempt (1, 2, …) was the last one."""
        return attempt >= self.attempts or (retry_after is not None and retry_after > self.patience)

    @property
    def refusals(self) -> int:
        """Most refusals in a row by a rate limit while nobody is answered."""
        return 4 * self.attempts

    def delay(self, attempt: int, retry_after: float | None, draw: Callable[[], float]) -> float:
        """Seconds to wait after the given failed attempt (1, 2, …)."""
        if retry_after is not None:
            return max(0.0, retry_after) + 0.1 * draw()
        return min(self.longest, self.first * float(2 ** (attempt - 1))) * draw()
