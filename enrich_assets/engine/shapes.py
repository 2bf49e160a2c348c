"""The three shapes of a phase at work: a question about each row, anything about each row, the whole table at once.

Every input row ends in the outcomes as kept, dropped or failed. How a run of a phase begins and ends belongs to
`engine.runner`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from enrich_assets.core.errors import (
    BudgetReached,
    CallError,
    DeclarationError,
    EndpointError,
    EnrichError,
    StorageError,
    TransientError,
    defect_error,
    is_own_defect,
)
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.clients import Clients, Prompt
from enrich_assets.engine.deadlines import RowTime, row_time
from enrich_assets.engine.job import Job
from enrich_assets.engine.leases import LeaseLost
from enrich_assets.engine.outcomes import Outcomes
from enrich_assets.engine.phase import Drop, Phase, Row, Selection
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.engine.requests import Request
from enrich_assets.engine.sending import current_row
from enrich_assets.engine.stopping import Stop
from enrich_assets.engine.window import gather_window

EMBEDDED_MODEL = "extractive"


def input_rows(job: Job) -> Sequence[Row]:
    """The rows that come into the phase."""
    main = job.graph.main_input(job.phase)
    if main is None:
        return []
    given = job.inputs[main.name]
    if given.table is None:
        return list((given.document or {}).get("rows", []))
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


def sample(rows: Sequence[Row], job: Job, outcomes: Outcomes) -> Sequence[Row]:
    """The rows that the phase looks at; the outcomes record those beyond the run's sample as dropped."""
    most = job.shared.sample
    if most is None or not job.phase.asks_a_model or len(rows) <= most:
        return rows
    left_out = Drop("beyond_sample", most, "the run looks at a sample")
    for index, row in enumerate(islice(rows, most, None), most):
        outcomes.take(row, left_out, index)
    return list(islice(rows, most))


def run_table(job: Job, settings: Any, outcomes: Outcomes) -> Mapping[str, Any] | None:
    """Runs a phase over its whole table at once; the document that it makes, None where it makes a table.

    Raises DeclarationError when the phase does not return what it declares.
    """
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
    found = phase.function(**(arguments | _also_read(job)))
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


async def run_rows(
    job: Job, settings: Any, clients: Clients, rows: Sequence[Row], outcomes: Outcomes, stop: Stop
) -> None:
    """Runs a phase that does anything about each row, `concurrency` rows at a time, until all are done or `stop`."""
    phase, also = job.phase, _also_read(job)

    async def work(unit: tuple[int, Row]) -> None:
        index, row = unit
        _begin(str(row["row_id"]), job)
        seen = _seen(phase, row) if phase.reads else row
        with _row_boundary(row, index, outcomes):
            outcomes.take(row, await phase.function(seen, clients, settings, **also), index)

    await gather_window(enumerate(rows), work, concurrency=job.shared.concurrency, stop=stop)


async def run_ask(job: Job, settings: Any, asker: Asker, rows: Sequence[Row], outcomes: Outcomes, stop: Stop) -> None:
    """Runs a phase that asks a model a question about each row, several rows a request where it is batched, until all
    are done or `stop`."""
    phase = job.phase
    assert phase.prompt is not None and phase.without_model is not None
    model = str(settings.model)
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
    template, answer = load_prompt(phase.prompt), phase.answer_for(settings)
    size = int(settings.batch) if phase.batched else 1

    async def ask_alone(index: int, row: Row) -> None:
        _begin(str(row["row_id"]), job)

        def prompt(note: str) -> Prompt:
            return template.render(row=_seen(phase, row), settings=settings, note=note)

        with _row_boundary(row, index, outcomes):
            decide = lambda found: phase.function(row, found, settings)  # noqa: E731
            outcomes.take(row, await asker.ask_until(prompt, answer, decide, model=model), index)

    async def ask_together(unit: list[tuple[int, Row, Request | None]]) -> None:
        while len(unit) > 1:
            requests = [request for _, _, request in unit if request is not None]
            row_ids = [str(row["row_id"]) for _, row, _ in unit]
            _begin(row_ids[0], job)
            together = template.render_batch(rows=[_seen(phase, row) for _, row, _ in unit], settings=settings)
            if await asker.ask_batch(together, requests, answer, model=model, row_ids=row_ids):
                return
            # Another process was answered for some of them: the others travel without those.
            unit = [one for one in unit if one[2] is not None and not asker.is_known(one[2], str(one[1]["row_id"]))]

    async def work(unit: list[tuple[int, Row, Request | None]]) -> None:
        if len(unit) > 1:
            try:
                await ask_together(unit)
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
            elif asker.is_known(request, str(row["row_id"])):
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


def _also_read(job: Job) -> dict[str, Any]:
    """What the phase names in `also`, as arguments of its function."""
    found: dict[str, Any] = {}
    for name in job.phase.also:
        owner, _, side = name.partition("/")
        if (side or owner) in job.phase.parameters():
            found[side or owner] = job.sides[name].to_pylist() if side else job.inputs[owner].content()
    return found


def _begin(row_id: str, job: Job) -> None:
    current_row.set(row_id)
    row_time.set(RowTime(job.shared.row_seconds))


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
        if is_own_defect(error):
            raise defect_error(error) from error
        if isinstance(error, CallError):
            self._outcomes.waiting += isinstance(error, TransientError)
            self._outcomes.fail(self._row, error.kind, str(error), self._index)
        elif isinstance(error, EnrichError):
            self._outcomes.fail(self._row, type(error).__name__, str(error), self._index)
        else:
            self._outcomes.fail(self._row, f"defect: {type(error).__name__}", str(error), self._index)
        return True
