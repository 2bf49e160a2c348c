"""The launchpad's fields for a run's settings, and what a person wrote into them.

Belongs here: fields, and reading them. The job that begins a run belongs to `defs.new_run`, what a run's settings
become to `defs.runs`.
https://docs.dagster.io/guides/operate/configuration/run-configuration
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from enrich_assets.core.errors import SettingsError
from enrich_assets.graphs.presets import DEFAULT_PRESET

OVERRIDES = "overrides"
"""What the command line calls `--set`."""
AS_REGISTERED = "as_registered"
"""The choice of no preset. A field that is null would not be shown in the launchpad."""


@dataclass(frozen=True)
class Wanted:
    """Settings that somebody asks for; nothing at all where nobody wrote anything. `overrides` are KEY=VALUE."""

    preset: str = ""
    title: str = ""
    overrides: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.preset or self.title or self.overrides)


NOTHING = Wanted()


def new_run_fields(name: str, presets: Sequence[str], usual: str) -> dict[str, Any]:
    """The fields of a job that begins a run; `name` makes the type of the choice unique."""
    return {
        "preset": dg.Field(
            _choice(name, presets), default_value=usual, description="The settings that the run starts from."
        ),
        "title": dg.Field(
            str, default_value="", description="Title of the run, in lists and on its report; empty: the preset's own."
        ),
        OVERRIDES: _overrides("Settings that differ from the preset"),
        "sample": dg.Field(
            dg.Noneable(int),
            default_value=None,
            description="Ask models about the first so many rows only, to see what the run would be like; "
            "null: about all of them.",
        ),
    }


def first_phase_fields(name: str, presets: Sequence[str]) -> dict[str, Any]:
    """The fields of a graph's first phase. Left as they are they ask for nothing, so that a run that has settings is
    materialized again as it is."""
    return {
        "preset": dg.Field(
            _choice(name, [AS_REGISTERED, *presets]),
            default_value=AS_REGISTERED,
            description=f"{AS_REGISTERED}: the settings that the run has; a run ID that has none yet takes the preset "
            f"{DEFAULT_PRESET}. Another preset is for a run ID that has none yet: settings of a run never change.",
        ),
        "title": dg.Field(
            str,
            default_value="",
            description="For a run ID that has no settings yet: title of the run, in lists and on its report.",
        ),
        OVERRIDES: _overrides("For a run ID that has no settings yet: those that differ from the preset"),
    }


def wanted_of(config: Mapping[str, Any] | None) -> Wanted:
    """What a person wrote into the fields; raises SettingsError in the launchpad's words."""
    if not config:
        return NOTHING
    sample = config.get("sample")
    if sample is not None and sample < 1:
        raise SettingsError(f"it is {sample}, and no number of rows.", where="sample", fix="Write 1 or more, or null.")
    overrides = [*changed_settings(config[OVERRIDES]), *([] if sample is None else [f"sample={sample}"])]
    preset = "" if config["preset"] == AS_REGISTERED else config["preset"]
    return Wanted(preset, config["title"].strip(), tuple(overrides))


def changed_settings(given: Any) -> list[str]:
    """Changed settings as `path.to.key=value`, out of a mapping or a list; raises SettingsError.

    A mapping may name a setting by its path (`tier3.threshold: 6`), or hold it below its phase.
    """
    if given is None or given == "":
        return []
    if isinstance(given, Mapping):
        return list(_flat(given, ""))
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Sequence):
        raise SettingsError(
            f"it is {given!r:.80}, not settings with their values.",
            where=OVERRIDES,
            fix="Write for example {tier3.threshold: 6}.",
        )
    changed: list[str] = []
    for item in given:
        if isinstance(item, Mapping):
            changed += _flat(item, "")
        elif isinstance(item, str) and "=" in item and item.partition("=")[0].strip():
            changed.append(item)
        else:
            raise SettingsError(
                f"{item!r:.80} is not KEY=VALUE.", where=OVERRIDES, fix="Write for example tier3.threshold=6."
            )
    return changed


def _choice(name: str, presets: Sequence[str]) -> dg.Enum:
    return dg.Enum(f"{name}_preset", [dg.EnumValue(preset) for preset in presets])


def _overrides(what: str) -> dg.Field:
    return dg.Field(
        # Noneable, because only then the launchpad shows an empty mapping, for people to fill in.
        dg.Noneable(dg.Any),
        default_value={},
        description=f"{what}: {{tier3.threshold: 6, language: de}}, or a list of KEY=VALUE. "
        "docs/settings.md lists all of them.",
    )


def _flat(given: Mapping[Any, Any], above: str) -> Iterator[str]:
    for key, value in given.items():
        path = f"{above}{key}".strip()
        if not all(part.strip() for part in path.split(".")):
            raise SettingsError(
                f"{str(key)!r:.80} names no setting.", where=OVERRIDES, fix="Write for example {tier3.threshold: 6}."
            )
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        else:
            # JSON is YAML, as which an override's value is read.
            yield f"{path}={json.dumps(value, ensure_ascii=False, default=str)}"
