"""Retention: which runs stay, become an archive, or go, and why. A pure decision; nothing is read or written here.

Gathering what is known of the runs, and doing what is decided, belongs to `defs.keeping`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, ValidationError

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.settings import Settings

Action = Literal["keep", "archive", "delete"]


class Limits(Settings):
    """How long runs stay. Environment variables, because a schedule and a command have to read the same."""

    complete: int = Field(10, ge=1, le=100_000)
    """Newest complete runs of a series that stay as they are. ENRICH_KEEP_COMPLETE."""
    archived: int = Field(100, ge=1, le=1_000_000)
    """Complete runs of a series that stay at all, those before included; the others are archives. ENRICH_KEEP_RUNS."""
    days: float = Field(90.0, ge=0, le=100_000)
    """Days after which complete runs beyond that number go. ENRICH_KEEP_DAYS."""
    incomplete_days: float = Field(30.0, ge=0, le=100_000)
    """Days after its last sign of life that an incomplete run goes. ENRICH_KEEP_INCOMPLETE_DAYS."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """The limits that the environment names, else the defaults; raises SettingsError naming the variable."""
        given = {field: environment.get(name, "").strip() for field, name in VARIABLES.items()}
        try:
            limits = cls.model_validate({field: value for field, value in given.items() if value})
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0])
            raise SettingsError(
                f"{given[field]!r:.40} cannot be used: {error.errors()[0]['msg']}.",
                where=VARIABLES[field],
                fix=f"Set it to a number, like {cls.model_fields[field].default:g}, or unset it.",
            ) from None
        if limits.archived < limits.complete:
            raise SettingsError(
                f"{limits.archived} runs in all are fewer than the {limits.complete} that stay as they are.",
                where=VARIABLES["archived"],
                fix=f"Raise it, or lower {VARIABLES['complete']}.",
            )
        return limits


VARIABLES = {
    "complete": "ENRICH_KEEP_COMPLETE",
    "archived": "ENRICH_KEEP_RUNS",
    "days": "ENRICH_KEEP_DAYS",
    "incomplete_days": "ENRICH_KEEP_INCOMPLETE_DAYS",
}


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run. Run IDs are unique over all graphs."""

    graph: str
    run_id: str
    started: tuple[datetime, int]
    """Its start, and its place among runs of the same second."""
    last_active: datetime
    is_complete: bool
    has_folder: bool = True
    is_archived: bool = False
    is_latest: bool = False
    is_pinned: bool = False
    in_use: str = ""
    """Who works on it; '' where nobody does."""
    damaged: str = ""
    """What of it cannot be read; '' where nothing is known to be damaged."""
    foreign: tuple[str, ...] = ()
    """Files in its folder that are not the run's."""
    series: str = ""
    """The preset or settings file that it began from."""
    leans_on: frozenset[str] = frozenset()
    is_going: bool = False
    """Its deletion was begun and not finished."""


@dataclass(frozen=True)
class Decision:
    """What becomes of a run, and why, in words for people."""

    run: RunFacts
    action: Action
    why: str


def decide(runs: Sequence[RunFacts], limits: Limits, now: datetime) -> list[Decision]:
    """What becomes of each run, in the order given.

    A run that stays as it is keeps those that it leans on as they are; one that stays as an archive keeps them from
    being deleted. That is one step and no chain, because a run freezes what it takes from another one when it begins.
    """
    ranks = _ranks(runs)
    wishes = [_own_reason(run) or _wish(run, ranks.get(run.run_id, 0), limits, now) for run in runs]
    # What was begun to be deleted has lost files already; nobody can lean on it any more.
    whole, archived = _leaners(wishes, archived=False), _leaners(wishes, archived=True)
    return [_with_leaners(wish, whole, archived) for wish in wishes]


def _ranks(runs: Sequence[RunFacts]) -> dict[str, int]:
    """Place of each complete run of its graph and series, the newest first, from 1."""
    ranks: dict[str, int] = {}
    for kind in {(run.graph, run.series) for run in runs}:
        complete = [run for run in runs if (run.graph, run.series) == kind and run.is_complete and not run.is_going]
        complete.sort(key=lambda run: (*run.started, run.run_id), reverse=True)
        ranks |= {run.run_id: place for place, run in enumerate(complete, 1)}
    return ranks


def _own_reason(run: RunFacts) -> Decision | None:
    """Why a run stays whatever its age; None where nothing of its own holds it."""
    if run.damaged:
        return Decision(run, "keep", f"damaged: {run.damaged}")
    if run.foreign:
        named = ", ".join(run.foreign[:3]) + (" …" if len(run.foreign) > 3 else "")
        return Decision(run, "keep", f"its folder holds what is no part of a run: {named}")
    if run.in_use:
        return Decision(run, "keep", f"in use: {run.in_use}")
    if run.is_pinned:
        return Decision(run, "keep", "pinned")
    if run.is_latest and not run.is_going:
        return Decision(run, "keep", "it is the latest")
    return None


def _wish(run: RunFacts, rank: int, limits: Limits, now: datetime) -> Decision:
    age = now - run.last_active
    days = age / timedelta(days=1)
    if run.is_going:
        return Decision(run, "delete", "its deletion was begun")
    if not run.is_complete:
        if days > limits.incomplete_days:
            return Decision(run, "delete", f"incomplete, and untouched for {days:,.0f} days")
        return Decision(run, "keep", f"incomplete, and touched {days:,.0f} days ago")
    if rank <= limits.complete:
        return Decision(run, "keep", f"complete run {rank} of the {limits.complete} that stay")
    if rank > limits.archived and days > limits.days:
        return Decision(run, "delete", f"complete run {rank}, {days:,.0f} days old")
    return _archive(run, f"complete run {rank}")


def _archive(run: RunFacts, why: str) -> Decision:
    if run.is_archived and not run.has_folder:
        return Decision(run, "keep", f"archived: {why}")
    return Decision(run, "archive", f"{why}; archiving was begun" if run.is_archived else why)


def _leaners(wishes: Sequence[Decision], *, archived: bool) -> dict[str, str]:
    """Of each run that another one leans on, which stays as it is or (`archived`) as an archive, that one's ID."""
    return {
        named: wish.run.run_id
        for wish in wishes
        if wish.action != "delete" and (wish.action == "archive" or wish.run.is_archived) is archived
        for named in sorted(wish.run.leans_on)
        if named != wish.run.run_id
    }


def _with_leaners(wish: Decision, whole: Mapping[str, str], archived: Mapping[str, str]) -> Decision:
    run = wish.run
    if wish.action == "keep" or run.is_going:
        return wish
    if leaner := whole.get(run.run_id):
        if run.is_archived and run.has_folder:
            return wish if wish.action == "archive" else _archive(run, f"{leaner} leans on it")
        return Decision(run, "keep", f"{leaner} leans on it")
    if wish.action == "delete" and (leaner := archived.get(run.run_id)):
        if not run.is_complete:
            return Decision(run, "keep", f"{leaner} leans on it")
        return _archive(run, f"{leaner} leans on it")
    return wish
