"""Report types: what one is, which there are, and how another distribution adds its own.

A type is one file that ends in a `ReportType`: a function that makes its content, a pydantic model, of a run's
artifacts, and one that makes files of that content. Own ones register a function that returns theirs under the entry
point group `enrich_assets.reports`. No type asks a model.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from enrich_assets.core.entry_points import check_registered, load_registered
from enrich_assets.core.errors import DeclarationError, UserError
from enrich_assets.reports.material import Material
from enrich_assets.reports.numbers import Number, numbers_of

GROUP = "enrich_assets.reports"
OWN = ("news", "summary", "quality", "full")
PUBLISHED = ("news", "summary", "quality")
"""What is rendered with every run; the others are made on demand."""
NUMBERS = "numbers.json"


@dataclass(frozen=True)
class Rendering:
    """What files need besides the content: rows and figures of the run, which are too large for it.

    `artifacts` leads from the files to the run's folder (`..`); '' where no link can.
    """

    material: Material
    artifacts: str = ""


@dataclass(frozen=True)
class ReportType:
    """One type of report.

    `content` makes the model of the material; a field `provenance` (JSON pointer → Origin) says where its numbers come
    from. `files` makes files by name; what they say stands in the content.
    """

    name: str
    title: str
    content: Callable[[Material], BaseModel]
    files: Callable[[Any, Rendering], Mapping[str, bytes]]
    own: str = ""
    """How its origins name the report itself, where that is not its name."""


@dataclass(frozen=True)
class Made:
    """One report that was made: its files and its numbers."""

    type: ReportType
    files: Mapping[str, bytes]
    numbers: list[Number]


def type_names() -> list[str]:
    """Names of all types, the project's own first."""
    others = sorted(set(entry_points(group=GROUP).names) - set(OWN))
    return [*OWN, *others]


def report_type(name: str) -> ReportType:
    """The type of a name; raises UserError with near misses for one that is not there."""
    try:
        check_registered(name, GROUP, OWN)
    except ValueError as error:
        raise UserError(f"no such type of report: {error}", where="--type") from error
    found = load_registered(name, GROUP, OWN, _own)()
    if not isinstance(found, ReportType):
        raise DeclarationError(
            f"the report type {name!r} is a {type(found).__name__}.",
            where=f"entry point {GROUP}",
            fix="Its entry point has to lead to a function that returns a ReportType.",
        )
    return found


def _own(name: str) -> Callable[[], ReportType]:
    return lambda: importlib.import_module(f"enrich_assets.reports.{name}").REPORT


def make(
    material: Material, names: Iterable[str], *, artifacts: str, failures: dict[str, Exception] | None = None
) -> list[Made]:
    """The reports of these types; `artifacts` as in Rendering.

    Raises what their contents raise, and DeclarationError for a file made twice. With `failures`, a type that raises
    is left out and its error is kept there by the type's name, so that it does not stop the others.
    """
    made: list[Made] = []
    taken = {NUMBERS: "the list of numbers"}
    for kind in [report_type(name) for name in names]:  # an unknown name is refused before anything is made
        try:
            made.append(_made(kind, material, artifacts, taken))
        except Exception as error:  # the boundary of a type, which may be another distribution's
            if failures is None:
                raise
            failures[kind.name] = error
    return made


def _made(kind: ReportType, material: Material, artifacts: str, taken: dict[str, str]) -> Made:
    content = kind.content(material)
    files = dict(kind.files(content, Rendering(material, artifacts)))
    for file in files:
        if file in taken:
            raise DeclarationError(f"{file} is made by {kind.name} and by {taken[file]}.", fix="Rename one of them.")
    numbers = numbers_of(content.model_dump(mode="json"))
    taken.update(dict.fromkeys(files, kind.name))
    return Made(kind, files, numbers)


def files_of(material: Material, made: Iterable[Made]) -> dict[str, bytes]:
    """The files of reports, and `numbers.json`: every number with its pointer, value, artifact, field and row_id."""
    reports = list(made)
    listed = {
        "run_id": material.run.run_id,
        "graph": material.run.graph.name,
        "reports": {report.type.name: [number.as_json() for number in report.numbers] for report in reports},
    }
    files = {name: data for report in reports for name, data in report.files.items()}
    return files | {NUMBERS: (json.dumps(listed, ensure_ascii=False, indent=0) + "\n").encode("utf-8")}
