"""What earlier runs show of each phase: the rows that it let pass, its calls, its tokens. Reads, and writes nothing.

Belongs here: which runs count, and their envelopes and requests as figures. What is estimated from them belongs to
`defs.estimating`. No Dagster here, so that estimating needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.plans import Seen
from enrich_assets.engine.typical import typical_prompt
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.store.store import Store

_LOOKED_THROUGH = 50
"""Newest runs among which complete ones are looked for."""
_BEYOND_LIMITS = ("beyond_limit", "beyond_sample")
"""Reasons of rows that a phase left out only because there were enough of them."""

Requests = Mapping[tuple[str, str], tuple[int, int, int]]


@dataclass(frozen=True)
class Past:
    """A run as it stands."""

    run_id: str
    registered: Mapping[str, Any]
    envelopes: Mapping[str, Envelope]
    requests: Requests = field(default_factory=dict)

    @property
    def resolved(self) -> Mapping[str, Any]:
        """Its settings."""
        settings: Mapping[str, Any] = self.registered["settings"]
        return settings


def past_run(graph: Graph, run_id: str, store: Store, ledger: Ledger, *, also: Sequence[str] = ()) -> Past | None:
    """A run with the envelopes of its tables, and of the documents that `also` names; None without a registration."""
    registered = ledger.registration(run_id)
    if registered is None:
        return None
    envelopes: dict[str, Envelope] = {}
    for phase in graph.phases:
        # An envelope within a document costs reading it whole, and no document of a graph asks for anything.
        if phase.makes == "table" or phase.name in also:
            try:
                envelopes[phase.name] = store.envelope(graph.name, run_id, phase.name)
            except ArtifactError:
                continue
    return Past(run_id, registered, envelopes, ledger.requests(run_id))


def past_runs(graph: Graph, series: str, store: Store, ledger: Ledger, *, most: int, but: str = "") -> list[Past]:
    """The newest complete runs of a series, newest first; where there is none, those of others.

    Runs that replayed another one, or looked at a sample, come only where there are no others: they do not show what
    rows take, and how many there are.
    """
    known = [run for run in ledger.runs(graph.name, limit=_LOOKED_THROUGH) if run["run_id"] != but]
    for group in ([run for run in known if run["series"] == series], known):
        partial: list[Past] = []
        found: list[Past] = []
        for run in group:
            if len(found) == most:
                break
            past = past_run(graph, str(run["run_id"]), store, ledger) if _is_complete(graph, run, ledger) else None
            if past is not None:
                is_partial = past.registered.get("like") or past.resolved.get("sample") is not None
                (partial if is_partial else found).append(past)
        if found or partial:
            return found or partial[:most]
    return []


def seen_of(graph: Graph, phase: Phase, past: Past, resolved: Mapping[str, Any]) -> Seen | None:
    """What a run shows of a phase, for a run with other settings; None where it has not made it."""
    envelope = past.envelopes.get(phase.name)
    if envelope is None or (phase.name not in past.resolved and phase.settings.model_fields):
        return None
    counts, usage = envelope.counts, envelope.usage
    was, now = past.resolved.get(phase.name, {}), resolved.get(phase.name, {})
    left_out = {reason: counts.dropped_by_reason.get(reason, 0) for reason in _BEYOND_LIMITS}
    rows = counts.rows_in - left_out["beyond_sample"]
    passed = counts.rows_out if phase.creates else counts.kept + left_out["beyond_limit"]
    model = asked_model(phase, past.resolved)
    batch = int(was.get("batch", 1)) if phase.batched else 1
    sent = past.requests.get((phase.name, "model"), (usage.model_calls, usage.tokens_in, usage.tokens_out))
    calls, tokens_in, tokens_out = sent if model else (0, 0, 0)
    is_like = model == asked_model(phase, resolved) and was == now
    if calls and not is_like and phase.shape == "ask":
        tokens_in = round(tokens_in * _longer(graph, phase, past.resolved, resolved))
    return Seen(
        run_id=past.run_id,
        model=model,
        is_like=is_like,
        rows=rows,
        passed=passed,
        units=-(-rows // batch),
        calls=calls,
        searches=usage.search_requests,
        pages=usage.page_requests,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        # A run that replays another one's answers does not show what its rows take.
        is_fresh=not past.registered.get("like"),
    )


def asked_model(phase: Phase, resolved: Mapping[str, Any]) -> str:
    """The model that a phase asks; empty where it asks none, or the embedded one, which makes no calls."""
    if not phase.asks_a_model or phase.name not in resolved:
        return ""
    name = str(resolved[phase.name].get("model") or "")
    named = resolved.get("models", {}).get(name)
    return "" if EXTRACTIVE in (name, named and named.get("model")) else name


def actual_of(past: Past) -> tuple[int, float | None]:
    """Model calls and USD that a run took in all its attempts; USD None where a price is unknown."""
    spent = [envelope.usage.spent for envelope in past.envelopes.values()]
    known = [amount for amount in spent if amount is not None]
    sent = sum(count for (_, kind), (count, _, _) in past.requests.items() if kind == "model")
    calls = sent or sum(envelope.usage.model_calls for envelope in past.envelopes.values())
    return calls, sum(known) if len(known) == len(spent) else None


def _longer(graph: Graph, phase: Phase, was: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """How many times as long a prompt of the present settings is as one of earlier settings."""
    columns = graph.columns(phase)
    lengths = []
    for resolved in (was, now):
        settings = graph.settings_of(phase, resolved)
        batch = int(settings.batch) if phase.batched else 1
        lengths.append(typical_prompt(phase, columns, settings, batch=batch)[1])
    return lengths[1] / lengths[0]


def _is_complete(graph: Graph, run: Mapping[str, Any], ledger: Ledger) -> bool:
    done = {str(row["phase"]) for row in ledger.phases(str(run["run_id"])) if row["status"] == "complete"}
    return done >= set(graph.names)
