"""Forgetting a domain or a URL: what would go, and removing it so that a kill anywhere leaves nothing that comes back.

Belongs here: the order of the steps. How something is recognised belongs to `defs.traces`. The order:

1. the pattern is written to `forgotten.json`: from here on nobody fetches or replays it;
2. the phases that hold something, and all later ones, are leased, so that nobody works on them meanwhile;
3. answers of models and search services go, then registrations, then the phases, the last first;
4. extracted texts and documents go, and the page answers that name them last.

Each step recognises what it removes by what later steps remove. So the same command finishes what was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged
from enrich_assets.core.files import files_below, remove, remove_empty_folders
from enrich_assets.defs.standing import envelopes_of
from enrich_assets.defs.traces import Traces, addresses_of, find_pages, first_holding, hits_left, quoting, without_it
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.store import Store
from enrich_assets.web.forgotten import ForgottenFile, Pattern
from enrich_assets.web.page_store import PageStore

LEASE = "forget"
"""Name of the lease under which `forgotten.json` is changed."""


@dataclass(frozen=True)
class HeldRun:
    """A run that holds something: `phases` are unpublished, `published` are those of them that have an artifact, and
    `registration` takes the place of its own where one is given."""

    graph: Graph
    run_id: str
    phases: tuple[str, ...]
    published: tuple[str, ...]
    registration: dict[str, Any] | None


@dataclass(frozen=True)
class Plan:
    """What would go. `search` has what is left of an answer by its id."""

    traces: Traces
    texts: int
    search: dict[int, dict[str, Any]]
    models: frozenset[int]
    runs: tuple[HeldRun, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many of what."""
        return {
            "pages": len(self.traces.bodies),
            "texts": self.texts,
            "page_answers": len(self.traces.page_answers),
            "search_answers": len(self.search),
            "model_answers": len(self.models),
            "runs": sum(bool(run.published or run.registration) for run in self.runs),
            "phases": sum(len(run.published) for run in self.runs),
        }


def plan_forgetting(pattern: Pattern, graphs: Iterable[Graph], store: Store, ledger: Ledger) -> Plan:
    """What holds something of a pattern. Reads every record, answer and artifact; writes nothing."""
    known = list(graphs)
    traces, pages = Traces(pattern), PageStore(store.root)
    find_pages(traces, ledger, pages)
    runs = tuple(run for graph in known for run in _held_runs(traces, graph, store, ledger))
    quoted = {phase.name for graph in known for phase in graph.phases if phase.shape == "row"}
    models = frozenset(answer.id for answer in ledger.answers("model") if quoting(traces, answer, quoted))
    search = {answer.id: left for answer in ledger.answers("search") if (left := hits_left(traces, answer)) is not None}
    texts = sum(len(files_below(folder)) > 0 for folder in _text_folders(traces, store))
    return Plan(traces, texts, search, models, runs)


def forget(
    pattern: Pattern, graphs: Iterable[Graph], store: Store, ledger: Ledger, *, clock: Callable[[], datetime]
) -> dict[str, int]:
    """Removes everything that holds something of a pattern, for good; gives how many of what.

    Raises LeaseTaken, before anything is removed, while anybody works on any run: it may have the pages open.
    """
    known, file = list(graphs), ForgottenFile(store.root)
    with ExitStack() as held:
        _hold(held, ledger, LEASE)
        ledger.refuse_if_worked_on()
        is_new = file.entry(pattern) is None
        file.begin(pattern, clock().isoformat(timespec="seconds"))
        try:
            ledger.refuse_if_worked_on()  # whoever began in between has not heard of it; who begins now has
            plan = plan_forgetting(pattern, known, store, ledger)
            for run in plan.runs:
                for phase in run.phases:
                    _hold(held, ledger, f"{run.run_id}/{phase}")
        except BaseException:
            if is_new:
                file.withdraw(pattern)
            raise
        file.note(pattern, plan.counts)
        _remove_answers(plan, ledger)
        for run in plan.runs:
            _take_back(run, store, ledger)
        _set_latest_right(plan, store)
        _remove_pages(plan, store)
        ledger.remove_answers(plan.traces.page_answers)
        ledger.truncate_log()
        file.finish(pattern, clock().isoformat(timespec="seconds"))
    return plan.counts


def lift(pattern: Pattern, store: Store, ledger: Ledger, *, clock: Callable[[], datetime]) -> bool:
    """Lets the pages of a pattern be read again; False where it is not forgotten. What was removed stays away."""
    with ExitStack() as held:
        _hold(held, ledger, LEASE)
        return ForgottenFile(store.root).lift(pattern, clock().isoformat(timespec="seconds"))


def _held_runs(traces: Traces, graph: Graph, store: Store, ledger: Ledger) -> list[HeldRun]:
    listed = {str(run["run_id"]) for run in ledger.runs(graph.name)}
    found = []
    for run_id in sorted(listed | set(store.runs(graph.name))):
        first = first_holding(traces, graph, run_id, store) or _damaged_phase(traces, graph, run_id, store)
        registration = without_it(traces, ledger.registration(run_id) or {})
        if first or registration:
            phases = graph.names[graph.names.index(first) :] if first else ()
            published = set(store.phases(graph.name, run_id))
            found.append(
                HeldRun(graph, run_id, tuple(phases), tuple(n for n in phases if n in published), registration)
            )
    return found


def _damaged_phase(traces: Traces, graph: Graph, run_id: str, store: Store) -> str:
    """The first artifact that nobody can look into, of a run that fetched something of the pattern."""
    if run_id not in traces.runs_that_fetched:
        return ""
    found = envelopes_of(graph, run_id, store)
    return next((name for name in graph.names if isinstance(found[name], ArtifactDamaged)), "")


def _hold(held: ExitStack, ledger: Ledger, name: str) -> None:
    lease = ledger.lease(name)
    held.callback(lease.release)


def _remove_answers(plan: Plan, ledger: Ledger) -> None:
    ledger.remove_answers(plan.models)
    for answer_id, left in plan.search.items():
        ledger.replace_answer(answer_id, left)


def _take_back(run: HeldRun, store: Store, ledger: Ledger) -> None:
    from enrich_assets.defs.views import repair_run

    if run.registration is not None:
        ledger.replace_registration(run.run_id, run.registration)
    for phase in reversed(run.phases):
        store.unpublish(run.graph.name, run.run_id, phase)
    if run.phases:
        envelopes = envelopes_of(run.graph, run.run_id, store, every_file=False)
        repair_run(run.graph, run.run_id, envelopes, store=store, ledger=ledger, instance=None)


def _set_latest_right(plan: Plan, store: Store) -> None:
    from enrich_assets.defs.views import repair_latest

    for graph in {run.graph.name: run.graph for run in plan.runs if run.phases}.values():
        repair_latest(graph, store)


def _remove_pages(plan: Plan, store: Store) -> None:
    traces, pages = plan.traces, PageStore(store.root)
    for folder in _text_folders(traces, store):
        for path in files_below(folder):
            remove(path)
            remove_empty_folders(path.parent, up_to=store.root)
    for key in sorted(traces.bodies):
        pages.remove(key)
    for key in sorted(traces.shared):
        pages.remove_records(key, lambda record: any(map(traces.is_of_it, addresses_of(record))))


def _text_folders(traces: Traces, store: Store) -> list[UPath]:
    """Where the texts stand that were extracted from its documents: `texts/<2 hex>/<sha256>/`."""
    return [store.root / "texts" / key[:2] / key for key in sorted(traces.bodies)]
