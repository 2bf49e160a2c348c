"""Runs in the ledger: their IDs and frozen registrations, and the wish that one pauses."""

from __future__ import annotations

import difflib
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import RunIdError, UnknownRun
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.core.run_id import run_id_at, valid_run_id
from enrich_assets.engine import tables
from enrich_assets.engine.connection import Connected
from enrich_assets.engine.series import LATEST, known_series, series_named, series_of
from enrich_assets.engine.texts import storable, utc_text

_SERIES = sa.func.coalesce(
    tables.runs.c.series, sa.func.nullif(tables.runs.c.preset, ""), sa.func.nullif(tables.runs.c.title, ""), ""
)
"""The series of a run, as `series_of` gives it."""


class RunRecords(Connected):
    """The part of the ledger that knows the runs."""

    def claim_run(self, graph: str, registration: Mapping[str, Any], *, run_id: str | None = None) -> str:
        """Claims a run ID with its frozen registration by a unique insert.

        With `run_id`, exactly that one (RunIdError when it is taken); else the first free one of this second.
        """
        moment = self._now()
        for taken in range(1000):
            candidate = run_id_at(moment, taken=taken) if run_id is None else valid_run_id(run_id)
            values = {
                "run_id": candidate,
                "graph": graph,
                "title": storable(str(registration.get("title", "")))[:300],
                "preset": storable(str(registration.get("preset", "")))[:100],
                "series": storable(series_of(registration)) or None,
                "created_at": utc_text(moment),
                "registration": zlib.compress(canonical_json(registration), 6),
            }
            try:
                with self._writing() as connection:
                    if connection.execute(_was_removed(candidate)).first() is not None:
                        raise RunIdError(f"{candidate} was a run that is deleted.")
                    connection.execute(sa.insert(tables.runs).values(values))
            except (sa.exc.IntegrityError, RunIdError):
                if run_id is not None:
                    raise RunIdError(f"the run ID {run_id} is taken.", fix="Run IDs are never used twice.") from None
                continue
            return candidate
        raise RunIdError(f"no free run ID for {run_id_at(moment)}.", fix="Start again in a second.")

    def registration(self, run_id: str) -> dict[str, Any] | None:
        """What was registered for a run; None for a run that the ledger does not know."""
        query = sa.select(tables.runs.c.registration).where(tables.runs.c.run_id == run_id)
        found = self._read(query)
        return dict(json.loads(zlib.decompress(found[0][0]))) if found else None

    def replace_registration(self, run_id: str, registration: Mapping[str, Any]) -> None:
        """Puts another registration in place of a run's: for what has to be taken out of it, and nothing else."""
        table = tables.runs
        replaced = zlib.compress(canonical_json(registration), 6)
        with self._writing() as connection:
            tables.forget_what_is_replaced(connection)
            connection.execute(sa.update(table).where(table.c.run_id == run_id).values(registration=replaced))

    def remove_run(self, run_id: str) -> None:
        """Takes a run out of the list, with the view of its phases, wishes and leases; doing it again changes nothing.

        Its answers stay, because other runs reuse them, and so does its spending, which budgets count. A row of
        `totals` keeps the ID from being claimed again.
        """
        with self._writing() as connection:
            tables.forget_what_is_replaced(connection)
            insert = tables.upsert(connection)(tables.totals).values(scope=_tombstone(run_id))
            connection.execute(insert.on_conflict_do_nothing(index_elements=["scope"]))
            for table in (tables.phases, tables.failures, tables.renewals, tables.runs):
                connection.execute(sa.delete(table).where(table.c.run_id == run_id))
            of_it = tables.leases.c.name.startswith(f"{run_id}/", autoescape=True)
            connection.execute(sa.delete(tables.leases).where(of_it))

    def runs(self, graph: str | None = None, *, series: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """The runs, newest first, of one series where it is named: run_id, graph, title, preset, series, created_at."""
        return self._runs_where(graph, *([storable(series) == _SERIES] if series else []), limit=limit)

    def series(self, graph: str | None = None) -> list[str]:
        """Names of the series that the runs belong to."""
        query = sa.select(_SERIES).distinct()
        if graph is not None:
            query = query.where(tables.runs.c.graph == graph)
        return sorted(str(name) for (name,) in self._read(query) if name)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run as `runs` lists it; None if no such run is known."""
        return next(iter(self._runs_where(None, tables.runs.c.run_id == storable(run_id))), None)

    def find_run(self, reference: str, graph: str | None = None) -> str:
        """The run that an ID, a title, `latest` (the newest) or `latest:SERIES` means; raises UnknownRun, also for a
        title of two runs."""
        table = tables.runs
        known = self._runs_where(graph, limit=3)
        if not known:
            raise UnknownRun("there is no run yet.", fix="Start one: enrich demo, or enrich run --preset NAME.")
        if reference == LATEST:
            return str(known[0]["run_id"])
        if name := series_named(reference):
            chosen = self.runs(graph, series=known_series(name, self.series(graph)), limit=1)
            return str(chosen[0]["run_id"])
        sought = storable(reference)
        if self._runs_where(graph, table.c.run_id == sought):
            return sought
        titled = [str(found["run_id"]) for found in self._runs_where(graph, table.c.title == sought, limit=20)]
        if len(titled) == 1:
            return titled[0]
        if titled:
            raise UnknownRun(
                f"{len(titled)} runs have the title {_short(reference)}.", fix=f"Name one: {', '.join(titled)}."
            )
        newest = ", ".join(str(found["run_id"]) for found in known)
        names = [
            str(one[key]) for one in self._runs_where(graph, limit=1000) for key in ("run_id", "title") if one[key]
        ]
        close = difflib.get_close_matches(sought[:100], dict.fromkeys(names), n=2, cutoff=0.75)
        hint = f"Did you mean {' or '.join(map(_short, close))}? " if close else ""
        raise UnknownRun(
            f"no run has the ID or title {_short(reference)}.",
            fix=f"{hint}The newest are {newest}; enrich runs lists all.",
        )

    def _runs_where(self, graph: str | None, *conditions: Any, limit: int | None = None) -> list[dict[str, Any]]:
        table = tables.runs
        named = (
            table.c.run_id, table.c.graph, table.c.title, table.c.preset, _SERIES.label("series"), table.c.created_at,
        )  # fmt: skip
        query = sa.select(*named).where(*conditions)
        if graph is not None:
            query = query.where(table.c.graph == graph)
        # Of one moment the longer ID is the later claim: …-2 before …, …-10 before …-2.
        query = query.order_by(table.c.created_at.desc(), sa.func.length(table.c.run_id).desc(), table.c.run_id.desc())
        return [dict(found._mapping) for found in self._read(query.limit(limit))]

    def ask_pause(self, run_id: str) -> None:
        """Asks whoever works on the run to stop; who begins later does not heed it."""
        table = tables.runs
        asked = sa.update(table).where(table.c.run_id == run_id).values(pause_asked_at=utc_text(self._now()))
        with self._writing() as connection:
            connection.execute(asked)

    def pause_asked_at(self, run_id: str) -> datetime | None:
        """When the run was last asked to pause, UTC."""
        found = self._read(sa.select(tables.runs.c.pause_asked_at).where(tables.runs.c.run_id == run_id))
        return datetime.fromisoformat(found[0][0]) if found and found[0][0] else None


def _was_removed(run_id: str) -> sa.Select[Any]:
    return sa.select(tables.totals.c.scope).where(tables.totals.c.scope == _tombstone(run_id))


def _tombstone(run_id: str) -> str:
    return f"deleted/{run_id}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
