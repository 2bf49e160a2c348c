"""`enrich check`: files against hashes, views against envelopes, and the installation against its lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from enrich_assets.cli.output import clean, counted, say
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import ArtifactDamaged, EnrichError, StorageError, UserError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from enrich_assets.engine.graph import Graph

WORKED_ON_SECONDS = 60.0
"""A run whose ledger heard from it within this time is being worked on; its views are left alone."""


_PAGES_NAMED = 5


def check(
    run_name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES'; without it all runs."
        ),
    ] = "",
    numbers: Annotated[bool, typer.Option("--numbers", help="Recompute the numbers of RUN's reports.")] = False,
) -> None:
    """Check files against their hashes; repair the views.

    Without RUN also stored pages, the records of how they came, and the texts that were extracted from them.
    Views (manifest, latest, the list of runs, Dagster's partitions) are rebuilt from the files. Exit code 2 for damage,
    1 where a number of a report is not what the artifacts say.
    """
    if numbers:
        _check_numbers(run_name)
        return
    from enrich_assets.cli.installation import installation_notes, installation_problems
    from enrich_assets.cli.run import import_quietly
    from enrich_assets.defs.home import enter_home

    enter_home(say)
    problems = list(installation_problems())
    notes = list(installation_notes())
    with open_place() as place:
        problems += _storage_problems(place)
        chosen = [place.find_run(run_name)] if run_name else _all_runs(place)
        import_quietly()
        damage, repaired = _check_runs(place, chosen)
        if run_name:
            notes.append("stored pages, their records and texts belong to no run: enrich check looks at them.")
        else:
            damage += _page_problems(place)
    for line in repaired:
        print(f"repaired  {line}")
    for line in notes:
        print(f"note      {line}")
    for line in [*problems, *damage]:
        print(f"PROBLEM   {line}")
    print(
        f"{counted(len(chosen), 'run')} checked: {counted(len(problems) + len(damage), 'problem')}, "
        f"{counted(len(repaired), 'view')} repaired."
    )
    if problems or damage:
        raise typer.Exit(2)


def _check_numbers(run_name: str) -> None:
    """Recomputes the numbers of a run's reports from its artifacts, and names each that disagrees."""
    if not run_name:
        raise UserError("--numbers needs a RUN.", fix="enrich check latest --numbers")
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        from enrich_assets.reading import Run
        from enrich_assets.reports.checking import check_numbers

        found = check_numbers(Run(place.store, graph, run_id))
    for line in found.disagree:
        print(f"DISAGREES  {clean(line)}")
    print(
        f"{counted(found.numbers, 'number')} recomputed, shown in {counted(found.shown, 'place')}: "
        f"{len(found.disagree)} disagree."
    )
    if found.disagree:
        raise typer.Exit(1)


def _storage_problems(place: Place) -> list[str]:
    found = []
    try:
        place.store.check_writable()
    except StorageError as error:
        found.append(f"storage: {clean(error)}")
    spoilt = [problem.rstrip(".") for problem in place.ledger.problems()]
    if spoilt:
        more = f" (and {len(spoilt) - 1} more)" if len(spoilt) > 1 else ""
        found.append(
            f"ledger: its database is damaged: {clean(spoilt[0])}{more}. Put a copy of it back; or move the file and "
            "its -wal and -shm away, then enrich check lists the runs again and only the stored answers are lost."
        )
    return found


def _page_problems(place: Place) -> list[str]:
    """Damage of stored pages, of the records of how they came, and of what was extracted from them."""
    from enrich_assets.web.page_store import PageStore
    from enrich_assets.web.text_store import TextStore

    root = place.store.root
    looked_at: list[tuple[str, str, Iterator[str]]] = [
        ("page", "fetched again when needed", PageStore(root).damaged()),
        ("text", "extracted again when needed", TextStore(root).damaged()),
    ]
    lines: list[str] = []
    for what, then, damaged in looked_at:
        try:
            spoilt = list(damaged)
        except EnrichError as error:
            lines.append(f"{what}s: {clean(error)}")
            continue
        lines += [
            f"{what}: {clean(path)} is damaged. Delete it; {_then(path, then)}." for path in spoilt[:_PAGES_NAMED]
        ]
        if len(spoilt) > _PAGES_NAMED:
            left = counted(len(spoilt) - _PAGES_NAMED, f"more stored {what}")
            lines.append(f"{what}: {left} damaged, to be deleted likewise.")
    return lines


def _then(path: str, then: str) -> str:
    return "the ledger says the same as this record of a fetch" if path.endswith(".json") else f"it is {then}"


def _check_runs(place: Place, chosen: list[tuple[Graph, str]]) -> tuple[list[str], list[str]]:
    from enrich_assets.defs.views import repair_latest

    damage: list[str] = []
    repaired: list[str] = []
    with ExitStack() as opened:
        instance = _instance(opened, damage)
        for graph, run_id in chosen:
            # One run that cannot be read must not hide what is wrong with the others.
            try:
                _check_run(place, graph, run_id, instance, damage, repaired)
            except EnrichError as error:
                damage.append(f"{run_id}: {clean(error)}")
        for graph in {graph.name: graph for graph, _ in chosen}.values():
            try:
                repaired += repair_latest(graph, place.store)
            except EnrichError as error:
                damage.append(f"latest of {graph.name}: {clean(error)}")
    return damage, repaired


def _check_run(
    place: Place,
    graph: Graph,
    run_id: str,
    instance: DagsterInstance | None,
    damage: list[str],
    repaired: list[str],
) -> None:
    from enrich_assets.defs.launch import close_dead_launches
    from enrich_assets.defs.standing import envelopes_of, lost_artifacts
    from enrich_assets.defs.views import repair_run
    from enrich_assets.store.archive import ArchivedRun

    folder = place.store.run_folder(graph.name, run_id)
    if isinstance(folder, ArchivedRun):
        folder.check()  # one file, so one sentence says what is wrong with it
    envelopes = envelopes_of(graph, run_id, place.store)
    lost = lost_artifacts(graph, run_id, envelopes, place.store, place.ledger)
    broken = {name: clean(found) for name, found in envelopes.items() if isinstance(found, ArtifactDamaged)}
    broken |= {name: f"{what}." for name, what in lost.items()}
    named = [name for name in graph.names if name in broken]
    damage += [f"{run_id} {name}: {broken[name]}" for name in named]
    if named and not folder.is_archived:
        damage.append(f"{run_id}: enrich resume {run_id} makes {named[0]} and what follows again.")
    if instance is not None:
        closed = close_dead_launches(instance, run_id, ledger=place.ledger)
        if closed:
            repaired.append(f"{run_id}: {counted(len(closed), 'launch', 'launches')} of a dead process closed.")
    if not _is_worked_on(place, run_id):
        said = repair_run(
            graph, run_id, envelopes, store=place.store, ledger=place.ledger, lost=lost, instance=instance
        )
        repaired += [f"{run_id}: {line}" for line in said]


def _instance(opened: ExitStack, damage: list[str]) -> DagsterInstance | None:
    """The Dagster instance; None where it cannot be used, which is said: artifacts are checked all the same."""
    from enrich_assets.defs.instance import damaged_databases, database_error, open_instance

    try:
        spoilt = damaged_databases()
        if spoilt:
            raise database_error(spoilt)
        return opened.enter_context(open_instance())
    except UserError as error:
        damage.append(f"Dagster: {clean(error)}")
        return None


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
