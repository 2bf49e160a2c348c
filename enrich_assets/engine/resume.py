"""Where a run stands: which phases are done, and from which one it has to go on. Envelopes decide, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError, ArtifactMissing
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase

State = Literal["done", "missing", "damaged", "outdated", "blocked", "waiting"]


@dataclass(frozen=True)
class Standing:
    """Where one phase of a run stands, and why."""

    phase: Phase
    state: State
    why: str = ""


def standings(
    graph: Graph,
    found: Mapping[str, Envelope | ArtifactError],
    resolved: Mapping[str, Any] | None,
    renewals: Mapping[str, datetime] = MappingProxyType({}),
) -> list[Standing]:
    """The standing of every phase. `found` has the envelope of each phase, or the error that reading it gave.

    A phase is done when its artifact is there and intact, was made from the inputs, settings and code of now, passed
    its blocking checks, no row of it waits for an answer that could not be had, and nobody wanted it asked again since
    (`renewals`, by phase).
    """
    judged = []
    for phase in graph.phases:
        standing = Standing(phase, *_judge(graph, phase, found, resolved))
        envelope = found[phase.name]
        wanted = renewals.get(phase.name)
        if standing.state == "done" and wanted and isinstance(envelope, Envelope) and envelope.started_at < wanted:
            standing = Standing(phase, "outdated", "it was to be asked again, and was not to its end")
        judged.append(standing)
    return judged


def first_open(all_standings: list[Standing]) -> Standing | None:
    """The phase that resume starts at; None when the run is complete."""
    return next((standing for standing in all_standings if standing.state != "done"), None)


def _judge(
    graph: Graph, phase: Phase, found: Mapping[str, Envelope | ArtifactError], resolved: Mapping[str, Any] | None
) -> tuple[State, str]:
    envelope = found[phase.name]
    if isinstance(envelope, ArtifactMissing):
        return "missing", "not made yet"
    if isinstance(envelope, ArtifactError):
        return "damaged", str(envelope)
    for name in graph.inputs(phase):
        upstream = found[name]
        if isinstance(upstream, Envelope) and _used(envelope, name) != upstream.data_sha256:
            return "outdated", f"{name} changed since"
    decided = None if phase is graph.first or resolved is None else graph.settings_fingerprint(phase, resolved)
    if decided is not None and envelope.settings_fingerprint != decided:
        return "outdated", "its settings changed since"
    if envelope.code_fingerprint != graph.code_fingerprint(phase):
        return "outdated", "its code or prompts changed since"
    failures = envelope.blocking_failures()
    if failures:
        return "blocked", f"{failures[0].name}: {failures[0].message}"
    if envelope.counts.waiting:
        return "waiting", f"{envelope.counts.waiting} rows wait for an answer"
    return "done", ""


def _used(envelope: Envelope, phase: str) -> str | None:
    return next((used.data_sha256 for used in envelope.inputs if used.phase == phase), None)
