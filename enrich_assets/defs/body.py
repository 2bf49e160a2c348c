"""The body of every asset: gathers what a phase needs, runs it, and hands over its result with metadata.

Belongs here: what happens between Dagster's context and the engine. How declarations become assets belongs to
`defs.build`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from enrich_assets.core.errors import DeclarationError, EnrichError, RunIdError, Stopped, UserError
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.defs.findings import findings_check
from enrich_assets.defs.holding import held_until_published
from enrich_assets.defs.io_managers import HOW_TO_DELETE, published_input
from enrich_assets.defs.launchpad import wanted_of
from enrich_assets.defs.metadata import materialization_metadata
from enrich_assets.defs.observing import Observer
from enrich_assets.defs.processes import note_process
from enrich_assets.defs.registered import registration_of
from enrich_assets.defs.resources import LEDGER, MODELS, STORE, WEB
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.job import Input, Job
from enrich_assets.engine.leases import Lease
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.registration import run_info
from enrich_assets.engine.runner import run_phase
from enrich_assets.engine.stopping import stopped
from enrich_assets.reports.published import reports_of
from enrich_assets.stats.describing import described, with_figures
from enrich_assets.stats.memory import peak_memory_bytes
from enrich_assets.store.artifacts import plain_document, volatile_keys
from enrich_assets.store.content import data_sha256, document_sha256
from enrich_assets.store.store import Store


def run_asset(context: dg.AssetExecutionContext, graph: Graph, phase: Phase, loaded: Mapping[str, Input]) -> Any:
    """Runs a phase of the context's partition; raises dg.Failure that says what happened and how to go on."""
    note_process(context)
    try:
        run_id = _one_run(context.partition_keys)
        store: Store = getattr(context.resources, STORE).open()
        store.check_writable()
        with (
            getattr(context.resources, LEDGER).open(str(store.root)) as ledger,
            held_until_published(ledger, run_id, phase.name) as lease,
        ):
            store.refuse_archived(graph.name, run_id)
            inputs = _inputs(store, graph, phase, run_id, loaded)
            observer = Observer(context, ledger, run_id, phase.name)
            try:
                result = _run(context, graph, phase, run_id, inputs, store, ledger, lease, observer)
            except Stopped:
                raise
            except EnrichError as error:
                raise observer.failure(error) from error
            except Exception as error:  # the boundary of the phase's own code: a defect is told like any failure
                raise observer.failure(_defect(error, phase, run_id)) from error
    except Stopped as error:
        context.log.info(str(error))
        # Said first, so that the launch ends as CANCELED and not as failed.
        context.instance.report_run_canceling(context.run)
        raise dg.DagsterExecutionInterruptedError from error
    except EnrichError as error:
        # Not retried by Dagster: what could be retried was retried row by row, inside.
        raise dg.Failure(description=str(error), allow_retries=False) from error
    base = f"{store.root}/{graph.name}/{run_id}"
    suffix = "json" if phase.makes == "document" else "parquet"
    return dg.MaterializeResult(
        value=result,
        metadata=materialization_metadata(result, path=f"{base}/{phase.name}.{suffix}", folder=base),
        data_version=dg.DataVersion(_data_version(result)),
        check_results=[
            dg.AssetCheckResult(
                check_name=check.name,
                passed=check.passed,
                description=check.message or None,
                severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
                metadata=dict(check.metadata),
            )
            for check in result.checks
        ]
        + findings_check(graph, phase, result, store, inputs),
    )


def _run(
    context: dg.AssetExecutionContext,
    graph: Graph,
    phase: Phase,
    run_id: str,
    inputs: Mapping[str, Input],
    store: Store,
    ledger: Ledger,
    lease: Lease,
    observer: Observer,
) -> PhaseResult:
    if phase is graph.first:
        wanted = wanted_of(context.op_execution_context.op_config)
        registered = registration_of(
            graph, run_id, store, ledger, context.log.info, wanted=wanted, tags=context.run.tags
        )
    else:
        registered = dict(inputs[graph.first.name].document or {})
    resolved = registered["settings"]
    ledger.phase_started(run_id, phase.name, graph.number(phase), None)
    models, web = getattr(context.resources, MODELS), getattr(context.resources, WEB)
    job = Job(
        graph=graph,
        phase=phase,
        run=run_info(graph, run_id, registered),
        resolved=resolved,
        inputs=inputs,
        ledger=ledger,
        transport=models.transport(resolved),
        open_clients=web.clients(graph, resolved, inputs, store),
        sides=_sides(store, graph, run_id, phase),
        registration=registered,
        report=observer.report,
        should_stop=lambda: "another process took over" if lease.is_lost else observer.wish_to_stop(),
    )
    try:
        # Before anything is paid: a phase of plain rules, or one that is done within a second, hears no wish.
        if reason := observer.wish_to_stop():
            raise stopped(phase.name, "before it began", reason, run_id)
        peak_before = peak_memory_bytes()
        main = graph.main_input(phase)
        result = described(
            graph, phase, run_phase(job), None if main is None else inputs[main.name].table, peak_before=peak_before
        )
        result = with_figures(
            phase,
            result,
            settings=graph.settings_of(phase, resolved),
            history={name: given.envelope for name, given in inputs.items()},
            warn=context.log.warning,
        )
        reports = reports_of(store, graph, result) if phase is graph.last else {}
    except BaseException as error:
        observer.ended(error)
        raise
    return result.with_reports(reports)


def _defect(error: Exception, phase: Phase, run_id: str) -> EnrichError:
    what = next(iter(str(error).strip().splitlines()), "").rstrip(".")
    return DeclarationError(
        f"{type(error).__name__}{f': {what}' if what else ''}.",
        where=phase.name,
        fix=f"That is a defect of {phase.module}: mend it, then enrich resume {run_id}.",
    )


def _one_run(keys: Sequence[str]) -> str:
    if len(keys) != 1:
        raise UserError(
            f"{len(keys)} runs were launched as one, {keys[0]} to {keys[-1]}.",
            fix="Launch each run by itself: in a backfill, one launch per partition.",
        )
    try:
        return valid_run_id(keys[0])
    except RunIdError as error:
        error.fix += f" {HOW_TO_DELETE}"
        raise


def _inputs(store: Store, graph: Graph, phase: Phase, run_id: str, loaded: Mapping[str, Input]) -> dict[str, Input]:
    """The phase's inputs by name: those that Dagster loaded, and the others out of the store through the same check."""
    whole = {graph.first.name, *phase.also}
    return {
        name: loaded.get(name)
        or published_input(store, graph.name, run_id, name, graph.names[:number], record_only=name not in whole)
        for number, name in enumerate(graph.names, 1)
        if name in graph.inputs(phase)
    }


def _sides(store: Store, graph: Graph, run_id: str, phase: Phase) -> dict[str, Any]:
    sides = {}
    for name in phase.also:
        owner, _, side = name.partition("/")
        if side:
            sides[name] = store.side(graph.name, run_id, owner, side)
    return sides


def _data_version(result: PhaseResult) -> str:
    if result.table is not None:
        return data_sha256(result.table, result.volatile)
    document = plain_document(result.document or {})
    return document_sha256(document, volatile_keys(document))
