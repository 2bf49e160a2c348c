"""What other distributions add by entry point: its names, the near misses of a wrong one, and loading it.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from enrich_assets.core.errors import SettingsError


def check_registered(name: str, group: str, own: Iterable[str]) -> str:
    """`name`, if it is one of `own` or registered in the group; raises ValueError with the near misses."""
    own = tuple(own)
    if name in own:
        return name
    known = sorted({*own, *entry_points(group=group).names})
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known)}"
    raise ValueError(f"nothing of that name is built in or registered as {group}; {hint}")


def load_registered(name: str, group: str, *, where: str) -> Any:
    """The object that is registered under the name; raises SettingsError where it cannot be imported.

    `where` is the setting that names it. Of two that are registered under one name the first on the path counts.
    """
    found = entry_points(group=group, name=name)
    if not found:
        raise SettingsError(
            f"nothing is registered as {name!r} in {group}.",
            where=where,
            fix="Install the distribution that has it, in the environment of every process.",
        )
    entry = next(iter(found))
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{name!r} of {group} cannot be imported: {error}.",
            where=where,
            fix=f"Correct the entry point {entry.value!r} of its distribution.",
        ) from error
