"""What is frozen when a run begins: its settings, resolved, with everything that later phases may not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from enrich_assets.core.fingerprint import fingerprint
from enrich_assets.engine.graph import Graph, RunInfo, prompt_hashes
from enrich_assets.engine.series import series_of


def registration(
    graph: Graph,
    values: Mapping[str, Any],
    *,
    where: str,
    now: datetime,
    preset: str,
    series: str = "",
    title: str = "",
    overrides: Mapping[str, Any] | None = None,
    like: Mapping[str, Any] | None = None,
    like_run: str = "",
    earlier: Sequence[Mapping[str, Any]] = (),
    sources_before: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The frozen registration of a run. `like` is the registration of the run that this one repeats.

    Keys: preset, series, title, overrides, like, as_of, fresh_from, settings, settings_fingerprint, prompts, earlier
    (the reported articles of earlier runs), sources_before (how each source stood in the run before), notes. Raises
    SettingsError.
    """
    fresh_from = str(like["fresh_from"]) if like else now.isoformat()
    given = dict(values)
    if title:
        given["title"] = title
    if not given.get("as_of"):
        given["as_of"] = str(like["as_of"]) if like else now.isoformat()
    resolved = graph.resolve({**given, "preset": preset}, where=where)
    return {
        "graph": graph.name,
        "preset": preset,
        "series": series_of({"series": series, "preset": preset, "title": resolved["title"]}),
        "title": resolved["title"],
        "overrides": dict(overrides or {}),
        "like": like_run,
        "as_of": resolved["as_of"],
        "fresh_from": fresh_from,
        "settings": resolved,
        "settings_fingerprint": fingerprint(resolved),
        "prompts": {phase.name: prompt_hashes(phase) for phase in graph.phases if prompt_hashes(phase)},
        "earlier": list(earlier),
        "sources_before": dict(sources_before or {}),
        "notes": [*notes, *_sample_note(resolved)],
    }


def _sample_note(resolved: Mapping[str, Any]) -> list[str]:
    rows = resolved.get("sample")
    return [] if rows is None else [f"A sample: models were asked about the first {rows} rows of each phase only."]


def run_info(graph: Graph, run_id: str, registered: Mapping[str, Any]) -> RunInfo:
    """What phases may know of a run, out of its registration."""
    return RunInfo(
        graph=graph.name,
        run_id=run_id,
        title=str(registered.get("title", "")),
        as_of=datetime.fromisoformat(registered["as_of"]),
        fresh_from=datetime.fromisoformat(registered["fresh_from"]),
    )
