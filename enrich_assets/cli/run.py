"""`enrich demo`, `enrich run` and `enrich resume`: beginning a run and executing its phases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import clean, counted, say, sentence
from enrich_assets.cli.place import DEFAULT_GRAPH, Place, open_place
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.engine.graph import Graph


def demo() -> None:
    """Run everything on a small demo site. Needs no key, no server, no internet."""
    _new_run(preset="demo")


def run(
    run_name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES'; without it a new run."
        ),
    ] = "",
    preset: Annotated[str, typer.Option(metavar="NAME", help="Start from a preset.", show_default=False)] = "",
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from a settings file (YAML).", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, like tier3.threshold=6.", show_default=False),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the run.", show_default=False)] = "",
    series: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Series of the run; by default its preset or settings file.", show_default=False
        ),
    ] = "",
    like: Annotated[
        str,
        typer.Option(
            metavar="RUN", help="Start from a run's settings; replays its pages and answers.", show_default=False
        ),
    ] = "",
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default=False, help="Ask models about the first N rows only."),
    ] = None,
    launch: Annotated[
        bool, typer.Option("--launch", help="Let the webserver at ENRICH_UI_URL execute it, and return at once.")
    ] = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Claim and register the run, execute nothing.")] = False,
    from_phase: Annotated[
        str, typer.Option("--from", metavar="PHASE", help="Execute RUN from this phase on.", show_default=False)
    ] = "",
    only: Annotated[
        str, typer.Option("--only", metavar="PHASE", help="Execute this phase of RUN alone.", show_default=False)
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="With --from or --only: ask and pay anew, whatever is known already.")
    ] = False,
) -> None:
    """Begin a new run, or execute phases of a run again."""
    beginning = {
        "--preset": preset,
        "--settings": settings,
        "--set": overrides,
        "--title": title,
        "--series": series,
        "--like": like,
        "--sample": sample,
        "--prepare": prepare,
    }
    if run_name or from_phase or only:
        _refuse_together(run_name, from_phase, only, [name for name, given in beginning.items() if given])
        _old_run(run_name, from_phase or only, is_only=bool(only), again=again, launch=launch)
        return
    if again:
        raise UserError("--again needs a RUN with --from or --only.", fix="A new run looks for known answers only.")
    started_from = [name for name in ("--preset", "--settings", "--like") if beginning[name]]
    if len(started_from) > 1:
        raise UserError(f"{' and '.join(started_from)} exclude each other.", fix="Name one of them.")
    changed = [*(overrides or []), *([] if sample is None else [f"sample={sample}"])]
    if launch and prepare:
        raise UserError("--launch and --prepare exclude each other.", fix="Name one of them.")
    _new_run(
        preset=preset,
        file=settings,
        overrides=changed,
        title=title,
        series=series,
        like=like,
        prepare=prepare,
        launch=launch,
    )


def resume(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES' (the default)."),
    ] = "",
    latest: Annotated[bool, typer.Option("--latest", help="The newest run.")] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Ask the failed rows again, and no others (refusals, useless answers, sources that were down), also "
            "where the phase failed as a whole.",
        ),
    ] = False,
) -> None:
    """Go on with a run where it stopped.

    It starts at the first phase that is missing, damaged, outdated, blocked, or has rows that wait for an answer.
    With --retry-failed at the first one that has failed rows, if that comes before.
    """
    if run_name and latest:
        raise UserError("RUN and --latest exclude each other.", fix="Name one of them.")
    with open_place(to_execute=True) as place:
        graph, run_id = place.find_run(run_name or "latest")
        place.store.refuse_archived(graph.name, run_id)
        place.ledger.refuse_if_worked_on(run_id)  # else its answers would stop counting under whoever works there
        import_quietly()
        from enrich_assets.cli.execution import check_ready, execute_and_tell, phases_with_failed_rows
        from enrich_assets.defs.instance import open_instance
        from enrich_assets.defs.standing import where_it_stands
        from enrich_assets.engine.resume import Standing, first_open

        standings = where_it_stands(graph, run_id, place.store, place.ledger)
        start = first_open(standings)
        failed = phases_with_failed_rows(place, graph, run_id) if retry_failed else {}
        first = next((graph.phase(name) for name in failed), None)
        if first is not None and (start is None or graph.number(first) < graph.number(start.phase)):
            start = Standing(first, "done", "it has failed rows, which are asked again")
        if start is None:
            place.store.mark_latest(graph.name, run_id)
            print(f"Run {run_id} is complete: there is nothing to do.")
            return
        phases = (start.phase, *graph.after(start.phase))
        check_ready(place, graph, run_id, phases, standings)
        number = graph.number(start.phase)
        why = sentence(start.why if start.state == "done" else f"which is {start.state}: {start.why}")
        print(f"Run {run_id} goes on at {number} {start.phase.name}, {why}", flush=True)
        for name, rows in failed.items():
            place.ledger.renew(run_id, name, only_failed=True, rows=rows)
        with open_instance() as instance:
            execute_and_tell(place, graph, run_id, phases, instance)


def import_quietly() -> None:
    """Keeps warnings about previews and deprecations inside Dagster from the user's terminal."""
    import warnings

    warnings.simplefilter("ignore")


