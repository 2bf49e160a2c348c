"""Runs one phase of one run: every input row ends as exactly one of kept, dropped, failed, and is counted."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Counts, Envelope, InputRef
from enrich_assets.core.errors import (
    BudgetReached,
    CallError,
    DeclarationError,
    EndpointError,
    EnrichError,
    PhaseFailed,
    StorageError,
    TransientError,
)
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.checks import run_checks
from enrich_assets.engine.clients import Clients, ModelTransport, Prompt
from enrich_assets.engine.deadlines import row_deadline
from enrich_assets.engine.graph import Graph, RunInfo
from enrich_assets.engine.leases import LeaseLost
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.outcomes import Outcomes
from enrich_assets.engine.phase import Drop, Phase, Row, Selection
from enrich_assets.engine.progress import RowsSoFar
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.engine.requests import Request
from enrich_assets.engine.sending import Sender, current_row
from enrich_assets.engine.settings import EngineSettings
from enrich_assets.engine.spending import Caps
from enrich_assets.engine.stopping import GRACE_SECONDS, Stop, signals_heard, stopped
from enrich_assets.engine.window import gather_window

EMBEDDED_MODEL = "extractive"


@dataclass(frozen=True)
class Input:
    """What an upstream phase published: its table or document, and its envelope."""

    envelope: Envelope
    table: pa.Table | None = None
    document: Mapping[str, Any] | None = None

    def content(self) -> Any:
        """Rows as a list of dicts, or the document."""
        return self.document if self.table is None else self.table.to_pylist()


@dataclass(frozen=True)
class Job:
    """Everything that running one phase takes.

    `inputs` are the published inputs by phase name (`Graph.inputs`), `sides` the side tables named in `also`.
    `resolved` are the run's frozen settings. `open_clients(calls, asker)` gives a row phase its clients as an async
    context manager. `report(meter, rows)` is called about once a second and at the end, `should_stop()`, which gives
    the reason to stop or an empty text, about once a second.
    """

    graph: Graph
    phase: Phase
    run: RunInfo
    resolved: Mapping[str, Any]
    inputs: Mapping[str, Input]
    ledger: Ledger
    transport: ModelTransport
    open_clients: Callable[[Calls, Asker], Any]
    sides: Mapping[str, pa.Table] = field(default_factory=dict)
    registration: Mapping[str, Any] | None = None
    report: Callable[[Meter, RowsSoFar], None] = lambda meter, rows: None
    should_stop: Callable[[], str] = lambda: ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @cached_property
    def shared(self) -> EngineSettings:
        """The engine's settings of this run."""
        return EngineSettings.model_validate(
            {k: v for k, v in self.resolved.items() if k in EngineSettings.model_fields}
        )


def run_phase(job: Job) -> PhaseResult:
    """Runs a phase to its result, checks and figures included; nothing is published.

    Raises PhaseFailed when too many rows failed or an endpoint refuses everything, DeclarationError for a defect of
    the phase, StorageError when the ledger cannot commit, Stopped when it was asked to stop.
    """
    return asyncio.run(_run(job))


async def _run(job: Job) -> PhaseResult:
    started, clock = job.now(), time.monotonic()
    phase, shared = job.phase, job.shared
    settings = job.graph.settings_of(phase, job.resolved)
    sender = Sender(
        job.ledger,
        run_id=job.run.run_id,
        phase=phase.name,
        backoff=Backoff(attempts=shared.attempts, first=shared.first_delay_seconds),
        caps=Caps(run=shared.budget.run_usd, phase=shared.budget.phase_usd),
        slots=shared.concurrency,
        limits_of=lambda endpoint: job.ledger.limits(job.transport.limits(endpoint), wanted=shared.concurrency),
        is_ready=job.transport.is_ready,
    )
    renewal = job.ledger.renewal(job.run.run_id, phase.name)
    calls = Calls(
        job.ledger,
        sender,
        run_id=job.run.run_id,
        phase=phase.name,
        fresh_from=job.run.fresh_from,
        again_from=renewal.again_from,
        retry_from=renewal.retry_from,
    )
    asker = Asker(calls, job.transport, attempts=shared.attempts)
    main = job.graph.main_input(phase)
    outcomes = Outcomes(phase, job.graph.columns(phase), None if main is None else job.inputs[main.name].table)
    document: Mapping[str, Any] | None = None
    if phase.shape == "table":
        document = _run_table(job, settings, outcomes)
    else:
        rows = _input_rows(job)
        outcomes.rows_in = len(rows)
        rows = _sample(rows, job, outcomes)
        stop = Stop()
        reporter = asyncio.ensure_future(_report(job, calls.meter, outcomes, stop))
        try:
            with signals_heard(stop):
                if phase.shape == "ask":
                    try:
                        await _run_ask(job, settings, asker, rows, outcomes, stop)
                    finally:
                        await calls.close(grace=GRACE_SECONDS)
                else:
                    async with job.open_clients(calls, asker) as clients:
                        try:
                            await _run_rows(job, settings, clients, rows, outcomes, stop)
                        finally:
                            await calls.close(grace=GRACE_SECONDS)
            if stop:
                how_far = f"after {outcomes.done} of {outcomes.rows_in} rows"
                raise stopped(phase.name, how_far, stop.reason, job.run.run_id)
        except BudgetReached as error:
            error.what = f"stopped after {outcomes.done} of {outcomes.rows_in} rows: {error.what}"
            raise
        except EndpointError as error:
            raise PhaseFailed(
                f"stopped after {outcomes.done} of {outcomes.rows_in} rows: {error.what}",
                where=phase.name,
                fix=f"{error.fix or 'Correct it'} Then: enrich resume {job.run.run_id}",
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
    counts = outcomes.counts()
    _refuse_too_many_failures(job, counts, outcomes)
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
        log=tuple(outcomes.log),
    )
    return result.with_checks(run_checks(phase, result, settings))


