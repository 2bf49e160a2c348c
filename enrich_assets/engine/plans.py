"""What is known of a phase before it runs: how it went in earlier runs, what is assumed, what is answered already.

Belongs here: the records alone. What follows from them for calls and costs is in `engine.estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Seen:
    """What an earlier run shows of a phase. `units`: requests that its rows take if none is repeated; `is_fresh`:
    nothing was answered beforehand, so that `calls`, `searches` and `pages` are what the rows take."""

    run_id: str
    model: str
    is_like: bool
    """Whether it had the same model and settings as the run that is estimated."""
    rows: float
    passed: float
    units: float = 0.0
    calls: float = 0.0
    searches: float = 0.0
    pages: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    is_fresh: bool = True


@dataclass(frozen=True)
class Assumed:
    """What is assumed where no run shows it: per row `passes`, `calls` (of a phase that asks row by row: of one
    request), `searches`, `pages`; per call the tokens."""

    passes: float = 1.0
    calls: float = 1.0
    searches: float = 0.0
    pages: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0


@dataclass(frozen=True)
class Looked:
    """What looking every row's request up in the ledger showed: `kept` rows that known answers let pass, `open` rows
    that have to be asked about in `calls` requests of `tokens_in` tokens each, `known` answers."""

    kept: int
    open: int
    calls: int
    known: int
    tokens_in: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is known of a phase before it runs.

    `model`: the one that is asked, empty where none is. `usd`: price of a token in and out, None where unknown.
    `done`: rows in and out of a phase that stands already. `held`: rows whose answers are there already, `is_same`
    where they are certain to be rows of this run. `some_known`: some of its rows' requests are answered, and nobody can
    tell which before they are made. `limit`: rows that leave at most. `seen`: the run that this one is like first, then
    the newest.
    """

    number: int
    phase: str
    shape: Literal["ask", "row", "table"]
    creates: bool = False
    model: str = ""
    batch: int = 1
    limit: float | None = None
    sample: int | None = None
    usd: tuple[float, float] | None = (0.0, 0.0)
    search_is_priced: bool = True
    done: tuple[int, int] | None = None
    held: int = 0
    is_same: bool = False
    some_known: bool = False
    looked: Looked | None = None
    seen: Sequence[Seen] = ()
    assumed: Assumed = Assumed()
