"""What a kind of source is, and the kinds that are registered.

A distribution adds a kind of its own with an entry point of the group `enrich_assets.sources`; its name is the kind.
What the kinds of this package do belongs to their own files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from enrich_assets.core.entry_points import load_registered, names_in_group
from enrich_assets.core.errors import FinalError
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
    return names_in_group(GROUP, OWN_KINDS)


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises SettingsError for a name that nobody or more than one distribution registered, and for an entry point that
    cannot be used, naming the distributions.
    """
    return load_registered(name, GROUP, OWN_KINDS, _own_kind)


def _own_kind(name: str) -> Kind:
    kind: Kind = import_module(f"enrich_assets.web.sources.{name}").entries
    return kind


def source_error(source: Source, kind: str, what: str, fix: str = "") -> FinalError:
    """The error for a source that lists nothing that can be read."""
    return FinalError(what, where=f"source {source.id} ({source.url[:300]})", fix=fix, kind=kind)
