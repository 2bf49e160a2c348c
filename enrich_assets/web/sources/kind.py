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
    """The names of all registered kinds, sorted."""
    return tuple(sorted({*OWN_KINDS, *_registered()}))


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises SettingsError for a name that nobody or more than one distribution registered, and for an entry point that
    cannot be used, naming the distributions.
    """
    check_kind(name)
    if name in OWN_KINDS:
        kind: Kind = import_module(f"enrich_assets.web.sources.{name}").entries
        return kind
    return _loaded(_registered()[name][0])


def check_kind(name: str) -> str:
    """`name`, when one kind is registered by it; raises SettingsError, with near misses, otherwise."""
    points = _registered().get(name, ())
    owners = [*(["enrich_assets itself"] if name in OWN_KINDS else []), *map(_distribution, points)]
    if len(owners) == 1:
        return name
    if owners:
        raise SettingsError(
            f"the kind of source {name!r} is registered by {' and by '.join(owners)}.",
            where=f"entry points of the group {GROUP}",
            fix="Uninstall one of them, or rename its entry point.",
        )
    known = kind_names()
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
def _registered() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Entry points of other distributions by their name; one that is found twice, as it stands, counts once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, {}).setdefault((point.value, _distribution(point)), point)
    return {name: tuple(points.values()) for name, points in found.items()}


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


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown distribution"
