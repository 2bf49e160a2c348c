"""Where each row of a phase stands: a view for people, put together from what is published and what the ledger knows.

Nothing is decided by it: which rows are asked is decided by their answers, which rows count by the artifact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "running", "completed", "failed", "skipped", "paused"]
STATES: tuple[State, ...] = ("pending", "running", "completed", "failed", "skipped", "paused")


@dataclass(frozen=True)
class RowRequest:
    """One paid request of a row that left, or was about to. `error` came in place of an answer."""

    row_id: str
    is_settled: bool
    error: str = ""


@dataclass(frozen=True)
class Published:
    """What a phase published of its rows: those that it dropped with their reason, and those that failed with what
    happened. All others are kept."""

    dropped: Mapping[str, str]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class RowState:
    """One row of a phase: its state, how many paid requests left for it, the last error, why it was dropped.

    Of a prompt that several rows share, the requests count for its first row.
    """

    row_id: str
    title: str
    state: State
    attempts: int = 0
    last_error: str = ""
    drop_reason: str = ""


def row_states(
    rows: Sequence[tuple[str, str]],
    *,
    status: str,
    requests: Iterable[RowRequest] = (),
    answered: Mapping[str, str] | None = None,
    published: Published | None = None,
    failed: Mapping[str, str] | None = None,
) -> list[RowState]:
    """The state of every input row (row_id, title), in input order.

    `status` is the phase's in the ledger; only `running`, `paused` and all others differ here. `requests` are those of
    all attempts, oldest first. `answered` tells of the rows whose answer the ledger keeps '' or why it is none; it may
    leave out rows whose answer another run made. A `published` artifact counts unless the phase is running again, and
    so do the `failed` rows of a later attempt that published nothing, with what happened.
    """
    attempts, errors, open_rows = Counter[str](), dict[str, str](), set[str]()
    for request in requests:
        attempts[request.row_id] += 1
        if request.error:
            errors[request.row_id] = request.error
        if not request.is_settled:
            open_rows.add(request.row_id)
    found = []
    for row_id, title in rows:
        error, reason = errors.get(row_id, ""), ""
        state: State
        if failed and row_id in failed and status != "running":
            error, state = failed[row_id], "failed"
        elif published is not None and status != "running":
            reason = published.dropped.get(row_id, "")
            failure = published.failed.get(row_id)
            error = error if failure is None else failure
            state = "failed" if failure is not None else "skipped" if row_id in published.dropped else "completed"
        elif answered is not None and row_id in answered:
            error = answered[row_id] or error
            state = "failed" if answered[row_id] else "completed"
        elif status == "running":
            # A request that failed is sent again after a pause.
            state = "running" if row_id in open_rows or attempts[row_id] else "pending"
        else:
            state = "paused" if status == "paused" else "pending"
        if row_id in open_rows and not error and status != "running" and state in ("pending", "paused"):
            error = "left, outcome unknown"
        found.append(RowState(row_id, title, state, attempts[row_id], error, reason))
    return found
