"""Estimating a run: what is known of each phase before it runs, put together from ledger, envelopes and settings.

Belongs here: gathering. The arithmetic is in `engine.estimate`, what earlier runs show in `defs.past_runs`, what is
assumed without one in `defs.assuming`, what the ledger answers already in `defs.known_answers`. Nothing is sent and
nothing is written. No Dagster here, so that estimating needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.fingerprint import fingerprint
from enrich_assets.core.settings import inherited_fields
from enrich_assets.defs.assuming import assumed_of, limit_of, said, token_prices, warnings_of
from enrich_assets.defs.known_answers import characters_a_call, look_up
from enrich_assets.defs.past_runs import Past, actual_of, asked_model, past_run, past_runs, seen_of
from enrich_assets.defs.standing import where_it_stands
from enrich_assets.engine.estimate import Estimate, accuracy, estimate
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.plans import Looked, Plan, Seen
from enrich_assets.engine.series import series_of
from enrich_assets.engine.settings import EngineSettings, engine_settings
from enrich_assets.models.llm import endpoint_of, endpoints_of, parameters_of
from enrich_assets.store.store import Store
from enrich_assets.web.settings import FREE_PROVIDERS

_RUNS, _ROWS = 5, 5000
"""Earlier runs that give rates, and rows of a phase that are looked up one by one."""
_RUNS_AT_BEGIN, _ROWS_AT_BEGIN = 2, 40
"""The same when a run begins, which must not wait for its estimate."""
_SAMPLE = 24
"""Rows of an earlier run whose prompts tell how many tokens a character has."""


def estimate_new(graph: Graph, registered: Mapping[str, Any], store: Store, ledger: Ledger) -> Estimate:
    """The estimate of a run that would begin now with this registration (`defs.runs.new_registration`)."""
    return _Gathering(graph, registered, store, ledger).estimate()


def estimate_rest(graph: Graph, run_id: str, registered: Mapping[str, Any], store: Store, ledger: Ledger) -> Estimate:
    """The estimate of what is left of a run: phases that are done cost nothing more."""
    own = past_run(graph, run_id, store, ledger, also=graph.names)
    standings = where_it_stands(graph, run_id, store, ledger, every_file=False)
    done = {one.phase.name for one in standings if one.state == "done"}
    return _Gathering(graph, registered, store, ledger, own=own, done=done).estimate()


def freeze_estimate(graph: Graph, registered: dict[str, Any], store: Store, ledger: Ledger) -> None:
    """Puts the estimate of a run that begins into its registration, under `estimate`.

    It counts for no hash. A run begins without one where it cannot be made; `notes` says so.
    """
    try:
        gathering = _Gathering(graph, registered, store, ledger, most_runs=_RUNS_AT_BEGIN, most_rows=_ROWS_AT_BEGIN)
        registered["estimate"] = gathering.estimate().compact()
        registered["volatile"] = ["estimate"]
    except Exception as error:  # the boundary: no run is to stop for what only foretells its cost
        note = f"The cost was not estimated: {type(error).__name__}: {error}"
        registered["notes"] = [*registered.get("notes", ()), note[:500]]


def how_far_off(graph: Graph, run_id: str, store: Store, ledger: Ledger) -> dict[str, Any] | None:
    """How far off the estimate was that was frozen when a run began (`engine.estimate.accuracy`); None without one."""
    frozen = (ledger.registration(run_id) or {}).get("estimate")
    past = past_run(graph, run_id, store, ledger)
    if not frozen or past is None:
        return None
    calls, usd = actual_of(past)
    return accuracy(frozen, calls=calls, usd=usd)


@dataclass
class _Gathering:
    """What is known of a run. `own`: what the run itself has made, `done`: its phases that stand."""

    graph: Graph
    registered: Mapping[str, Any]
    store: Store
    ledger: Ledger
    own: Past | None = None
    done: set[str] = field(default_factory=set)
    most_runs: int = _RUNS
    most_rows: int = _ROWS

    def __post_init__(self) -> None:
        self.resolved: Mapping[str, Any] = self.registered["settings"]
        self.run_id = self.own.run_id if self.own else ""
        like = str(self.registered.get("like") or "")
        self.base = past_run(self.graph, like, self.store, self.ledger) if like else None
        series = series_of(self.registered)
        self.pasts = past_runs(self.graph, series, self.store, self.ledger, most=self.most_runs, but=self.run_id)
        self.shared = engine_settings(self.resolved)
        self.rows = _first_rows(self.graph, self.registered)
        self._made_by: dict[str, str] = {}
        """The run whose artifact of a phase is the one that this run has, or will have."""

    def estimate(self) -> Estimate:
        plans = [self._plan(phase) for phase in self.graph.phases]
        found = estimate(plans, len(self.rows))
        warnings = warnings_of(found, self.shared.budget, self.ledger, self.run_id)
        return replace(found, basis=self._basis(found, plans), warnings=warnings)

    def _plan(self, phase: Phase) -> Plan:
        graph, resolved = self.graph, self.resolved
        settings = resolved.get(phase.name, {})
        model = asked_model(phase, resolved)
        envelope = self._standing(phase)
        held, is_same = (0, False) if envelope is not None else self._held(phase)
        return Plan(
            number=graph.number(phase),
            phase=phase.name,
            shape=phase.shape,
            creates=phase.creates,
            model=model,
            batch=int(settings.get("batch", 1)) if phase.batched else 1,
            limit=limit_of(phase, resolved, self.rows),
            sample=self.shared.sample if phase.asks_a_model else None,
            usd=token_prices(endpoint_of(model, endpoints_of(resolved))) if model else (0.0, 0.0),
            search_is_priced=resolved.get("search", {}).get("provider", "embedded") in FREE_PROVIDERS,
            done=self._done(phase, envelope),
            held=held,
            is_same=is_same,
            some_known=self._knows_some(phase, held) if envelope is None and model else False,
            looked=self._looked(phase) if envelope is None and phase.shape == "ask" and model else None,
            seen=self._seen(phase),
            assumed=assumed_of(graph, phase, resolved, self.rows),
        )

    def _done(self, phase: Phase, envelope: Envelope | None) -> tuple[int, int] | None:
        if phase is self.graph.first:
            return len(self.rows), len(self.rows)
        if envelope is None:
            return None
        counts = envelope.counts
        return counts.rows_in, counts.rows_out if phase.makes == "table" else counts.kept

    def _standing(self, phase: Phase) -> Envelope | None:
        """The envelope of an artifact that this run has already, or will make again without a call."""
        own = self.own.envelopes.get(phase.name) if self.own else None
        if phase.name in self.done and own is not None:
            self._made_by[phase.name] = self.run_id
            return own
        base = self.base
        if base is None:
            return None
        if phase is self.graph.first:
            if _first_rows(self.graph, base.registered) == self.rows:
                self._made_by[phase.name] = base.run_id
            return None
        envelope = base.envelopes.get(phase.name)
        needed = [name for name in self.graph.inputs(phase) if name != self.graph.first.name]
        main = self.graph.main_input(phase)
        stands = all(name in self._made_by for name in [*needed, *([main.name] if main else [])])
        if envelope is None or not stands or not self._is_as_in(base, phase, envelope):
            return None
        if phase.asks_a_model and base.resolved.get("sample") != self.resolved.get("sample"):
            return None
        self._made_by[phase.name] = base.run_id
        return envelope

    def _is_as_in(self, past: Past, phase: Phase, envelope: Envelope) -> bool:
        """Whether the phase asks the same of the same row as in an earlier run, and makes the same of the answer."""
        graph = self.graph
        model = asked_model(phase, self.resolved)
        return (
            envelope.status == "complete"
            and not envelope.counts.waiting
            and envelope.settings_fingerprint == graph.settings_fingerprint(phase, self.resolved)
            and envelope.code_fingerprint == graph.code_fingerprint(phase)
            and (not model or self._parameters(past.resolved, model) == self._parameters(self.resolved, model))
            and (phase.shape != "row" or _world(graph, past.resolved) == _world(graph, self.resolved))
        )

    def _held(self, phase: Phase) -> tuple[int, bool]:
        """Rows that were asked about already, and whether they are certain to be rows of this run."""
        if self.run_id and phase.shape == "row":
            working = {str(row["phase"]): row for row in self.ledger.phases(self.run_id)}.get(phase.name)
            if working is not None and working["status"] != "complete" and working["rows_done"]:
                return int(working["rows_done"]), True
        for past in (self.own, self.base):
            envelope = past.envelopes.get(phase.name) if past else None
            if past and envelope is not None and phase.shape != "table" and self._is_as_in(past, phase, envelope):
                counts = envelope.counts
                return counts.rows_in - counts.dropped_by_reason.get("beyond_sample", 0), False
        return 0, False

    def _knows_some(self, phase: Phase, held: int) -> bool:
        """Whether a run like this one has answers to some requests of a row phase that changed since."""
        past = self.own if self.own and phase.name in self.own.envelopes else self.base
        return phase.shape == "row" and not held and past is not None and phase.name in past.envelopes

    def _looked(self, phase: Phase) -> Looked | None:
        main = self.graph.main_input(phase)
        made_by = self._made_by.get(main.name) if main else None
        if main is None or made_by is None:
            return None
        table = self.store.load(self.graph.name, made_by, main.name).table
        if table is None:
            return None
        whole = table.num_rows if self.shared.sample is None else min(table.num_rows, self.shared.sample)
        some = min(whole, self.most_rows)
        looked = look_up(
            self.graph,
            phase,
            islice((row for batch in table.to_batches(max_chunksize=64) for row in batch.to_pylist()), some),
            self.resolved,
            self.ledger,
            run_id=self.run_id,
            fresh_from=datetime.fromisoformat(str(self.registered["fresh_from"])),
            tokens_per_character=self._tokens_per_character(phase),
        )
        if some == whole:
            return looked
        more = whole / some
        counts = {name: round(getattr(looked, name) * more) for name in ("kept", "open", "calls", "known")}
        return replace(looked, **counts)

    def _tokens_per_character(self, phase: Phase) -> float | None:
        main = self.graph.main_input(phase)
        if main is None or self.most_rows < _ROWS:
            return None
        for past in self.pasts:
            seen = seen_of(self.graph, phase, past, past.resolved)
            if seen is not None and seen.calls:
                table = self.store.load(self.graph.name, past.run_id, main.name).table
                rows = [] if table is None else table.slice(0, _SAMPLE).to_pylist()
                characters = characters_a_call(self.graph, phase, rows, past.resolved)
                return seen.tokens_in / seen.calls / characters if characters else None
        return None

    def _seen(self, phase: Phase) -> list[Seen]:
        runs = {past.run_id: past for past in ([self.base] if self.base else []) + self.pasts}
        found = [seen_of(self.graph, phase, past, self.resolved) for past in runs.values()]
        return [one for one in found if one is not None and one.rows > 0]

    def _basis(self, found: Estimate, plans: Sequence[Plan]) -> tuple[str, ...]:
        told: list[str] = []
        if self.base is not None:
            told.append(f"Answers and pages of {self.base.run_id} are replayed: what did not change costs nothing.")
        names = ", ".join(past.run_id for past in self.pasts)
        if self.pasts:
            others = {series_of(past.registered) for past in self.pasts} - {series_of(self.registered)}
            told.append(f"Rates are those of {names}{', of another series' if others else ''}.")
        assumed = said(found, plans)
        if assumed:
            told.append(f"{'Assumed' if self.pasts else 'No earlier run: assumed'} {assumed}.")
        if self.pasts and not (self.base or self.own) and found.calls.high:
            told.append(
                "Texts that an earlier run has asked about cost nothing again; how many they are, reading tells."
            )
        return tuple(told)

    def _parameters(self, resolved: Mapping[str, Any], model: str) -> dict[str, Any]:
        return dict(parameters_of(endpoint_of(model, endpoints_of(resolved))))


def _first_rows(graph: Graph, registered: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows that the first phase will make: it is a pure function of the registration."""
    document = graph.first.function(registered)
    return list(document.get("rows", ())) if isinstance(document, Mapping) else []


def _world(graph: Graph, resolved: Mapping[str, Any]) -> str:
    """Fingerprint of the shared settings that clients read: where things are searched, and how pages are fetched."""
    # The sources are the first rows, and are compared as such.
    apart = {*EngineSettings.model_fields, "models", "sources", "compare_with"}
    apart |= {name for phase in graph.phases for name in inherited_fields(phase.settings)}
    return fingerprint({name: resolved.get(name) for name in graph.shared.model_fields if name not in apart})
