"""Requests by their content, and what came back: the records that calls and ledger exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, Protocol

from enrich_assets.core.errors import CallError, FinalError, MalformedAnswer, TransientError
from enrich_assets.core.fingerprint import fingerprint
from enrich_assets.engine.claims import Claim, Elsewhere
from enrich_assets.engine.spending import Caps, Refusal, Reservation

_MALFORMED = "malformed/"
NOTHING_ANSWERED = "transient/"


@dataclass(frozen=True)
class Request:
    """One request by its content: everything that is sent and can change the answer, and nothing else.

    `max_age`: an answer counts when it is at most this old when the run begins (None: for ever). `former`: the content
    that an earlier version sent for the same question; what was answered to that counts too.
    """

    kind: Literal["model", "page", "search"]
    content: Mapping[str, Any]
    max_age: timedelta | None = None
    former: Mapping[str, Any] | None = None

    @cached_property
    def hash(self) -> str:
        """SHA-256 of kind and content."""
        return fingerprint({"kind": self.kind, "content": self.content})

    @cached_property
    def former_hash(self) -> str | None:
        """The hash under which an earlier version kept the answer; None where none asked otherwise."""
        return None if self.former is None else fingerprint({"kind": self.kind, "content": self.former})


@dataclass(frozen=True)
class Reply:
    """What came back, as JSON-able content, and what it cost. `cost` in USD; None where the price is unknown."""

    content: Mapping[str, Any]
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0
    made_at: datetime | None = None
    reused: bool = False
    costs_at_most: bool = False
    """Whether nobody told its usage, and `cost` is the most that it can have cost."""


@dataclass(frozen=True)
class Stored:
    """An answer in the ledger.

    `final` carries the message where there was none to use: an error that asking the same again cannot mend, or, with
    a `final_kind` that begins with `malformed/`, an answer that was cut off or empty, with `transient/` a page that
    could not be had in the run `run_id`.
    """

    reply: Reply
    final: str | None = None
    final_kind: str = ""
    run_id: str = ""


class AnswerStore(Protocol):
    """The part of the ledger that `Calls` needs."""

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None: ...

    def newest_answer(self, request_hash: str) -> Stored | None: ...

    async def keep_answer(
        self,
        request: Request,
        stored: Stored,
        *,
        run_id: str,
        phase: str,
        row_id: str,
        reservation: Reservation | None,
        supersedes: bool,
        not_before: datetime | None,
    ) -> None: ...

    def reservation(
        self,
        *,
        run_id: str,
        phase: str,
        row_id: str,
        kind: str,
        endpoint: str,
        most: float | None,
        caps: Caps,
        claim: Claim | None,
    ) -> Reservation: ...

    def reserve(self, reservation: Reservation) -> Awaitable[Refusal | Elsewhere | None]: ...

    def asked_elsewhere(self, hashes: Collection[str]) -> set[str]: ...

    def end_claim(self, claim: Claim) -> None: ...

    def settle(self, reservation: Reservation, *, ends_claim: bool = True, **outcome: Any) -> None: ...


def replayed(stored: Stored) -> Reply:
    """The reply of a stored answer; raises the error that was stored in its place."""
    if stored.final is None:
        return stored.reply
    if stored.final_kind.startswith(NOTHING_ANSWERED):
        down = TransientError(stored.final)
        down.kind = stored.final_kind.removeprefix(NOTHING_ANSWERED)
        raise down
    kind, malformed = stored.final_kind.removeprefix(_MALFORMED), stored.final_kind.startswith(_MALFORMED)
    error = MalformedAnswer(stored.final) if malformed else FinalError(stored.final)
    error.kind = kind or error.kind
    raise error


def remembered(error: CallError) -> Stored:
    """What the ledger keeps of an error in place of an answer, so that `replayed` raises it again."""
    spent = Reply({}, tokens_in=error.tokens_in, tokens_out=error.tokens_out, cost=error.cost)
    if isinstance(error, TransientError):
        return Stored(spent, final=str(error), final_kind=f"{NOTHING_ANSWERED}{error.kind}")
    if isinstance(error, MalformedAnswer):
        # Only what was wrong: it goes into the next prompt, which has to be the same one on every repetition.
        return Stored(spent, final=error.what, final_kind=f"{_MALFORMED}{error.kind}")
    return Stored(spent, final=str(error), final_kind=error.kind)


def share_of(whole: Reply, content: Mapping[str, Any], rank: int, shares: int) -> Reply:
    """The reply to one of `shares` requests that travelled in one: its own content, its part of tokens and cost; what
    is left of a division goes to the first."""

    def part(tokens: int) -> int:
        return tokens // shares + (rank < tokens % shares)

    return Reply(
        content=content,
        tokens_in=part(whole.tokens_in),
        tokens_out=part(whole.tokens_out),
        cost=None if whole.cost is None else whole.cost / shares,
        seconds=whole.seconds,
        made_at=whole.made_at,
    )
