"""`enrich check`: files against hashes, views against envelopes, and the installation against its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from enrich_assets.cli.output import clean, counted, say
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import StorageError

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph

WORKED_ON_SECONDS = 60.0
"""A run whose ledger heard from it within this time is being worked on; its views are left alone."""


def check(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", show_default=False, help="ID, title or 'latest'; without it all runs.")
    ] = "",
) -> None:
    """Check files against their hashes; repair the views.

    Views (manifest, latest, the list of runs, Dagster's partitions) are rebuilt from the files. Exit code 2 for damage.
    """
    from enrich_assets.cli.installation import installation_notes, installation_problems
    from enrich_assets.cli.run import import_quietly
    from enrich_assets.defs.home import enter_home

    enter_home(say)
    problems = list(installation_problems())
    notes = list(installation_notes())
    with open_place() as place:
        try:
            place.store.check_writable()
        except StorageError as error:
            problems.append(f"storage: {clean(error)}")
        chosen = [place.find_run(run_name)] if run_name else _all_runs(place)
        import_quietly()
        damage, repaired = _check_runs(place, chosen)
    for line in repaired:
        print(f"repaired  {line}")
    for line in notes:
        print(f"note      {line}")
    for line in [*problems, *damage]:
        print(f"PROBLEM   {line}")
    print(f"{counted(len(chosen), 'run')} checked: {counted(len(problems) + len(damage), 'problem')}, "
          f"{counted(len(repaired), 'view')} repaired.")
    if problems or damage:
        raise typer.Exit(2)


def _check_runs(place: Place, chosen: list[tuple[Graph, str]]) -> tuple[list[str], list[str]]:
    from enrich_assets.core.errors import ArtifactDamaged
    from enrich_assets.defs.instance import open_instance
    from enrich_assets.defs.launch import close_dead_launches
    from enrich_assets.defs.standing import envelopes_of
    from enrich_assets.defs.views import repair_latest, repair_run

    damage, repaired = [], []
    with open_instance() as instance:
        for graph, run_id in chosen:
            envelopes = envelopes_of(graph, run_id, place.store)
            broken = [(name, found) for name, found in envelopes.items() if isinstance(found, ArtifactDamaged)]
            damage += [f"{run_id} {name}: {clean(found)}" for name, found in broken]
            if broken:
                damage.append(f"{run_id}: enrich resume {run_id} makes {broken[0][0]} and what follows again.")
            closed = close_dead_launches(instance, run_id)
            if closed:
                repaired.append(f"{run_id}: {counted(len(closed), 'launch', 'launches')} of a dead process closed.")
            if not _is_worked_on(place, run_id):
                said = repair_run(graph, run_id, envelopes, store=place.store, ledger=place.ledger, instance=instance)
                repaired += [f"{run_id}: {line}" for line in said]
        for graph in {graph.name: graph for graph, _ in chosen}.values():
            repaired += repair_latest(graph, place.store)
    return damage, repaired


def _all_runs(place: Place) -> list[tuple[Graph, str]]:
    from enrich_assets.graphs.catalog import GRAPHS

    chosen = []
    for graph in GRAPHS.values():
        listed = {run["run_id"] for run in place.ledger.runs(graph.name)}
        chosen += [(graph, run_id) for run_id in sorted({*listed, *place.store.runs(graph.name)})]
    return chosen


def _is_worked_on(place: Place, run_id: str) -> bool:
    from enrich_assets.cli.progress import run_progress
    from enrich_assets.engine.ledger import utc_now

    recorded = place.ledger.phases(run_id)
    progress = run_progress(run_id, [str(row["phase"]) for row in recorded], recorded, now=utc_now())
    return any(p.status == "running" and p.silent_seconds < WORKED_ON_SECONDS for p in progress.phases)
