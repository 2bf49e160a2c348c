"""`enrich keep`: which runs stay, become an archive, or go; and bringing back, going back, pinning."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import DASH, clean, console, counted, plain_table, say, write_json
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from enrich_assets.defs.keeping import Keeper
    from enrich_assets.engine.graph import Graph
    from enrich_assets.store.retention import Decision

_WORDS = {"keep": "stays", "archive": "archive", "delete": "delete"}
_ROLLBACKS_SHOWN = 5


def keep(
    phase_name: Annotated[
        str, typer.Argument(metavar="[PHASE]", show_default=False, help="With --rollback: this phase alone.")
    ] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do what is shown without it.")] = False,
    restore: Annotated[
        str, typer.Option(metavar="RUN", show_default=False, help="Bring an archived run's folder back, and pin it.")
    ] = "",
    rollback: Annotated[
        str,
        typer.Option(
            metavar="RUN", show_default=False, help="Make RUN the latest, or an earlier version of PHASE current."
        ),
    ] = "",
    version: Annotated[
        str, typer.Option(metavar="ID", show_default=False, help="With --rollback RUN PHASE: this artifact.")
    ] = "",
    pin: Annotated[str, typer.Option(metavar="RUN", show_default=False, help="Let RUN stay, whatever its age.")] = "",
    unpin: Annotated[str, typer.Option(metavar="RUN", show_default=False, help="Let it grow old again.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="What is shown, as JSON.")] = False,
) -> None:
    """Show which runs stay, become an archive, or go; --apply does it.

    The last 10 complete runs stay, runs 11 to 100 become archives, which read like any run; older ones go after 90
    days, incomplete ones after 30. Pinned runs, runs that others lean on and runs in use stay.
    """
    chosen = [given for given in (apply, restore, rollback, pin, unpin) if given]
    if len(chosen) > 1 or (phase_name and not rollback) or (version and not phase_name) or (as_json and chosen):
        raise UserError(
            "it is not clear what to do.",
            fix="One of: enrich keep, --apply, --json, --restore RUN, --rollback RUN [PHASE], --pin RUN, --unpin RUN.",
        )
    if restore:
        _restore(restore)
    elif rollback:
        _roll_back(rollback, phase_name, version)
    elif pin or unpin:
        _pin(pin or unpin, wanted=bool(pin))
    else:
        _show(is_applied=apply, as_json=as_json)


def _show(*, is_applied: bool, as_json: bool) -> None:
    from enrich_assets.graphs.finding import refuse_unlisted
    from enrich_assets.store.retention import Limits

    limits = Limits.from_environment(os.environ)
    with open_place(to_execute=is_applied, needs_room=False) as place, _keeper(place) as keeper:
        # Without its ledger nobody can tell who works on a run, and since when none did.
        refuse_unlisted(place.store, place.ledger)
        if not is_applied:
            decisions = keeper.plan(limits)
            if as_json:
                write_json(_for_json(decisions))
            else:
                _print_plan(keeper, decisions)
            return
        done = keeper.apply(limits, print)
    print(
        f"{counted(len(done.archived), 'run')} archived, {counted(len(done.deleted), 'run')} deleted, "
        f"{counted(done.pages, 'stored page')} removed."
    )
    for failure in done.failures:
        say(f"not done: {failure}")
    if done.failures:
        raise typer.Exit(1)


def _restore(reference: str) -> None:
    with open_place(to_execute=True) as place, _keeper(place) as keeper:
        graph, run_id = place.find_run(reference)
        files = keeper.restore(graph, run_id)
        print(f"Run {run_id} is back with {counted(files, 'file')}, and pinned.")
        print(f"next    enrich keep --unpin {run_id}   (lets it be archived again)")


def _pin(reference: str, *, wanted: bool) -> None:
    with open_place(to_execute=True) as place, _keeper(place) as keeper:
        graph, run_id = place.find_run(reference)
        is_changed = keeper.pin(graph, run_id, wanted=wanted)
    state = "pinned" if wanted else "not pinned"
    print(f"Run {run_id} is {state}." if is_changed else f"Run {run_id} was {state} already.")


def _roll_back(reference: str, phase_name: str, version: str) -> None:
    with open_place(to_execute=True) as place, _keeper(place) as keeper:
        graph, run_id = place.find_run(reference)
        if not phase_name:
            before = keeper.go_back(graph, run_id)
            _tell_dagster(keeper, graph, run_id, f"{run_id} was made the latest run; before it was {before or 'none'}.")
            print(
                f"latest is {run_id} now; it was {before or 'none'}. A run that starts later and completes takes over."
            )
            return
        from enrich_assets.defs.standing import envelopes_of, where_it_stands
        from enrich_assets.defs.views import repair_run

        phase = graph.phase(phase_name)
        old, now = keeper.roll_back(graph, run_id, phase.name, version)
        envelopes = envelopes_of(graph, run_id, place.store, every_file=False)
        repair_run(graph, run_id, envelopes, store=place.store, ledger=place.ledger, instance=keeper.instance)
        told = f"{phase.name} of {run_id} is the version {now.artifact_id} again; before it was {old.artifact_id}."
        _tell_dagster(keeper, graph, run_id, told, phase=phase.name, version=now.data_sha256)
        print(told)
        standings = where_it_stands(graph, run_id, place.store, place.ledger, every_file=False)
        outdated = [one for one in standings if one.state == "outdated"]
        for one in outdated:
            place.ledger.phase_progress(run_id, one.phase.name, status="outdated")
        if outdated:
            print(f"outdated now: {', '.join(one.phase.name for one in outdated)}")
            print(f"next    enrich resume {run_id}   (makes {outdated[0].phase.name} and what follows again)")


def _tell_dagster(keeper: Keeper, graph: Graph, run_id: str, text: str, *, phase: str = "", version: str = "") -> None:
    """Notes in the asset's history, where people look, that somebody went back."""
    import dagster as dg

    from enrich_assets.defs.build import asset_key

    asset = asset_key(graph, graph.phase(phase) if phase else graph.last)
    told = {"rollback": dg.MetadataValue.text(text)}
    event: dg.AssetMaterialization | dg.AssetObservation
    if phase:
        tags = {"dagster/data_version": version}
        event = dg.AssetMaterialization(asset, description=text, metadata=told, partition=run_id, tags=tags)
    else:
        event = dg.AssetObservation(asset, description=text, metadata=told, partition=run_id)
    keeper.instance.report_runless_asset_event(event)


