"""URL choosers: which of the pages that a search found are read. The project's own, and those that others register."""

from __future__ import annotations

from collections.abc import Sequence

from enrich_assets.core.entry_points import load_registered
from enrich_assets.engine.clients import Hit, UrlChooser
from enrich_assets.evidence.quote import names_entity
from enrich_assets.web.settings import CHOOSER_GROUP, SearchSettings
from enrich_assets.web.urls import registered_domain


def by_title(hits: Sequence[Hit], about: str, *, limit: int) -> list[str]:
    """URLs of the hits to read: titles that name the subject first, one page a site, then further ones."""
    ordered = sorted(hits, key=lambda hit: not names_entity(hit.title, about))
    first_of_site: dict[str, str] = {}
    for hit in ordered:
        first_of_site.setdefault(registered_domain(hit.url), hit.url)
    return list(dict.fromkeys([*first_of_site.values(), *(hit.url for hit in ordered)]))[:limit]


def chooser_of(settings: SearchSettings) -> UrlChooser:
    """The chooser that the settings name; raises SettingsError where it cannot be loaded or is no function."""
    if settings.chooser == "titles":
        return by_title
    found: UrlChooser = load_registered(settings.chooser, CHOOSER_GROUP)
    return found