async def _report(job: Job, meter: Meter, outcomes: Outcomes, stop: Stop) -> None:
    while True:
        await asyncio.sleep(1.0)
        reason = await asyncio.to_thread(job.should_stop)
        if reason:
            stop.ask(reason)
        await _tell(job, meter, outcomes)


async def _tell(job: Job, meter: Meter, outcomes: Outcomes) -> None:
    # A view for people; what matters is committed, or fails, elsewhere.
    with suppress(StorageError, LeaseLost):
        # In a thread: it writes to the ledger, and must not hold up the rows while another process does so too.
        await asyncio.to_thread(job.report, meter, outcomes.so_far())


def _input_rows(job: Job) -> Sequence[Row]:
    main = job.graph.main_input(job.phase)
    if main is None:
        return []
    given = job.inputs[main.name]
    if given.table is None:
        rows = (given.document or {}).get("rows", [])
        return list(rows)
    return _LazyRows(given.table)


class _LazyRows(Sequence[Row]):
    """Rows of a table, made into dicts a few hundred at a time, so that a large table is never held twice."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        return self._table.slice(index, 1).to_pylist()[0]

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches(max_chunksize=256):
            yield from batch.to_pylist()


def _sample(rows: Sequence[Row], job: Job, outcomes: Outcomes) -> Sequence[Row]:
    most = job.shared.sample
    if most is None or not job.phase.asks_a_model or len(rows) <= most:
        return rows
    left_out = Drop("beyond_sample", most, "the run looks at a sample")
    for index, row in enumerate(islice(rows, most, None), most):
        outcomes.take(row, left_out, index)
    return list(islice(rows, most))


def _run_table(job: Job, settings: Any, outcomes: Outcomes) -> Mapping[str, Any] | None:
    phase = job.phase
    arguments: dict[str, Any] = {}
    names = phase.parameters()
    main = job.graph.main_input(phase)
    rows: Any = None
    if main is not None and "registration" not in names:
        rows = job.inputs[main.name].content()
        arguments[names[0]] = rows
        outcomes.rows_in = len(rows) if isinstance(rows, list) else 0
    given = {
        "settings": settings,
        "run": job.run,
        "registration": job.registration,
        "history": {name: item.envelope for name, item in job.inputs.items()},
    }
    arguments |= {name: value for name, value in given.items() if name in names}
    for name in phase.also:
        owner, _, side = name.partition("/")
        arguments[side or owner] = job.sides[name].to_pylist() if side else job.inputs[owner].content()
    found = phase.function(**arguments)
    if phase.makes == "document":
        if not isinstance(found, Mapping):
            raise DeclarationError(f"must return a dict, not {type(found).__name__}", where=phase.name)
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            outcomes.keep(row, {}, index)
        return found
    if not isinstance(found, Selection):
        raise DeclarationError(f"must return a Selection, not {type(found).__name__}", where=phase.name)
    outcomes.take_selection(rows, found)
    return None


async def _run_rows(
    job: Job, settings: Any, clients: Clients, rows: Sequence[Row], outcomes: Outcomes, stop: Stop
) -> None:
    phase = job.phase
    extra = {}
    for name in phase.also:
        owner, _, side = name.partition("/")
        if (side or owner) in phase.parameters():
            extra[side or owner] = job.sides[name].to_pylist() if side else job.inputs[owner].content()

    async def work(unit: tuple[int, Row]) -> None:
        index, row = unit
        _begin(str(row["row_id"]), job)
        seen = {name: row.get(name) for name in ("row_id", *phase.reads)} if phase.reads else row
        with _row_boundary(row, index, outcomes):
            outcomes.take(row, await phase.function(seen, clients, settings, **extra), index)

    await gather_window(enumerate(rows), work, concurrency=job.shared.concurrency, stop=stop)


async def _run_ask(job: Job, settings: Any, asker: Asker, rows: Sequence[Row], outcomes: Outcomes, stop: Stop) -> None:
    phase = job.phase
    assert phase.answer is not None and phase.prompt is not None and phase.without_model is not None
    answer, model = phase.answer, str(settings.model)
    asker.uses(model)
    if model == EMBEDDED_MODEL:
        for index, row in enumerate(rows):
            with _row_boundary(row, index, outcomes):
                seen = _seen(phase, row)
                outcomes.take(row, phase.function(row, phase.without_model(seen, settings), settings), index)
            if index % 16 == 0:
                await asyncio.sleep(0)  # lets the progress be reported, and a signal be heard
                if stop:
                    return
        _select(phase, settings, outcomes)
        return
    template = load_prompt(phase.prompt)
    size = int(settings.batch) if phase.batched else 1

    async def ask_alone(index: int, row: Row) -> None:
        _begin(str(row["row_id"]), job)

        def prompt(note: str) -> Prompt:
            return template.render(row=_seen(phase, row), settings=settings, note=note)

        with _row_boundary(row, index, outcomes):
            decide = lambda found: phase.function(row, found, settings)  # noqa: E731
            outcomes.take(row, await asker.ask_until(prompt, answer, decide, model=model), index)

    async def work(unit: list[tuple[int, Row, Request | None]]) -> None:
        requests = [request for _, _, request in unit if request is not None]
        if len(unit) > 1:
            row_ids = [str(row["row_id"]) for _, row, _ in unit]
            _begin(row_ids[0], job)
            together = template.render_batch(rows=[_seen(phase, row) for _, row, _ in unit], settings=settings)
            try:
                await asker.ask_batch(together, requests, answer, model=model, row_ids=row_ids)
            except TransientError as error:
                for index, row, _ in unit:
                    with _row_boundary(row, index, outcomes):
                        raise error
                return
            await gather_window(unit, lambda one: ask_alone(one[0], one[1]), concurrency=len(unit))
        else:
            index, row, _ = unit[0]
            await ask_alone(index, row)

    def units() -> Iterator[list[tuple[int, Row, Request | None]]]:
        waiting: list[tuple[int, Row, Request | None]] = []
        # A quarter of each hash: two that look alike by chance only lead to a row that is asked alone.
        asked: set[int] = set()
        twins = array("q")
        for index, row in enumerate(rows):
            if size == 1:
                yield [(index, row, None)]
                continue
            request = asker.request(template.render(row=_seen(phase, row), settings=settings), answer, model=model)
            short = int(request.hash[:16], 16)
            if short in asked:
                twins.append(index)  # its twin travels already: it gets its answer from there
            elif asker.is_known(request):
                yield [(index, row, None)]
            else:
                asked.add(short)
                waiting.append((index, row, request))
                if len(waiting) == size:
                    yield waiting
                    waiting = []
        if waiting:
            yield waiting
        for index in twins:
            yield [(index, rows[index], None)]

    # Twice as many rows as slots: while answers are committed, the next requests are made already.
    await gather_window(units(), work, concurrency=2 * job.shared.concurrency, stop=stop)
    _select(phase, settings, outcomes)


def _begin(row_id: str, job: Job) -> None:
    current_row.set(row_id)
    row_deadline.set(asyncio.get_running_loop().time() + job.shared.row_seconds)


def _seen(phase: Phase, row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in ("row_id", *phase.reads)}


def _select(phase: Phase, settings: Any, outcomes: Outcomes) -> None:
    if phase.select is not None:
        outcomes.drop_later(phase.select(outcomes.kept_rows(), settings))


class _row_boundary:
    """Records what one row's work raised as that row's failure, and lets through what concerns every row."""

    def __init__(self, row: Row, index: int, outcomes: Outcomes) -> None:
        self._row, self._index, self._outcomes = row, index, outcomes

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> bool:
        if error is None:
            return False
        concerns_all = (EndpointError, StorageError, DeclarationError, LeaseLost, BudgetReached)
        if isinstance(error, concerns_all) or not isinstance(error, Exception):
            return False
        if isinstance(error, CallError):
            self._outcomes.waiting += isinstance(error, TransientError)
            self._outcomes.fail(self._row, error.kind, str(error), self._index)
        elif isinstance(error, EnrichError):
            self._outcomes.fail(self._row, type(error).__name__, str(error), self._index)
        else:
            self._outcomes.fail(self._row, f"defect: {type(error).__name__}", str(error), self._index)
        return True


def _refuse_too_many_failures(job: Job, counts: Counts, outcomes: Outcomes) -> None:
    if counts.rows_in and counts.failed / counts.rows_in > job.shared.max_failed_fraction:
        kinds = ", ".join(f"{n} × {kind}" for kind, n in sorted(counts.failed_by_kind.items()))
        raise PhaseFailed(
            f"{counts.failed} of {counts.rows_in} rows failed ({kinds}); the first: {outcomes.first_failure()}",
            where=job.phase.name,
            fix=f"Answers so far are kept. A cause outside: mend it, then enrich resume {job.run.run_id}. A cause in "
            f"settings, which never change: a new run, enrich run --like {job.run.run_id} --set key=value.",
        )
