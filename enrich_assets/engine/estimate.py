"""What a run will take before it begins: calls, tokens and USD of each phase, each as an interval. Pure arithmetic.

Rows flow through the phases: of those that come in some leave, up to a limit; those that were not answered yet are
asked about; a call has tokens, tokens have a price. The rates are those of earlier runs, or assumed. What is known of
a phase stands in `engine.plans`, gathered in `defs.estimating`; how doubt is carried belongs to `engine.uncertain`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from enrich_assets.engine.plans import Plan, Seen
from enrich_assets.engine.typical import (
    ASSUMED_FACTOR,
    CREATED_FACTOR,
    DISPLACED,
    OTHER_MODEL,
    OWN_TEXT_FACTOR,
    ROWS_CHANGE,
    SOME_KNOWN,
    SOME_KNOWN_FACTOR,
    TOKENS_VARY,
)
from enrich_assets.engine.uncertain import Law, Span, Uncertain, doubted, rate, total, within_factor


@dataclass(frozen=True)
class PhaseEstimate:
    """What a phase will take. `known`: answers that the ledger holds; `usd` None where a price is unknown; `assumed`:
    what of it no run has shown (passes, calls, tokens)."""

    number: int
    phase: str
    is_done: bool
    model: str
    rows_in: Span
    rows_out: Span
    calls: Span
    known: int
    searches: Span
    pages: Span
    tokens_in: Span
    tokens_out: Span
    usd: Span | None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """What a run, or the rest of one, will take. `basis` and `warnings` are sentences for people."""

    phases: tuple[PhaseEstimate, ...]
    calls: Span
    tokens_in: Span
    tokens_out: Span
    usd: Span | None
    basis: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())

    def compact(self) -> dict[str, Any]:
        """The estimate as it is frozen when a run begins: [low, likely, high] of calls and USD, `usd` None where a
        price is unknown."""
        named = {one.phase: _compact(one.calls, one.usd) for one in self.phases if one.calls.high}
        return {**_compact(self.calls, self.usd), "phases": named, "basis": list(self.basis)}

    def plain(self) -> dict[str, Any]:
        """All of it as JSON-able data."""
        return asdict(self)


def estimate(plans: Sequence[Plan], rows: float) -> Estimate:
    """The estimate of the phases in order; `rows` come into the first of them."""
    flowing, others = Uncertain(rows), 0.0
    found: list[PhaseEstimate] = []
    sums: dict[str, list[Uncertain]] = {"calls": [], "tokens_in": [], "tokens_out": []}
    costs: list[Uncertain | None] = []
    for plan in plans:
        work = _work(plan, flowing, others)
        for name, figures in sums.items():
            figures.append(getattr(work, name))
        costs.append(work.usd)
        found.append(work.told(plan))
        flowing, others = work.rows_out, work.others
    priced = [cost for cost in costs if cost is not None]
    return Estimate(
        phases=tuple(found),
        calls=total(sums["calls"]).span(),
        tokens_in=total(sums["tokens_in"]).span(),
        tokens_out=total(sums["tokens_out"]).span(),
        usd=total(priced).span() if len(priced) == len(costs) else None,
    )


@dataclass(frozen=True)
class _Work:
    rows_in: Uncertain
    rows_out: Uncertain
    calls: Uncertain = Uncertain(0.0)
    searches: Uncertain = Uncertain(0.0)
    pages: Uncertain = Uncertain(0.0)
    tokens_in: Uncertain = Uncertain(0.0)
    tokens_out: Uncertain = Uncertain(0.0)
    usd: Uncertain | None = Uncertain(0.0)
    known: int = 0
    others: float = 0.0
    """Share of `rows_out` that the run before did not have here."""
    assumed: tuple[str, ...] = ()

    def told(self, plan: Plan) -> PhaseEstimate:
        names = ("rows_in", "rows_out", "calls", "searches", "pages", "tokens_in", "tokens_out")
        return PhaseEstimate(
            number=plan.number,
            phase=plan.phase,
            is_done=plan.done is not None,
            model=plan.model,
            **{name: getattr(self, name).span() for name in names},
            usd=None if self.usd is None else self.usd.span(),
            known=self.known,
            assumed=self.assumed,
        )


def _work(plan: Plan, rows: Uncertain, others: float) -> _Work:
    if plan.done is not None:
        return _Work(Uncertain(plan.done[0]), Uncertain(plan.done[1]))
    asked = rows if plan.sample is None else rows.at_most(plan.sample)
    passing, is_assumed = _passing(plan, asked.value)
    looked = plan.looked
    out = asked * passing if looked is None else Uncertain(looked.kept) + passing.times(looked.open)
    if plan.limit is not None:
        out = out.at_most(plan.limit)
    assumed = ("passes",) if is_assumed else ()
    if plan.shape == "table" or (plan.shape == "ask" and not plan.model):
        # What is chosen among rows of which some are new, or are judged anew, is another choice.
        return _Work(rows, out, others=_other_rows(others, DISPLACED * others, passing), assumed=assumed)
    fresh = _fresh(plan, asked, others)
    known = looked.known if looked is not None else round(min(plan.held, asked.value))
    asking = _Asking(plan, fresh)
    return _Work(
        rows_in=rows,
        rows_out=out,
        calls=asking.calls,
        searches=asking.searches,
        pages=asking.pages,
        tokens_in=asking.tokens_in,
        tokens_out=asking.tokens_out,
        usd=asking.usd,
        known=known,
        others=_other_rows(others, fresh.value / asked.value if asked.value else 0.0, passing),
        assumed=(*assumed, *asking.assumed),
    )


def _passing(plan: Plan, ahead: float) -> tuple[Uncertain, bool]:
    source = f"{plan.phase} passes"
    if plan.shape == "ask" and plan.looked is not None and not plan.looked.open:
        return Uncertain(0.0), False
    seen, is_other = _preferred(plan.seen)
    law: Law = "count" if plan.creates else "share"
    found = rate([(one.passed, one.rows) for one in seen], law=law, ahead=ahead, source=source)
    if found is None:
        if plan.assumed.passes == 1.0:  # nothing in the settings says that rows leave here
            return Uncertain(1.0), False
        factor = CREATED_FACTOR if plan.creates else ASSUMED_FACTOR
        return within_factor(plan.assumed.passes, factor, source), True
    return (_wider(found, OTHER_MODEL, f"{source}, seen otherwise") if is_other else found), False


def _other_rows(others: float, judged_anew: float, passing: Uncertain) -> float:
    """Share of the rows that leave a phase and that the run before did not have there: those that came new, and those
    that only a new judgement, or a new choice, lets pass."""
    return 1 - (1 - others) * (1 - min(1.0, judged_anew) * (1 - min(1.0, passing.value)))


def _fresh(plan: Plan, asked: Uncertain, others: float) -> Uncertain:
    """The rows that have to be asked about."""
    if plan.looked is not None:
        return Uncertain(plan.looked.open)
    if not plan.held:
        return asked
    new = asked.beyond(plan.held)
    if plan.is_same:
        return new
    both = min(plan.held, asked.value)
    return new + doubted(others * both, max(ROWS_CHANGE, others / 2) * both, f"{plan.phase} has other rows")


class _Asking:
    """The requests about so many rows, and what they take."""

    def __init__(self, plan: Plan, fresh: Uncertain) -> None:
        self.plan = plan
        self.assumed: tuple[str, ...] = ()
        self.calls = self.tokens_in = self.tokens_out = Uncertain(0.0)
        if plan.model:
            self._ask(fresh)
        requests: dict[str, Uncertain] = {}
        for name in ("searches", "pages"):
            seen = [(getattr(one, name), one.rows) for one in plan.seen if one.is_fresh]
            source = f"{plan.phase} {name}"
            found = rate(seen, law="count", ahead=fresh.value, source=source)
            if found is None or plan.shape != "row":
                found = within_factor(getattr(plan.assumed, name), ASSUMED_FACTOR, source)
            requests[name] = fresh * found
        self.searches, self.pages = requests["searches"], requests["pages"]

    @property
    def usd(self) -> Uncertain | None:
        """USD of the requests; None where a price that counts is unknown."""
        if self.searches.span().high and not self.plan.search_is_priced:
            return None
        if not self.calls.span().high:
            return Uncertain(0.0)
        if self.plan.usd is None:
            return None
        price_in, price_out = self.plan.usd
        return self.tokens_in.times(price_in) + self.tokens_out.times(price_out)

    def _ask(self, fresh: Uncertain) -> None:
        plan = self.plan
        looked = plan.looked
        units = Uncertain(looked.calls) if looked is not None else _in_batches(fresh, plan.batch)
        asked = [one for one in plan.seen if one.model]
        law: Law = "count" if plan.shape == "row" else "repeats"
        source = f"{plan.phase} calls"
        rates = [(one.calls, one.units) for one in asked if one.is_fresh]
        each = rate(rates, law=law, ahead=units.value, source=source)
        if each is None:
            self.assumed = ("calls",) if plan.shape == "row" else ()
            each = Uncertain(1.0) if plan.shape == "ask" else within_factor(plan.assumed.calls, ASSUMED_FACTOR, source)
        if plan.some_known:
            each = each * within_factor(SOME_KNOWN, SOME_KNOWN_FACTOR, f"{plan.phase} knows some")
        self.calls = units * each
        seen, is_other = _preferred([one for one in asked if one.calls])
        if not seen:
            self.assumed = (*self.assumed, "tokens")
        self.tokens_in = self.calls * self._tokens("tokens_in", seen, is_other)
        self.tokens_out = self.calls * self._tokens("tokens_out", seen, is_other)

    def _tokens(self, name: str, seen: Sequence[Seen], is_other: bool) -> Uncertain:
        source = f"{self.plan.phase} {name}"
        looked = self.plan.looked
        if name == "tokens_in" and looked is not None and looked.tokens_in:
            value = looked.tokens_in
            return (
                doubted(value, TOKENS_VARY * value, source) if seen else within_factor(value, OWN_TEXT_FACTOR, source)
            )
        found = rate([(getattr(one, name), one.calls) for one in seen], law="count", ahead=math.inf, source=source)
        if found is None:
            return within_factor(getattr(self.plan.assumed, name), ASSUMED_FACTOR, source)
        return _wider(found, OTHER_MODEL if is_other else TOKENS_VARY, f"{source} vary")


def _preferred(seen: Sequence[Seen]) -> tuple[list[Seen], bool]:
    """The runs that were like this one; else the nearest one, and True."""
    like = [one for one in seen if one.is_like]
    return (like, False) if like else (list(seen[:1]), bool(seen))


def _wider(figure: Uncertain, share: float, source: str) -> Uncertain:
    return Uncertain(figure.value, {**figure.moves, source: share * figure.value})


def _in_batches(rows: Uncertain, size: int) -> Uncertain:
    if size == 1:
        return rows
    if not rows.deviation:
        return Uncertain(math.ceil(rows.value / size), rows.moves)
    # The last batch is half full on average.
    return rows.times(1 / size) + Uncertain((size - 1) / (2 * size) if rows.value else 0.0)


def _compact(calls: Span, usd: Span | None) -> dict[str, Any]:
    return {"calls": calls.rounded(), "usd": None if usd is None else usd.rounded(6)}


def accuracy(frozen: Mapping[str, Any], *, calls: int, usd: float | None) -> dict[str, Any]:
    """How far off a frozen estimate was: `estimated` and `actual` of calls and USD, `off` (share of the likely figure:
    0.07 is 7 % more than estimated) and `within` the interval; None where there is nothing to compare."""
    return {"calls": _compared(frozen.get("calls"), calls), "usd": _compared(frozen.get("usd"), usd)}


def _compared(span: Sequence[float] | None, actual: float | None) -> dict[str, Any]:
    if span is None or actual is None:
        return {"estimated": span, "actual": actual, "off": None, "within": None}
    low, likely, high = span
    off = actual / likely - 1 if likely else 0.0 if not actual else None
    return {"estimated": list(span), "actual": actual, "off": off, "within": low <= actual <= high}
