"""What is registered for a run that is executed, and what becomes of a run ID that somebody typed by hand.

Belongs here: looking a run's settings up, registering those of a partition that was added by hand, and the tag of
launches by which the two are told apart. Beginning a run from its settings belongs to `defs.runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from enrich_assets.core.errors import ArtifactError, SettingsError
from enrich_assets.defs.budgets import check_budget
from enrich_assets.defs.earlier import earlier
from enrich_assets.defs.launchpad import NOTHING, OVERRIDES, Wanted
from enrich_assets.defs.runs import check_models, new_registration
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.presets import DEFAULT_PRESET, with_overrides
from enrich_assets.store.store import Store

NO_TAGS: Mapping[str, str] = MappingProxyType({})

SETTINGS_TAG = ".dagster/enrich_settings"
"""Tag of a launch of a run that was registered when it was asked for: the fingerprint of the run's settings.

Only a launch without it may register a run. What begins with .dagster/ the UI hides, and a retry inherits it.
"""


def settings_tag(run_id: str, ledger: Ledger) -> dict[str, str]:
    """The tag of a launch of a registered run."""
    return {SETTINGS_TAG: str((ledger.registration(run_id) or {}).get("settings_fingerprint", ""))}


def registration_of(
    graph: Graph,
    run_id: str,
    store: Store,
    ledger: Ledger,
    say: Callable[[str], Any],
    *,
    wanted: Wanted = NOTHING,
    tags: Mapping[str, str] = NO_TAGS,
) -> dict[str, Any]:
    """What was registered for a run: by the ledger, by its own snapshot, or, for a key typed by hand, what is wanted.

    A key typed by hand takes the default preset where nothing is wanted; either way it is registered then, and `say` is
    told. `tags` are those of the launch. Raises SettingsError for settings that cannot be used, that differ from those
    which the run has, or that were registered in another ledger.
    """
    registered = ledger.registration(run_id) or _snapshot(graph, run_id, store, say)
    if SETTINGS_TAG in tags:
        _refuse_foreign(run_id, registered, tags[SETTINGS_TAG], store)
    if registered is not None:
        refuse_changes(graph, run_id, registered, wanted)
        return registered
    if wanted:
        note = f"The settings of {run_id} were chosen in the launchpad of {graph.first.name}: {_told(wanted)}."
    else:
        note = f"Nobody registered settings for {run_id}, so it takes the preset {DEFAULT_PRESET}."
    registered = new_registration(
        graph,
        store=store,
        ledger=ledger,
        preset=wanted.preset,
        overrides=wanted.overrides,
        overrides_from=OVERRIDES,
        title=wanted.title,
    )
    registered["notes"] = [note, *registered["notes"]]
    registered |= earlier(graph, store, ledger, registered)
    check_models(graph, registered["settings"])
    check_budget(graph, run_id, registered["settings"], ledger)
    say(note)
    ledger.claim_run(graph.name, registered, run_id=run_id)
    return registered


def refuse_changes(graph: Graph, run_id: str, registered: Mapping[str, Any], wanted: Wanted) -> None:
    """Raises SettingsError where somebody wants other settings than the run has; the same ones change nothing."""
    problems = []
    if wanted.preset and wanted.preset != registered["preset"]:
        problems.append(f"its preset is {registered['preset'] or 'none'}, not {wanted.preset}")
    if wanted.title and wanted.title != registered["title"]:
        problems.append(f"its title is {registered['title']!r}, not {wanted.title!r}")
    if wanted.overrides and not problems:
        own = graph.unresolved(registered["settings"])
        now = graph.resolve(own, where=f"settings of {run_id}")
        then = graph.resolve(with_overrides(own, wanted.overrides, named=OVERRIDES), where=OVERRIDES)
        problems += [
            f"its {path} is {before!r:.80}, not {after!r:.80}" for path, before, after in _differences(now, then)
        ]
    if problems:
        raise SettingsError(
            f"{run_id} has its settings already, and they never change: {'; '.join(problems)}.",
            where="launchpad",
            fix="To execute it as it is, leave the launchpad's fields as they were; for other settings begin another "
            f"run: the job new_run, or enrich run --like {run_id}.",
        )


def _refuse_foreign(run_id: str, registered: Mapping[str, Any] | None, fingerprint: str, store: Store) -> None:
    if registered is None:
        what = f"the settings of {run_id} are not in the ledger of this process"
    elif registered.get("settings_fingerprint", "") != fingerprint:
        what = f"the ledger of this process has other settings for {run_id} than those of this launch"
    else:
        return
    raise SettingsError(
        f"{what}: they were registered elsewhere.",
        where=f"storage {store.root}",
        fix="Give the code server the ENRICH_STORAGE and ENRICH_LEDGER_URL with which the run was begun, or bring the "
        f"ledger back; then enrich resume {run_id}, or launch it again.",
    )


def _snapshot(graph: Graph, run_id: str, store: Store, say: Callable[[str], Any]) -> dict[str, Any] | None:
    try:
        snapshot = store.load(graph.name, run_id, graph.first.name).document
    except ArtifactError:
        return None
    if snapshot is None:
        return None
    say(f"The ledger does not know {run_id}; its settings come from its own snapshot.")
    return {name: value for name, value in snapshot.items() if name != "rows"}


def _told(wanted: Wanted) -> str:
    parts = [f"the preset {wanted.preset or DEFAULT_PRESET}"]
    if wanted.overrides:
        parts.append(f"with {', '.join(wanted.overrides)}")
    return " ".join(parts)


def _differences(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [*before, *(name for name in after if name not in before)]
        return [
            found
            for name in names
            for found in _differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
        ]
    return [] if before == after else [(path, before, after)]
