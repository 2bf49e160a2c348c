"""Executing phases of a run and saying how it ended. Which phases, and of which run, the commands decide.

This module imports dagster; commands import it when they execute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import typer

from enrich_assets.cli.estimate import off_line
from enrich_assets.cli.following import followed
from enrich_assets.cli.output import clean, console, counted, money, say
from enrich_assets.cli.place import Place
from enrich_assets.cli.progress import launch_line, sure_of_cost
from enrich_assets.cli.show import page_first
from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import UserError
from enrich_assets.defs.budgets import check_budget
from enrich_assets.defs.ended import stands_out
from enrich_assets.defs.estimating import how_far_off
from enrich_assets.defs.launch import Launched, close_dead_launches, execute
from enrich_assets.defs.registered import registration_of
from enrich_assets.defs.runs import check_models
from enrich_assets.defs.standing import envelopes_of, where_it_stands
from enrich_assets.defs.submitting import submit
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.leases import LeaseTaken
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.resume import Standing, first_open
from enrich_assets.engine.run_progress import read_progress
from enrich_assets.engine.spending import Spent

_UNUSABLE = ("missing", "damaged", "blocked")


def check_ready(
    place: Place, graph: Graph, run_id: str, phases: Sequence[Phase], standings: Sequence[Standing]
) -> None:
    """Raises UserError when a phase that these are made from cannot be used, or a model lacks its key."""
    executed = {phase.name for phase in phases}
    needed = {name for phase in phases for name in graph.inputs(phase)} - executed
    unusable = [one for one in standings if one.state in _UNUSABLE]
    if any(one.phase.name in needed for one in unusable):
        # The first of all, not only of the inputs: begun at a later one, it would be refused again.
        first = unusable[0]
        raise UserError(
            f"{phases[0].name} cannot run: {first.phase.name} before it is {first.state} ({clean(first.why)}).",
            where=f"run {run_id}",
            fix=f"Go on from there: enrich run {run_id} --from {first.phase.name}, or enrich resume {run_id}.",
        )
    resolved = registration_of(graph, run_id, place.store, place.ledger, say)["settings"]
    check_models(graph, resolved)
    check_budget(graph, run_id, resolved, place.ledger)


def phases_with_failed_rows(place: Place, graph: Graph, run_id: str) -> dict[str, frozenset[str] | None]:
    """The rows that failed in each phase of a run, in order, whether it published anything or not; None: all rows,
    because what failed are not the phase's own rows but some that it would have made of them."""
    failures = place.ledger.failures(run_id)
    found = envelopes_of(graph, run_id, place.store, every_file=False)
    failed: dict[str, frozenset[str] | None] = {}
    for phase in graph.phases:
        envelope = found[phase.name]
        if phase.name in failures:
            rows: Sequence[Mapping[str, Any]] = failures[phase.name]
        elif isinstance(envelope, Envelope) and envelope.counts.failed:
            rows = place.store.side(graph.name, run_id, phase.name, "failed").to_pylist()
        else:
            continue
        failed[phase.name] = None if phase.creates else frozenset(str(row["row_id"]) for row in rows)
    return failed


def execute_and_tell(
    place: Place, graph: Graph, run_id: str, phases: Sequence[Phase], instance: dg.DagsterInstance
) -> None:
    """Executes the phases with visible progress and says how it ended; raises typer.Exit(1) when it failed."""
    place.ledger.refuse_if_worked_on(run_id)  # before a launch is recorded that could only fail
    # Whoever let a lease run out has lost the phases of this run to this process.
    close_dead_launches(instance, run_id, ledger=place.ledger, silent_seconds=0.0)
    storage = str(place.store.root)
    (before,) = place.ledger.totals([f"run/{run_id}"])
    try:
        with followed(graph, run_id, phases, place.ledger, storage=storage):
            launched = execute(graph, run_id, phases, instance=instance)
    except KeyboardInterrupt:
        _close_view(place, graph, run_id)
        say("")
        is_paused = any(row["status"] == "paused" for row in place.ledger.phases(run_id))
        how = "Paused" if is_paused else "Stopped"
        say(f"{how}. Finished phases and committed answers are kept. Go on with: enrich resume {run_id}")
        raise
    standings = where_it_stands(graph, run_id, place.store, place.ledger)
    _mark_outdated(place, run_id, standings)
    if not launched.succeeded:
        _tell_failure(launched, standings)
        raise typer.Exit(1)
    unusable = next((one for one in standings if one.phase in phases and one.state in _UNUSABLE), None)
    if unusable is not None:
        say(f"✗ {unusable.phase.name} is {unusable.state}: {clean(unusable.why)}")
        say(f"  go on with: enrich resume {run_id}")
        raise typer.Exit(1)
    _tell_end(place, graph, run_id, phases, standings, before)


