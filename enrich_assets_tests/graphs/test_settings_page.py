"""docs/settings.md lists the settings that the models declare, and the README's example is one that they take.

After a change that is meant, write the page anew with

    RENEW_DOCS=1 .venv/bin/python -m pytest enrich_assets_tests/graphs/test_settings_page.py
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from enrich_assets.core.settings import Env
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.presets import load_settings_file

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "settings.md"

WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", datetime: "date and time"}
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "max_length": "characters at most"}


def test_the_page_about_settings_is_up_to_date() -> None:
    if os.environ.get("RENEW_DOCS"):
        PAGE.write_text(_page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == _page(), (__doc__ or "").split("\n\n", 1)[1]


def test_the_example_of_the_readme_is_taken_as_it_stands(tmp_path: Path) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    example = next(b for b in re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL) if "sources:" in b)
    (tmp_path / "mine.yaml").write_text(example, encoding="utf-8")

    graph = GRAPHS["intelligence"]
    resolved = graph.resolve(load_settings_file(tmp_path / "mine.yaml"), where="README.md")

    assert graph.shared_of(resolved).lacking() == ""
    assert [source["kind"] for source in resolved["sources"]] == ["feed", "listing"]
    assert resolved["tier1"]["categories"] == resolved["categories"] != []
    assert resolved["http"]["allow_hosts"] == ["10.0.0.5:8080"]


def _page() -> str:
    lines = [
        "# The settings",
        "",
        "Every setting of a run, made from the models that check them. A file of your own needs only what differs from",
        "the defaults; `enrich presets NAME` prints one that is complete. On the command line a setting is named by",
        "its path: `--set tier3.threshold=6`, `--set sources.0.weight=2`.",
        "",
        "A default of *the run's* means: the setting of the same name at the top, unless the phase sets its own.",
    ]
    for graph in GRAPHS.values():
        title = "A run" if len(GRAPHS) == 1 else f"A run of {graph.name}"
        phases = [phase.name for phase in graph.phases if phase.name in graph.settings_model.model_fields]
        lines += ["", f"## {title}", "", "At the top of the file.", ""]
        fields = graph.settings_model.model_fields
        lines += _table({name: field for name, field in fields.items() if name not in phases})
        blocks = ", ".join(f"[`{name}`](#{name})" for name in phases)
        lines += ["", f"Below its name, each phase has its own: {blocks}."]
        nested: list[type[BaseModel]] = []
        for name, field in fields.items():
            if name not in phases:
                _collect(field.annotation, nested)
        lines += _models(nested)
        for name in phases:
            own = graph.phase(name).settings.model_fields
            lines += ["", f"## {name}", "", *_table(own)]
            known = len(nested)
            for field in own.values():
                _collect(field.annotation, nested)
            lines += _models(nested[known:])
    return "\n".join(lines) + "\n"


def _models(models: list[type[BaseModel]]) -> list[str]:
    lines: list[str] = []
    for model in models:
        lines += ["", f"## {model.__name__}", "", " ".join((model.__doc__ or "").split()), ""]
        lines += _table(model.model_fields)
    return lines


def _table(fields: dict[str, FieldInfo]) -> list[str]:
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        kind = ", ".join([_words(field.annotation), *_bounds(field)])
        about = " ".join((field.description or "").split())
        assert about, f"{name} has no description"
        rows.append(
            "| " + " | ".join(c.replace("|", "\\|") for c in (f"`{name}`", kind, _default(field), about)) + " |"
        )
    return rows


def _words(annotation: Any) -> str:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        kinds = [_words(argument) for argument in arguments if argument is not NoneType]
        return " or ".join(kinds)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"names, each with {_words(arguments[1])}"
    if annotation is Env:
        return "`{env: NAME}`"
    if issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return WORDS[annotation]


def _bounds(field: FieldInfo) -> list[str]:
    bounds = []
    for rule in field.metadata:
        for name, words in BOUNDS.items():
            value = getattr(rule, name, None)
            if value is not None:
                bounds.append(f"{value:,} {words}" if name == "max_length" else f"{words} {value:,}")
        if getattr(rule, "pattern", None):
            bounds.append(f"of the form `{rule.pattern}`")
    return bounds


def _default(field: FieldInfo) -> str:
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("inherited"):
        return "*the run's*"
    if field.is_required():
        return "**needed**"
    default = field.get_default(call_default_factory=True)
    assert default is not PydanticUndefined
    if isinstance(default, BaseModel):
        return "its own"
    if default is None or default in ("", (), {}):
        return "none"
    if isinstance(default, tuple):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _collect(annotation: Any, found: list[type[BaseModel]]) -> None:
    """Every model within `annotation`, but for references to the environment, outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not Env and annotation not in found:
            found.append(annotation)
            for field in annotation.model_fields.values():
                _collect(field.annotation, found)
        return
    for argument in get_args(annotation):
        _collect(argument, found)
