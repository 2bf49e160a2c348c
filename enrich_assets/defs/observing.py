"""What the ledger's view and Dagster are told while a phase works: live numbers, log lines, a few observations.

An observation costs about 9 KB of Dagster's event log, so there are 30 a phase at most, ever further apart.
https://docs.dagster.io/guides/build/assets/metadata-and-tags/asset-observations
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from enrich_assets.core.errors import EnrichError, Stopped, StorageError
from enrich_assets.core.units import money
from enrich_assets.engine.leases import LeaseLost
from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.progress import Pace, RowsSoFar, how_it_goes, unknown_outcomes
from enrich_assets.engine.stopping import PAUSED

LINE_SECONDS, LATER_LINE_SECONDS, LATER = 5.0, 60.0, 300.0
"""A log line every 5 s, and every 60 s after the first 5 minutes."""
OBSERVATION_SECONDS, OBSERVATIONS = 10.0, 30
"""The least time between two observations, and how many a phase has at most."""
_GROWTH = 1 / 3
"""An observation waits for a third of the phase's time so far: 30 of them last for 20 hours."""


class Schedule:
    """When a phase writes a log line or an observation, by the seconds since it began. Asked about once a second."""

    def __init__(self) -> None:
        self._line, self._observation, self._observed = LINE_SECONDS, OBSERVATION_SECONDS, 0

    def line_is_due(self, seconds: float) -> bool:
        """Whether a log line is to be written now; it counts as written then."""
        if seconds < self._line:
            return False
        # On a grid, so that being asked a little late does not add up.
        while self._line <= seconds:
            self._line += LINE_SECONDS if self._line < LATER else LATER_LINE_SECONDS
        return True

    def observation_is_due(self, seconds: float) -> bool:
        """Whether an observation is to be made now; it counts as made then."""
        if seconds < self._observation or self._observed == OBSERVATIONS:
            return False
        self._observed += 1
        self._observation = seconds + max(OBSERVATION_SECONDS, seconds * _GROWTH)
        return True


class Observer:
    """Tells how a phase of a run goes. `report` and `wish_to_stop` are called in a thread, about once a second."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        ledger: Ledger,
        run_id: str,
        phase: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._run_id = run_id
        self._phase = phase
        self._clock = clock
        self._began = clock()
        self._launched = _launched_at(context) or utc_now()
        self._schedule = Schedule()
        self._pace = Pace()
        self._rows: RowsSoFar | None = None

    def report(self, meter: Meter, rows: RowsSoFar) -> None:
        """Brings the ledger's view up to date, and Dagster's log where that is due. Raises StorageError, LeaseLost."""
        self._rows = rows
        spent = self._ledger.spent(self._run_id, self._phase)
        seconds = self._clock() - self._began
        self._ledger.phase_progress(
            self._run_id,
            self._phase,
            rows_in=rows.rows_in,
            rows_done=rows.done,
            dropped=rows.dropped,
            failed=rows.failed,
            calls=meter.model_calls + meter.page_requests + meter.search_requests,
            reused=meter.answers_reused,
            tokens_in=meter.tokens_in,
            tokens_out=meter.tokens_out,
            cost=spent.total,
            seconds=seconds,
        )
        self._pace.note(seconds, rows.done)
        line, observation = self._schedule.line_is_due(seconds), self._schedule.observation_is_due(seconds)
        with suppress(Exception):  # the boundary to Dagster's log: that it is full or busy must not end a phase
            if line:
                told = how_it_goes(rows, self._pace, cost=spent.total, unsettled=spent.unsettled)
                self._context.log.info(f"{self._phase}: {told}")
            if observation:
                self._context.log_event(self._observation(rows, spent.total))

    def wish_to_stop(self) -> str:
        """Why the phase should stop: cancelled in Dagster, or paused since this launch began; '' where nobody asked."""
        asked = None
        with suppress(StorageError):  # asked again in a second; what matters is committed, or fails, elsewhere
            asked = self._ledger.pause_asked_at(self._run_id)
        if asked is not None and asked > self._launched:
            return PAUSED
        launch = None
        with suppress(Exception):  # the boundary to Dagster's database, which may be busy: asked again in a second
            launch = self._context.instance.get_run_by_id(self._context.run.run_id)
        canceled = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
        return "cancelled in Dagster" if launch is not None and launch.status in canceled else ""

    def ended(self, error: BaseException) -> None:
        """Notes in the ledger's view how a phase ended that did not succeed; whoever lost its lease notes nothing."""
        status = "stopped"
        if isinstance(error, Stopped):
            status = "paused" if error.is_pause else "stopped"
        elif isinstance(error, Exception):
            status = "failed"
        message = str(error)[:2000] or type(error).__name__
        with suppress(LeaseLost, StorageError):  # the error itself is what has to be told
            cost = self._ledger.spent(self._run_id, self._phase).total
            seconds = self._clock() - self._began
            self._ledger.phase_ended(self._run_id, self._phase, status, message=message, cost=cost, seconds=seconds)

    def failure(self, error: EnrichError) -> dg.Failure:
        """The failure for people: the cause, the rows done and the cost so far, and how to go on."""
        metadata: dict[str, Any] = {}
        said = [f"{error.where}: " * bool(error.where) + error.what.rstrip(". ") + "."]
        if self._rows is not None:
            metadata = {"rows_done": self._rows.done, "rows_in": self._rows.rows_in, "failed": self._rows.failed}
            if f"of {self._rows.rows_in} rows" not in error.what:
                said.append(f"{self._rows.done:,} of {self._rows.rows_in:,} rows were done.")
            with suppress(StorageError):
                spent = self._ledger.spent(self._run_id, self._phase)
                metadata["cost_usd"] = "unknown" if spent.total is None else spent.total
                note = unknown_outcomes(spent.unsettled)
                said.append(f"{self._phase} has cost {money(spent.total)} so far{f' ({note})' if note else ''}.")
        way_on = f"enrich resume {self._run_id}"
        said.append(error.fix or f"Go on with: {way_on}")
        # Not retried by Dagster: what could be retried was retried row by row, inside.
        return dg.Failure(" ".join(said), metadata={**metadata, "next": way_on}, allow_retries=False)

    def _observation(self, rows: RowsSoFar, spent: float | None) -> dg.AssetObservation:
        rate, left = self._pace.rate, self._pace.seconds_left(rows.rows_in)
        metadata: dict[str, Any] = {"rows_done": rows.done, "rows_in": rows.rows_in, "failed": rows.failed}
        metadata |= {"cost": "unknown" if spent is None else round(spent, 6)}
        metadata |= {} if rate is None else {"rate": round(rate, 3)}
        if left is not None:
            metadata["eta"] = dg.MetadataValue.timestamp(utc_now() + timedelta(seconds=left))
        return dg.AssetObservation(asset_key=self._context.asset_key, partition=self._run_id, metadata=metadata)


def _launched_at(context: dg.AssetExecutionContext) -> datetime | None:
    record = context.instance.get_run_record_by_id(context.run.run_id)
    began = None if record is None else record.start_time
    return None if began is None else datetime.fromtimestamp(began, UTC)
