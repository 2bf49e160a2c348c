"""What a kind of source is, and the kinds that are registered.

A distribution adds a kind of its own with an entry point of the group `enrich_assets.sources`; its name is the kind.
What the kinds of this package do belongs to their own files.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol

from enrich_assets.core.errors import FinalError, SettingsError
from enrich_assets.engine.clients import Pages
from enrich_assets.web.sources.entry import Listing

if TYPE_CHECKING:
    from enrich_assets.web.sources.source import Source

GROUP = "enrich_assets.sources"
OWN_KINDS = ("feed", "file", "folder", "listing", "page", "site", "sitemap")
"""The kinds of this package; each is the module of that name."""


class Kind(Protocol):
    """An asynchronous function that says what a source lists, of whatever documents it takes."""

    async def __call__(self, source: Source, pages: Pages) -> Listing:
        """Reads what it needs through `pages`; raises CallError when the source cannot be read."""
        ...


def kind_names() -> tuple[str, ...]:
    """The names of all registered kinds, sorted. Raises SettingsError when two distributions claim one name."""
    return tuple(sorted({*OWN_KINDS, *_foreign()}))


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises SettingsError for a name that nobody registered, with near misses, and for an entry point that cannot be
    used, naming its distribution.
    """
    if name in OWN_KINDS and name not in _foreign():
        kind: Kind = import_module(f"enrich_assets.web.sources.{name}").entries
        return kind
    return _loaded(_foreign()[check_kind(name)])


def check_kind(name: str) -> str:
    """`name`, when a kind is registered by it; raises SettingsError with near misses otherwise."""
    known = kind_names()
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(repr(one) for one in close)}? " if close else ""
    raise SettingsError(
        f"there is no kind of source {name!r:.80}.",
        where="sources",
        fix=f"{hint}Kinds: {', '.join(known)}; others come with a distribution that registers them.",
    )


def source_error(source: Source, kind: str, what: str, fix: str = "") -> FinalError:
    """The error for a source that lists nothing that can be read."""
    return FinalError(what, where=f"source {source.id} ({source.url[:300]})", fix=fix, kind=kind)


@cache
def _foreign() -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = "enrich_assets itself" if point.name in OWN_KINDS else _distribution(found.get(point.name))
        if other and (point.name in OWN_KINDS or point.value != found[point.name].value):
            raise SettingsError(
                f"the kind of source {point.name!r} is registered by {_distribution(point)} and by {other}.",
                where=f"entry points of the group {GROUP}",
                fix="Uninstall one of them, or rename its entry point.",
            )
        found[point.name] = point
    return found


@cache
def _loaded(point: EntryPoint) -> Kind:
    where = f"entry point {point.name} = {point.value} of the group {GROUP}"
    fix = f"Correct or uninstall {_distribution(point)}."
    try:
        kind: Kind = point.load()
    except Exception as error:  # whatever another distribution raises when it is imported
        what = f"{_distribution(point)} cannot be loaded ({type(error).__name__}: {error})."
        raise SettingsError(what, where=where, fix=fix) from error
    if not callable(kind):
        what = f"{_distribution(point)} registers a {type(kind).__name__}, not an async function."
        raise SettingsError(what, where=where, fix=fix)
    return kind


def _distribution(point: EntryPoint | None) -> str:
    if point is None:
        return ""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown distribution"
