"""Beginning a run: its settings resolved and frozen, its ID claimed, its partition added.

Belongs here: what has to be right before anything is paid. Executing phases belongs to `defs.launch`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from enrich_assets.core.errors import ArtifactError, RunIdError, SettingsError, UnknownRun
from enrich_assets.core.run_id import run_id_at
from enrich_assets.defs.budgets import check_budget
from enrich_assets.defs.earlier import earlier
from enrich_assets.defs.estimating import freeze_estimate
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.registration import registration
from enrich_assets.engine.series import LATEST, LONGEST_NAME, series_of
from enrich_assets.graphs.presets import DEFAULT_PRESET, load_preset, with_overrides
from enrich_assets.models.llm import check_model, endpoints_of
from enrich_assets.store.store import Store

if TYPE_CHECKING:
    import dagster as dg

_LIKE_A_RUN_ID = re.compile(r"\d{8}_\d{6}(-\d+)?")
_LONGEST_TITLE = 300
"""Characters of a title that the ledger keeps, by which the run is found."""
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, lone surrogates, and line and paragraph separators."""
_DIRECTIONS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
"""Bidirectional classes of characters that turn the text behind them around."""


@dataclass(frozen=True)
class Origin:
    """What begins one run, however often it is asked: a tick of a schedule, a file in the inbox.

    The run's ID is made of `moment`; `note` is kept with the run, and no other origin has the same.
    """

    moment: datetime
    note: str


def begin_run(
    graph: Graph,
    *,
    store: Store,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    values: Mapping[str, Any] | None = None,
    where: str = "settings",
    preset: str = "",
    overrides: Sequence[str] = (),
    overrides_from: str = "--set",
    title: str = "",
    series: str = "",
    like: str = "",
    origin: Origin | None = None,
) -> str:
    """Claims a run of a graph and gives its ID.

    Its settings are those of the preset, of `values` (a settings file, read already), or of the run `like`, each with
    the overrides, which errors call `overrides_from`. Its series is that of its preset or of the run `like`, unless
    `series` names one. A run that `origin` began before is given again, unchanged.
    Raises SettingsError, UnknownRun, StorageError before anything is written or paid.
    """
    from enrich_assets.defs.partitions import add_run

    if origin is not None:
        known, is_begun = _run_of(origin, ledger)
        if is_begun:
            add_run(instance, graph, known)
            return known
    store.check_writable()
    registered = new_registration(
        graph,
        store=store,
        ledger=ledger,
        values=values,
        where=where,
        preset=preset,
        overrides=overrides,
        overrides_from=overrides_from,
        title=title,
        series=series,
        like=like,
    )
    if not like:
        registered |= earlier(graph, store, ledger, registered)
    check_models(graph, registered["settings"])
    check_budget(graph, "", registered["settings"], ledger)
    freeze_estimate(graph, registered, store, ledger)
    run_id = ledger.claim_run(graph.name, registered) if origin is None else _claimed(graph, registered, origin, ledger)
    add_run(instance, graph, run_id)
    return run_id


def new_registration(
    graph: Graph,
    *,
    store: Store,
    ledger: Ledger,
    values: Mapping[str, Any] | None = None,
    where: str = "settings",
    preset: str = "",
    overrides: Sequence[str] = (),
    overrides_from: str = "--set",
    title: str = "",
    series: str = "",
    like: str = "",
) -> dict[str, Any]:
    """What would be registered for a run that began now, as `begin_run` takes it; nothing is written.

    The reported articles of earlier runs are in it only for a run that is `like` another. Raises SettingsError,
    UnknownRun.
    """
    repeated = _registration_like(graph, like, store, ledger) if like else None
    if repeated is not None:
        given: Mapping[str, Any] = {**graph.unresolved(repeated["settings"]), "title": ""}
        preset, where = str(repeated["preset"]), f"settings like {like}"
        series = series or series_of(repeated)
    elif values is not None:
        given, preset = values, str(values.get("preset", ""))
    else:
        preset = preset or DEFAULT_PRESET
        given, where = load_preset(graph.name, preset), f"preset {preset}"
    registered = registration(
        graph,
        _overridden(graph, given, overrides, where, overrides_from),
        where=where,
        now=utc_now(),
        preset=preset,
        series=series,
        title=title,
        overrides=dict(item.split("=", 1) for item in overrides),
        like=repeated,
        like_run=like,
        earlier=repeated["earlier"] if repeated else (),
        sources_before=repeated.get("sources_before", {}) if repeated else {},
    )
    check_title(registered["title"], graph, store, ledger, where=where)
    check_series(series)
    lacking = graph.shared_of(registered["settings"]).lacking()
    if lacking:
        key = lacking.partition(":")[0]
        is_overridden = any(item.partition("=")[0].strip() == key for item in overrides)
        where = overrides_from if is_overridden else where
        raise SettingsError(f"{lacking}.", where=where, fix="docs/settings.md lists every setting.")
    return registered