def _new_run(
    *,
    preset: str = "",
    file: Path | None = None,
    overrides: list[str] | None = None,
    title: str = "",
    series: str = "",
    like: str = "",
    prepare: bool = False,
    launch: bool = False,
) -> None:
    from enrich_assets.graphs.catalog import graph_named
    from enrich_assets.graphs.presets import DEFAULT_PRESET, load_settings_file

    path = file.absolute() if file is not None else None
    values: dict[str, Any] | None = load_settings_file(path) if path is not None else None
    with open_place(to_execute=True) as place:
        graph = graph_named(DEFAULT_GRAPH)
        if like:
            graph, like = place.find_run(like)
        import_quietly()
        from enrich_assets.defs.instance import open_instance
        from enrich_assets.defs.runs import begin_run
        from enrich_assets.engine.series import series_of_file

        with open_instance() as instance:
            run_id = begin_run(
                graph,
                store=place.store,
                ledger=place.ledger,
                instance=instance,
                values=values,
                where=str(path or ""),
                preset=preset,
                overrides=overrides or [],
                title=title,
                series=series or (series_of_file(path) if path is not None else ""),
                like=like,
            )
            if not (preset or like or path):
                say(f"No preset is named: it starts from {DEFAULT_PRESET}. enrich presets lists them.")
            if prepare:
                print(f"Run {run_id} is prepared.\nnext    enrich resume {run_id}")
                return
            from enrich_assets.cli.execution import execute_and_tell, submit_and_tell

            print(f"Run {run_id}", flush=True)
            if launch:
                submit_and_tell(place, graph, run_id, graph.phases)
                return
            execute_and_tell(place, graph, run_id, graph.phases, instance)
            looked_at = (place.ledger.registration(run_id) or {})["settings"]["sample"]
            if looked_at is not None:
                print(f"sample  {counted(looked_at, 'row')}; all: enrich run --like {run_id} --set sample=null")


def _old_run(run_name: str, phase_name: str, *, is_only: bool, again: bool, launch: bool) -> None:
    with open_place(to_execute=True) as place:
        graph, run_id = place.find_run(run_name)
        first = graph.phase(phase_name)
        phases = (first,) if is_only else (first, *graph.after(first))
        _execute_again(place, graph, run_id, phases, again=again, launch=launch)


def _execute_again(place: Place, graph: Graph, run_id: str, phases: Any, *, again: bool, launch: bool) -> None:
    import_quietly()
    from enrich_assets.cli.execution import check_ready, execute_and_tell, submit_and_tell
    from enrich_assets.defs.instance import open_instance
    from enrich_assets.defs.standing import where_it_stands

    place.store.refuse_archived(graph.name, run_id)
    check_ready(place, graph, run_id, phases, where_it_stands(graph, run_id, place.store, place.ledger))
    place.ledger.refuse_if_worked_on(run_id)  # else its answers would stop counting under whoever works there
    with open_instance() as instance:
        print(f"Run {run_id}", flush=True)
        for phase in phases if again else ():
            if phase.shape != "table":
                place.ledger.renew(run_id, phase.name, only_failed=False)
        if launch:
            submit_and_tell(place, graph, run_id, phases)
        else:
            execute_and_tell(place, graph, run_id, phases, instance)


def _refuse_together(run_name: str, from_phase: str, only: str, beginning: list[str]) -> None:
    if from_phase and only:
        raise UserError("--from and --only exclude each other.", fix="Name one of them.")
    if not run_name:
        raise UserError("--from and --only need a RUN.", fix="Name one; enrich runs lists them.")
    if beginning:
        raise UserError(
            f"{', '.join(beginning)} cannot change the run {clean(run_name)!r}: settings of a run never change.",
            fix=f"Begin another: enrich run --like {clean(run_name)} {' '.join(beginning)} …",
        )
    if not (from_phase or only):
        raise UserError(
            "a RUN alone does not say what to execute.",
            fix=f"enrich resume {clean(run_name)} goes on with it; --from PHASE or --only PHASE repeats phases of it.",
        )
