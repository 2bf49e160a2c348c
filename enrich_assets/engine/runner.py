"""Runs one phase of one run: every input row ends as exactly one of kept, dropped, failed, and is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from enrich_assets.core.envelope import LAUNCHES, Counts, InputRef
from enrich_assets.core.errors import BudgetReached, EndpointError, PhaseFailed, StorageError
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.checks import run_checks
from enrich_assets.engine.efforts import ROW_EFFORTS, summed_up
from enrich_assets.engine.job import Job
from enrich_assets.engine.journal import Journal
from enrich_assets.engine.leases import LeaseLost, working_under
from enrich_assets.engine.looping import run_to_end
from enrich_assets.engine.made_with import made_with
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.outcomes import Outcomes
from enrich_assets.engine.sending import Sender
from enrich_assets.engine.shapes import input_rows, run_ask, run_rows, run_table, sample
from enrich_assets.engine.spending import Caps
from enrich_assets.engine.stopping import GRACE_SECONDS, Stop, signals_heard, stopped


def run_phase(job: Job) -> PhaseResult:
    """Runs a phase to its result, checks and figures included; nothing is published.

    Raises PhaseFailed when too many rows failed or an endpoint refuses everything, DeclarationError for a defect of
    the phase, StorageError when the ledger cannot commit, BudgetReached when no more may be spent, LeaseLost when
    another process took over, Stopped when it was asked to stop.
    """
    return run_to_end(lambda: _run(job))


async def _run(job: Job) -> PhaseResult:
    started, clock = job.now(), time.monotonic()
    phase = job.phase
    working_under.set(job.ledger.phase_lease)
    settings = job.graph.settings_of(phase, job.resolved)
    journal = Journal(job.now)
    journal.note("started", phase=phase.name, run_id=job.run.run_id, shape=phase.shape)
    calls = _calls_of(job, journal)
    main = job.graph.main_input(phase)
    outcomes = Outcomes(phase, job.graph.columns(phase), None if main is None else job.inputs[main.name].table)
    document: Mapping[str, Any] | None = None
    if phase.shape == "table":
        document = run_table(job, settings, outcomes)
        counts = outcomes.counts()
    else:
        try:
            await _run_row_by_row(job, settings, calls, outcomes)
            counts = outcomes.counts()
            _refuse_too_many_failures(job, counts, outcomes)
        except LeaseLost:
            raise
        except BaseException:
            # Nothing is published, so the ledger is the only place where they can be seen and asked again by name.
            with suppress(StorageError):
                job.ledger.keep_failures(job.run.run_id, phase.name, outcomes.failed_table().to_pylist())
            raise
    table = None if phase.makes == "document" else outcomes.table()
    result = PhaseResult(
        graph=job.graph.name,
        run_id=job.run.run_id,
        phase=phase.name,
        number=job.graph.number(phase),
        started_at=started,
        duration_seconds=time.monotonic() - clock,
        counts=counts if table is None else counts.model_copy(update={"rows_out": table.num_rows}),
        usage=calls.meter.usage(),
        settings_fingerprint=job.graph.settings_fingerprint(phase, job.resolved),
        code_fingerprint=job.graph.code_fingerprint(phase),
        dropped=outcomes.dropped_table(),
        failed=outcomes.failed_table(),
        table=table,
        document=document,
        volatile=job.graph.volatile(phase),
        inputs=tuple(
            InputRef(run_id=i.envelope.run_id, phase=i.envelope.phase, data_sha256=i.envelope.data_sha256)
            for i in job.inputs.values()
        ),
        sides=outcomes.side_tables(),
        notes={**made_with(phase), **_efforts(job, calls.meter), **_launches(job, calls.meter)},
        refused=tuple(journal.refused),
        completes=job.graph.names if phase is job.graph.last else (),
    )
    result = result.with_checks(run_checks(phase, result, settings))
    for check in result.checks:
        if not check.passed:
            journal.note("warning", check=check.name, message=check.message)
    return result.with_log(journal.lines(seconds=round(result.duration_seconds, 3), **_told(result.counts)))


def _told(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in ("rows_in", "kept", "dropped", "failed", "created", "rows_out")}


def _calls_of(job: Job, journal: Journal) -> Calls:
    """The calls of the job's phase, under the run's limits and after what a person wanted asked again."""
    run_id, phase, shared = job.run.run_id, job.phase.name, job.shared
    sender = Sender(
        job.ledger,
        run_id=run_id,
        phase=phase,
        backoff=Backoff(attempts=shared.attempts, first=shared.first_delay_seconds),
        caps=Caps(run=shared.budget.run_usd, phase=shared.budget.phase_usd),
        slots=shared.concurrency,
        limits_of=lambda endpoint: job.ledger.limits(job.transport.limits(endpoint), wanted=shared.concurrency),
        is_ready=job.transport.is_ready,
        journal=journal,
    )
    renewal = job.ledger.renewal(run_id, phase)
    return Calls(
        job.ledger,
        sender,
        run_id=run_id,
        phase=phase,
        fresh_from=job.run.fresh_from,
        again_from=renewal.again_from,
        retry_from=renewal.retry_from,
        retry_rows=renewal.retry_rows,
    )


async def _run_row_by_row(job: Job, settings: Any, calls: Calls, outcomes: Outcomes) -> None:
    """Works on the rows until all have an outcome, telling how it goes; the meter has what they cost then."""
    phase = job.phase
    asker = Asker(calls, job.transport, attempts=job.shared.attempts)
    rows = input_rows(job)
    outcomes.rows_in = len(rows)
    rows = sample(rows, job, outcomes)
    stop = Stop()
    reporter = asyncio.ensure_future(_report(job, calls, outcomes, stop))
    try:
        with signals_heard(stop):
            if phase.shape == "ask":
                try:
                    await run_ask(job, settings, asker, rows, outcomes, stop)
                finally:
                    await calls.close(grace=GRACE_SECONDS)
            else:
                async with job.open_clients(calls, asker) as clients:
                    try:
                        await run_rows(job, settings, clients, rows, outcomes, stop)
                    finally:
                        await calls.close(grace=GRACE_SECONDS)
        if stop:
            raise stopped(phase.name, _how_far(outcomes), stop.reason, job.run.run_id)
    except BudgetReached as error:
        error.what = f"stopped {_how_far(outcomes)}: {error.what}"
        raise
    except EndpointError as error:
        raise PhaseFailed(
            f"stopped {_how_far(outcomes)}: {error.what}",
            where=phase.name,
            fix=f"{error.fix or 'Correct it.'} Then: enrich resume {job.run.run_id}",
        ) from error
    finally:
        reporter.cancel()
        await asyncio.gather(reporter, return_exceptions=True)
        with suppress(StorageError, LeaseLost):
            await job.ledger.written()  # what is told at the end has nothing in it that is about to be settled
        await _tell(job, calls.meter, outcomes)
    await job.ledger.written()
    spent = job.ledger.spent(job.run.run_id, phase.name)
    calls.meter.spent, calls.meter.unsettled = spent.total, spent.unsettled


def _efforts(job: Job, meter: Meter) -> dict[str, Any]:
    """What single rows took, where anything was paid or asked again."""
    if job.phase.shape == "table" or not (meter.retries or meter.spent or meter.cost):
        return {}
    return {ROW_EFFORTS: summed_up(job.ledger.row_efforts(job.run.run_id, job.phase.name))}


def _launches(job: Job, meter: Meter) -> dict[str, Any]:
    """The paid requests of all launches, where earlier ones sent some too."""
    if job.phase.shape == "table":
        return {}
    sent = job.ledger.requests(job.run.run_id)
    own = {kind: numbers for (phase, kind), numbers in sent.items() if phase == job.phase.name}
    found = {
        "model_calls": own.get("model", (0,))[0],
        "search_requests": own.get("search", (0,))[0],
        "tokens_in": sum(numbers[1] for numbers in own.values()),
        "tokens_out": sum(numbers[2] for numbers in own.values()),
    }
    more = {name: count for name, count in found.items() if count > getattr(meter, name)}
    return {LAUNCHES: more} if more else {}


def _how_far(outcomes: Outcomes) -> str:
    return f"after {outcomes.done} of {outcomes.rows_in} rows"


async def _report(job: Job, calls: Calls, outcomes: Outcomes, stop: Stop) -> None:
    while True:
        await asyncio.sleep(1.0)
        reason = await asyncio.to_thread(job.should_stop)
        if reason:
            stop.ask(reason)
        calls.journal.progress(outcomes.so_far(), calls.meter)
        await _tell(job, calls.meter, outcomes)


async def _tell(job: Job, meter: Meter, outcomes: Outcomes) -> None:
    # A view for people; what matters is committed, or fails, elsewhere.
    with suppress(StorageError, LeaseLost):
        # In a thread: it writes to the ledger, and must not hold up the rows while another process does so too.
        await asyncio.to_thread(job.report, meter, outcomes.so_far())


def _refuse_too_many_failures(job: Job, counts: Counts, outcomes: Outcomes) -> None:
    failed, tried, of = counts.failed, counts.rows_in, "rows"
    if not tried or failed / tried <= job.shared.max_failed_fraction:
        failed, tried, of = counts.failed_on_the_way, counts.tried_on_the_way, "pages"
        if not tried or failed / tried <= job.shared.max_failed_pages:
            return
    kinds = ", ".join(f"{n} × {kind}" for kind, n in sorted(counts.failed_by_kind.items()))
    key = "max_failed_fraction" if of == "rows" else "max_failed_pages"
    raise PhaseFailed(
        f"{failed} of {tried} {of} failed ({kinds}); the first: {outcomes.first_failure().rstrip('. ')}.",
        where=job.phase.name,
        fix=_ways_on(job, of, waiting=counts.waiting, unusable=counts.failed - counts.waiting, key=key),
    )


def _ways_on(job: Job, of: str, *, waiting: int, unusable: int, key: str) -> str:
    run_id = job.run.run_id
    ways = ["Answers so far are kept."]
    if waiting or of == "pages":
        ways.append(f"Without an answer, for a cause outside: mend it, then enrich resume {run_id}.")
    if unusable or of == "pages":
        ways.append(
            f"Without one to use: enrich show {run_id} {job.phase.name} lists these {of}, and enrich resume {run_id} "
            "--retry-failed asks them again and no others."
        )
    ways.append(
        f"A cause in settings, which never change: a new run, enrich run --like {run_id} --set key=value ({key} is the "
        "share that may fail)."
    )
    return " ".join(ways)
