"""Figures that are not known exactly: how doubt is added, multiplied, limited, told as an interval. Pure arithmetic.

First-order propagation of uncertainty (JCGM 100:2008, "Guide to the expression of uncertainty in measurement", 5.1.2
and 5.2.2). A figure remembers by how much each independent source of doubt moves it; where two figures share a source,
as all phases behind a sieve share the rows that it lets through, their sum moves with both. So intervals are neither
added end to end nor taken for independent of each other. Estimates of runs are made of it in `engine.estimate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

SHARE = 0.8
"""Share of runs that an interval is meant to hold."""
_Z = NormalDist().inv_cdf(0.5 + SHARE / 2)

Law = Literal["share", "count", "repeats"]


@dataclass(frozen=True)
class Span:
    """A likely value and the interval about it; low ≤ likely ≤ high."""

    low: float
    likely: float
    high: float

    def rounded(self, digits: int = 0) -> list[float]:
        """low, likely, high as plain numbers; the interval is widened to whole steps, never narrowed."""
        step = 10.0**digits
        # A tenth of a millionth of a step is how computers add, not doubt.
        low, high = math.floor(self.low * step + 1e-7) / step, math.ceil(self.high * step - 1e-7) / step
        return [low, min(max(round(self.likely, digits), low), high), high]


@dataclass(frozen=True)
class Uncertain:
    """A likely value ≥ 0; `moves` names its sources of doubt, each with the standard deviation that it adds."""

    value: float
    moves: Mapping[str, float] = field(default_factory=dict)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(sum(move * move for move in self.moves.values()))

    def __add__(self, other: Uncertain) -> Uncertain:
        return Uncertain(self.value + other.value, _joined((1.0, self), (1.0, other)))

    def __mul__(self, other: Uncertain) -> Uncertain:
        return Uncertain(self.value * other.value, _joined((other.value, self), (self.value, other)))

    def times(self, factor: float) -> Uncertain:
        """So many times it, the factor being exact."""
        return Uncertain(self.value * factor, _joined((factor, self)))

    def beyond(self, amount: float) -> Uncertain:
        """What of it goes beyond an exact amount."""
        below = self.at_most(amount)
        return Uncertain(self.value - below.value, _joined((1.0, self), (-1.0, below)))

    def at_most(self, limit: float) -> Uncertain:
        """The lesser of it and a limit: the mean of the lognormal distribution of `span`, cut there.

        Not of a normal one: of what is hardly known, half would lie below zero and pull the mean there.
        """
        if not self.deviation or self.value <= 0 or limit <= 0:
            return Uncertain(min(self.value, limit), self.moves if self.value < limit else {})
        spread = self._spread
        away, normal = math.log(limit / self.value) / spread, NormalDist()
        share = normal.cdf(away - spread / 2)
        value = self.value * share + limit * normal.cdf(-away - spread / 2)
        return Uncertain(min(value, self.value, limit), _joined((share, self)))

    def span(self) -> Span:
        """The interval that holds it in `SHARE` of cases: that of a lognormal distribution with this spread."""
        if self.value <= 0:
            return Span(0.0, 0.0, _Z * self.deviation)
        width = math.exp(_Z * self._spread)
        return Span(self.value / width, self.value, self.value * width)

    @property
    def _spread(self) -> float:
        """The standard deviation of its logarithm."""
        return math.sqrt(math.log1p((self.deviation / self.value) ** 2))


def doubted(value: float, deviation: float, source: str) -> Uncertain:
    """A value with one source of doubt."""
    return Uncertain(value, {source: deviation} if deviation else {})


def within_factor(value: float, factor: float, source: str) -> Uncertain:
    """A value that is within a factor of the truth, either way, in `SHARE` of cases."""
    return doubted(value, value * math.sqrt(math.expm1((math.log(factor) / _Z) ** 2)), source)


def total(figures: Iterable[Uncertain]) -> Uncertain:
    """The sum, with what the figures share counted once."""
    whole = list(figures)
    return Uncertain(sum(one.value for one in whole), _joined(*((1.0, one) for one in whole)))


def rate(seen: Sequence[tuple[float, float]], *, law: Law, ahead: float, source: str) -> Uncertain | None:
    """How many come of one trial, out of (count, trials) of earlier runs, as it will show in `ahead` further trials.

    `share`: each trial gives one or none (binomial). `count`: it gives any number (Poisson). `repeats`: it gives one,
    and now and then more. With several runs the spread between them counts where it is the larger one. None without
    any trial.
    """
    trials = sum(one for _, one in seen)
    if trials <= 0:
        return None
    value = sum(count for count, _ in seen) / trials
    variance = _OF_ONE[law](value, trials) * (1 / trials + 1 / max(ahead, 1.0))
    runs = [(count / one, one) for count, one in seen if one > 0]
    if len(runs) > 1:
        between = sum(one * (found - value) ** 2 for found, one in runs) / trials * len(runs) / (len(runs) - 1)
        variance = max(variance, between * (1 + 1 / len(runs)))
    return doubted(value, math.sqrt(variance), source)


def _share(value: float, trials: float) -> float:
    # Half a case is added to each side (Jeffreys): that none was lost in ten rows does not say that none ever is.
    smoothed = (min(value, 1.0) * trials + 0.5) / (trials + 1)
    return smoothed * (1 - smoothed)


def _count(value: float, trials: float) -> float:
    return max(value, 0.5 / trials)


def _repeats(value: float, trials: float) -> float:
    return _share(value, trials) if value < 1 else _count(value - 1, trials)


_OF_ONE: dict[str, Callable[[float, float], float]] = {"share": _share, "count": _count, "repeats": _repeats}
"""Variance of what one trial gives."""


def _joined(*parts: tuple[float, Uncertain]) -> dict[str, float]:
    moves: dict[str, float] = {}
    for factor, figure in parts:
        for source, move in figure.moves.items():
            moves[source] = moves.get(source, 0.0) + factor * move
    return {source: move for source, move in moves.items() if move}
