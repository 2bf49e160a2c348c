"""Presets and settings files: read, merged with overrides, errors that name the file and the key.

What the YAML may hold, and how large it may be, belongs to `graphs.bounded_yaml`.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.written import decoded
from enrich_assets.graphs.bounded_yaml import DEEPEST, YamlRefused, read_yaml

DEFAULT_PRESET = "ai_news"
LARGEST_FILE_BYTES = 2_000_000
"""A settings file that is larger is something else: three thousand sources are some 300 kB."""


def preset_names(graph: str) -> list[str]:
    """Names of a graph's presets; none for a graph that stands elsewhere."""
    folder = files("enrich_assets.graphs") / graph / "presets"
    if not folder.is_dir():
        return []
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset_text(graph: str, name: str) -> str:
    """The YAML of a preset as it was written; raises SettingsError with the near misses."""
    known = preset_names(graph)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        raise SettingsError(f"there is no preset {name!r:.80}.", fix=f"{hint} Presets: {', '.join(known)}.".strip())
    return (files("enrich_assets.graphs") / graph / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(graph: str, name: str) -> dict[str, Any]:
    """The settings of a preset; raises SettingsError with the near misses."""
    return _mapping(preset_text(graph, name), f"preset {name}")


def load_settings_file(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; raises SettingsError naming the file, and the line of a syntax error."""
    try:
        text = decoded(_regular_file(path))
    except FileNotFoundError:
        raise SettingsError("there is no such file.", where=str(path), fix="Check the path.") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"is not UTF-8: byte {error.start + 1} cannot be read.", where=str(path), fix="Save it as UTF-8."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot be read: {reason}.", where=str(path), fix="A settings file is UTF-8 YAML that you may read."
        ) from None
    return _mapping(text, str(path))


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str], *, named: str = "--set") -> dict[str, Any]:
    """`values` with each `path.to.key=value` set; the value is read as YAML. A number picks an item of a list.

    `named` is what the person who wrote them calls them. Raises SettingsError.
    """
    result: dict[str, Any] = _copied(values)
    for override in overrides:
        said = f"{named} {override!r:.120}"
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys) or len(keys) > DEEPEST:
            raise SettingsError(f"{said} is not key=value.", fix=f"Write {named} tier3.threshold=6.5")
        try:
            value = read_yaml(text)
        except YamlRefused as error:
            raise SettingsError(
                f"{said}: {error.problem}.",
                fix="Correct the value; large settings belong into a file.",
            ) from None
        except yaml.YAMLError:
            value = text
        _set(result, keys, value, said)
    return result


def _regular_file(path: Path) -> bytes:
    # Opened without waiting: opening a pipe that nobody writes into would wait for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SettingsError("is no file but a folder, pipe or device.", where=str(path), fix="Name a YAML file.")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > LARGEST_FILE_BYTES:
        raise SettingsError(
            f"is larger than {LARGEST_FILE_BYTES / 1e6:.0f} MB, which no settings are.",
            where=str(path),
            fix="Check the path.",
        )
    return content


def _set(target: Any, keys: list[str], value: Any, said: str) -> None:
    for key in keys[:-1]:
        if isinstance(target, list):
            target = target[_index(target, key, said)]
        else:
            if target.get(key) is None:
                target[key] = {}
            target = target[key]
        if not isinstance(target, (dict, list)):
            raise SettingsError(f"{said}: {key!r} has nothing below it.")
    if isinstance(target, list):
        target[_index(target, keys[-1], said)] = value
    else:
        target[keys[-1]] = value


def _index(items: list[Any], key: str, said: str) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise SettingsError(f"{said}: the list has the items 0 to {len(items) - 1}, not {key!r}.")


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        found = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", "") or str(error).splitlines()[0]
        if "'\\t'" in problem:
            raise SettingsError(
                f"{line}begins with a tab, and YAML indents by spaces alone.",
                where=where,
                fix="Put spaces in its place; editors do that for a whole file ('convert indentation to spaces').",
            ) from None
        raise SettingsError(f"{line}{problem}.", where=where, fix="Correct the YAML.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SettingsError(f"holds a {type(found).__name__}, not keys with values.", where=where)
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(item) for item in value]
    return value
