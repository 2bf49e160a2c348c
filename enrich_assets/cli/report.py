"""`enrich report`: the reports of a run that exists, made anew from its artifacts. No model is asked."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from enrich_assets.cli.output import SHOW_WHERE, clean, counted, is_debugging, say, unexpected, write_error
from enrich_assets.cli.place import open_place
from enrich_assets.core.errors import EnrichError, UserError

if TYPE_CHECKING:
    from upath import UPath

    from enrich_assets.reading import Run
    from enrich_assets.reports.material import Material


def report(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="ID, title, 'latest' or 'latest:SERIES' (the default)."),
    ] = "latest",
    types: Annotated[
        str,
        typer.Option("--type", metavar="TYPES", help="news, summary, quality, full, own ones.", show_default=False),
    ] = "",
    no_eda: Annotated[bool, typer.Option("--no-eda", help="Without figures.")] = False,
    out: Annotated[
        str, typer.Option("--out", metavar="FOLDER", help="By default reports/RUN in the storage.", show_default=False)
    ] = "",
) -> None:
    """Make the reports of a run: news, pipeline summary, data quality, the full report as PDF.

    Without --type all that this run and installation can give. What was published stays as it is.
    """
    from upath import UPath

    # Before the project's folder is entered: a relative folder is meant from here.
    named = (UPath(out) if "://" in out else UPath(Path(out).expanduser().absolute())) if out else None
    with open_place() as place:
        graph, run_id = place.find_run(run_name)
        from enrich_assets.core.files import write_atomic
        from enrich_assets.reading import Run
        from enrich_assets.reports.kinds import files_of, make
        from enrich_assets.reports.material import Material

        run = Run(place.store, graph, run_id)
        material = Material.of(run, with_figures=not no_eda)
        folder = place.store.root / "reports" / run_id if named is None else named
        _check_folder(folder)
        failures: dict[str, Exception] = {}
        ways = _way_to_artifacts(run, folder)
        made = make(material, _chosen(types, material), artifacts=ways, failures=failures)
        if failures and not made:
            _tell_failures(failures)
        files = files_of(material, made)
        for name, data in files.items():
            write_atomic(folder / name, data)
    numbers = sum(len(one.numbers) for one in made)
    print(f"{counted(len(files), 'file')} with {counted(numbers, 'number')} of run {run_id}:")
    for name in files:
        print(f"  {clean(folder / name)}")
    if failures:
        _tell_failures(failures)


def _tell_failures(failures: Mapping[str, Exception]) -> NoReturn:
    """Names each type that could not be made and why; raises typer.Exit(1)."""
    for name, error in failures.items():
        if isinstance(error, EnrichError):
            write_error(error, name)
        else:
            say(f"Error: {name}: {unexpected(error)}")
        if is_debugging():
            traceback.print_exception(error)
    if not is_debugging() and not all(isinstance(error, EnrichError) for error in failures.values()):
        say(SHOW_WHERE)
    raise typer.Exit(1)


def _chosen(types: str, material: Material) -> list[str]:
    """The types that were asked for; without any, those that can be made, and a note on each that cannot."""
    from enrich_assets.reports.kinds import type_names

    asked = list(dict.fromkeys(name.strip() for name in types.split(",") if name.strip()))
    if asked:
        return asked
    chosen = type_names()
    if material.document is None:
        say(f"The run {material.run.run_id} has no report yet: summary and quality alone.")
        chosen = ["summary", "quality"]
    elif not _has_typst():
        say("Without full_report.pdf: typst is not installed (extra `pdf`).")
        chosen.remove("full")
    return chosen


def _has_typst() -> bool:
    from importlib.util import find_spec

    return find_spec("typst") is not None


def _check_folder(folder: UPath) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file.", where="--out", fix="Name a folder; it is made where it is missing.")


def _way_to_artifacts(run: Run, folder: UPath) -> str:
    """The relative way from the reports to the run's files; '' where no link leads there."""
    from urllib.parse import quote

    from enrich_assets.core.files import is_local, local_path

    place = run.store.root / run.graph.name / run.run_id
    if not (is_local(place) and is_local(folder) and local_path(place).is_dir()):
        return ""
    way = os.path.relpath(local_path(place).absolute(), local_path(folder).absolute())
    return quote(Path(way).as_posix())
