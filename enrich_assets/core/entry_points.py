"""What other distributions add by entry point: its names, the near misses of a wrong one, and loading it.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from enrich_assets.core.errors import SettingsError


def names_in_group(group: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    """The names that are built in or registered in a group, sorted."""
    return tuple(sorted({*own, *_registered(group)}))


def check_registered(name: str, group: str, own: Iterable[str]) -> str:
    """`name`, if it is one of `own` or registered once in the group.

    Raises ValueError, with the near misses or with those who claim the name.
    """
    own = tuple(own)
    owners = [*(["enrich_assets itself"] if name in own else []), *map(_distribution, _registered(group).get(name, ()))]
    if len(owners) == 1:
        return name
    if owners:
        raise ValueError(
            f"{name!r} is registered by {' and by '.join(owners)}. Uninstall one of them, or rename its entry point in "
            f"the group {group}."
        )
    known = names_in_group(group, own)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(
        f"there is no {name!r:.80}. {hint}Known: {', '.join(known)}; others come with a distribution that registers "
        f"them in {group}."
    )


def load_registered(
    name: str, group: str, own: Iterable[str] = (), load_own: Callable[[str], Callable[..., Any]] | None = None
) -> Callable[..., Any]:
    """The function that a distribution registered under the name, or what `load_own` gives for a name that is built in.

    Raises SettingsError where nobody or more than one did, and where it cannot be loaded or is no function, naming
    the distributions.
    """
    try:
        check_registered(name, group, own)
        if load_own is not None and name in tuple(own):
            return load_own(name)
        return _loaded(_registered(group)[name][0])
    except (ValueError, KeyError) as error:
        raise SettingsError(str(error), where=f"entry points of the group {group}") from None


@cache
def _registered(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Entry points of a group by their name; one that is found twice, as it stands, counts once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, {}).setdefault((point.value, _distribution(point)), point)
    return {name: tuple(points.values()) for name, points in found.items()}


@cache
def _loaded(point: EntryPoint) -> Callable[..., Any]:
    where = f"entry point {point.name} = {point.value} of the group {point.group}"
    fix = f"Correct or uninstall {_distribution(point)}."
    try:
        function = point.load()
    except Exception as error:  # whatever another distribution raises when it is imported
        what = f"{_distribution(point)} cannot be loaded ({type(error).__name__}: {error})."
        raise SettingsError(what, where=where, fix=fix) from error
    if not callable(function):
        what = f"{_distribution(point)} registers a {type(function).__name__}, which is no function."
        raise SettingsError(what, where=where, fix=fix)
    return function  # type: ignore[no-any-return]


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown distribution"


def look_again() -> None:
    """Entry points are read once a process; after this they are read anew."""
    _registered.cache_clear()
    _loaded.cache_clear()