def submit_and_tell(place: Place, graph: Graph, run_id: str, phases: Sequence[Phase]) -> None:
    """Launches the phases through the webserver and says where they can be watched."""
    page = submit(graph, run_id, phases, place.ledger)
    console().print(f"launched {page}\nnext    enrich watch {run_id}", soft_wrap=True)


def report_paths(place: Place, graph: Graph, run_id: str) -> list[str]:
    """The files of a run's report, the page first."""
    files = place.store.envelope(graph.name, run_id, graph.last.name).files
    found = sorted((name for name in files if name.startswith("reports/")), key=page_first)
    folder = place.store.run_folder(graph.name, run_id)
    return [str(folder.file(name)) for name in found]


def _tell_end(
    place: Place,
    graph: Graph,
    run_id: str,
    phases: Sequence[Phase],
    standings: Sequence[Standing],
    before: Spent,
) -> None:
    out = console()
    progress = read_progress(place.ledger, run_id, graph.names)
    out.print()
    for note in stands_out(graph, run_id, place.store):
        out.print(f"! {clean(note)}", style="yellow", soft_wrap=True)
    out.print(f"run {run_id}, cost {money(progress.cost)}")
    for note in sure_of_cost(progress.unsettled):
        out.print(note)
    executed = {phase.name for phase in phases}
    reused = sum(phase.reused or 0 for phase in progress.phases if phase.name in executed)
    (after,) = place.ledger.totals([f"run/{run_id}"])
    if line := launch_line(before, after, reused):
        out.print(line, soft_wrap=True)
    if progress.state == "complete" and (line := off_line(how_far_off(graph, run_id, place.store, place.ledger))):
        out.print(line, soft_wrap=True)
    if graph.last in phases:
        first, *others = report_paths(place, graph, run_id)
        out.print(f"report  {first}", soft_wrap=True)
        if others:
            beside = ", ".join(path.rpartition("/")[2] for path in others)
            out.print(f"        beside it: {beside}", soft_wrap=True)
    left = first_open(list(standings))
    if left is None:
        out.print(f"next    enrich show {run_id}")
    else:
        out.print(
            f"next    enrich resume {run_id}   ({left.phase.name} is {left.state}: {clean(left.why)})",
            soft_wrap=True,
        )


def _tell_failure(launched: Launched, standings: Sequence[Standing]) -> None:
    name, sentence = launched.failed_phase, launched.failure
    blocked = next((one for one in standings if one.state == "blocked"), None)
    if blocked is not None and not name:
        name, sentence = blocked.phase.name, f"a blocking check failed: {blocked.why}"
    kept = [one.phase.name for one in standings if one.state in ("done", "waiting")]
    say("")
    say(f"✗ {name or 'the launch'} failed")
    for line in sentence.splitlines() or [sentence]:
        say(f"  {line}")
    say(f"  kept: {counted(len(kept), 'finished phase')} ({', '.join(kept) or 'none'}) and every committed answer")
    if f"enrich resume {launched.run_id}" not in sentence:
        say(f"  go on with: enrich resume {launched.run_id}")


def _mark_outdated(place: Place, run_id: str, standings: Sequence[Standing]) -> None:
    for one in standings:
        if one.state == "outdated":
            place.ledger.phase_progress(run_id, one.phase.name, status="outdated")


def _close_view(place: Place, graph: Graph, run_id: str) -> None:
    try:
        place.ledger.refuse_if_worked_on(run_id)
    except LeaseTaken:
        return  # another process took over while this one slept: the view is its own
    recorded: list[dict[str, Any]] = place.ledger.phases(run_id)
    for row in recorded:
        if row["status"] == "running":
            place.ledger.phase_ended(run_id, str(row["phase"]), "stopped", message="interrupted")