@contextmanager
def _keeper(place: Place) -> Iterator[Keeper]:
    from enrich_assets.cli.run import import_quietly

    import_quietly()
    from enrich_assets.defs.instance import open_instance
    from enrich_assets.defs.keeping import Keeper
    from enrich_assets.engine.ledger import utc_now
    from enrich_assets.graphs.catalog import GRAPHS

    with open_instance() as instance:
        yield Keeper(GRAPHS, place.store, place.ledger, instance, utc_now)


def _print_plan(keeper: Keeper, decisions: Sequence[Decision]) -> None:
    if not decisions:
        print("There is no run yet. Start one: enrich demo")
        return
    out = console()
    table = plain_table("run", "series", "state", "what", "why")
    table.columns[0].no_wrap = True
    for decision in decisions:
        run = decision.run
        table.add_row(
            run.run_id, clean(run.series) or DASH, _state(decision), _WORDS[decision.action], clean(decision.why)
        )
    out.print(table)
    counts = Counter(decision.action for decision in decisions)
    out.print(
        f"{counted(counts['keep'], 'run')} would stay; to be archived: {counts['archive']}; to be deleted: "
        f"{counts['delete']}."
    )
    for line in _went_back(keeper):
        out.print(line)
    if counts["archive"] or counts["delete"]:
        out.print("next    enrich keep --apply")


def _went_back(keeper: Keeper) -> list[str]:
    from enrich_assets.store.kept import read_kept

    lines = []
    for graph in keeper.graphs:
        for entry in read_kept(keeper.store.root, graph).rollbacks[-_ROLLBACKS_SHOWN:]:
            if entry.get("phase"):
                what = f"{entry['phase']} of {entry['run_id']} went back from {entry['before']} to {entry['after']}"
            else:
                what = f"latest went from {entry['before'] or 'none'} to {entry['after']}"
            lines.append(clean(f"{entry['at']} {what}"))
    return lines


def _state(decision: Decision) -> str:
    state = "complete" if decision.run.is_complete else "incomplete"
    return f"{state}, archived" if decision.run.is_archived else state


def _for_json(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": decision.run.run_id,
            "graph": decision.run.graph,
            "series": decision.run.series,
            "action": decision.action,
            "why": decision.why,
            "is_complete": decision.run.is_complete,
            "is_archived": decision.run.is_archived,
            "is_pinned": decision.run.is_pinned,
            "last_active": decision.run.last_active,
            "foreign": list(decision.run.foreign),
        }
        for decision in decisions
    ]