def check_title(title: str, graph: Graph, store: Store, ledger: Ledger, *, where: str) -> None:
    """Raises SettingsError for a title that would name another run, or that is not one line of plain text."""
    named = title.strip()
    known = {*store.runs(graph.name), *(str(run["run_id"]) for run in ledger.runs())}
    if named.partition(":")[0] == LATEST or _LIKE_A_RUN_ID.fullmatch(named) or named in known:
        problem = f"{named:.100} stands for another run"
    elif _hides_something(title):
        problem = f"{ascii(title)[:100]} has control characters or more than one line"
    elif len(title) > _LONGEST_TITLE:
        problem = f"it has {len(title):,} characters, and {_LONGEST_TITLE} at most are kept"
    else:
        return
    raise SettingsError(f"title: {problem}.", where=where, fix="Choose another title; RUN may be an ID or a title.")


def check_series(name: str) -> None:
    """Raises SettingsError for a name that is not one line of plain text."""
    if _hides_something(name) or len(name) > LONGEST_NAME:
        raise SettingsError(
            f"{ascii(name)[:100]} cannot be the name of a series.",
            where="series",
            fix=f"One line of plain text, of {LONGEST_NAME} characters at most.",
        )


def _hides_something(text: str) -> bool:
    return any(unicodedata.category(sign) in _UNSEEN or unicodedata.bidirectional(sign) in _DIRECTIONS for sign in text)


def check_models(graph: Graph, resolved: Mapping[str, Any]) -> None:
    """Raises SettingsError for a phase whose model is unknown or lacks its key."""
    endpoints = endpoints_of(resolved)
    for model in sorted({resolved[phase.name]["model"] for phase in graph.phases if phase.asks_a_model}):
        check_model(model, endpoints)


def _run_of(origin: Origin, ledger: Ledger) -> tuple[str, bool]:
    """The run that an origin began, and True; else the first ID of its moment that is free, and False."""
    for taken in range(1000):
        run_id = run_id_at(origin.moment, taken=taken)
        known = ledger.registration(run_id)
        if known is None or origin.note in known.get("notes", ()):
            return run_id, known is not None
    raise RunIdError(f"no free run ID for {run_id_at(origin.moment)}.", fix="Begin the run by hand: enrich run.")


def _claimed(graph: Graph, registered: dict[str, Any], origin: Origin, ledger: Ledger) -> str:
    registered["notes"] = [*registered.get("notes", ()), origin.note]
    while True:
        run_id, is_begun = _run_of(origin, ledger)
        if is_begun:
            return run_id
        with suppress(RunIdError):  # another process claimed it in between: perhaps of the same origin, so look again
            return ledger.claim_run(graph.name, registered, run_id=run_id)


def _overridden(
    graph: Graph, given: Mapping[str, Any], overrides: Sequence[str], where: str, overrides_from: str
) -> dict[str, Any]:
    """The settings with the overrides; raises SettingsError that blames the overrides only for what they broke."""
    values = with_overrides(given, overrides, named=overrides_from)
    if overrides:
        try:
            graph.resolve(values, where=overrides_from)
        except SettingsError:
            graph.resolve(given, where=where)
            raise
    return values


def _registration_like(graph: Graph, run_id: str, store: Store, ledger: Ledger) -> dict[str, Any]:
    registered = ledger.registration(run_id)
    if registered is None:
        try:
            registered = store.load(graph.name, run_id, graph.first.name).document
        except ArtifactError:
            registered = None
    if registered is None:
        raise UnknownRun(f"nothing is known of the settings of {run_id}.", fix="enrich runs lists the runs.")
    return registered
