"""What the ledger knows already of the rows that a phase is about to ask about. Nothing is sent, nothing is written.

Belongs here: walking the engine's own way through the answers, as far as they reach. What follows from it for a run's
cost belongs to `defs.estimating`. No Dagster here, so that estimating needs none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from enrich_assets.core.errors import CallError, DeclarationError, FinalError
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import EndpointLimits, ModelReply, Prompt, Weight
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.looping import run_to_end
from enrich_assets.engine.phase import Drop, Phase, Row
from enrich_assets.engine.plans import Looked
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.engine.requests import Reply, Request, replayed
from enrich_assets.engine.sending import Sender, current_row
from enrich_assets.engine.typical import CHARACTERS_A_TOKEN
from enrich_assets.models.llm import endpoint_of, endpoints_of, parameters_of
from enrich_assets.models.settings import ModelEndpoint


def look_up(
    graph: Graph,
    phase: Phase,
    rows: Iterable[Row],
    resolved: Mapping[str, Any],
    ledger: Ledger,
    *,
    run_id: str,
    fresh_from: datetime,
    tokens_per_character: float | None = None,
) -> Looked:
    """What an `ask` phase would find answered, and what it would have to ask, with the very prompts it would send.

    Tokens are those of the prompts' characters: at the ratio of answers that were found, else at the given one, else
    at that of English text.
    """
    seen = _Walk(graph, phase, resolved, ledger, run_id=run_id, fresh_from=fresh_from)
    run_to_end(lambda: seen.through(rows))
    characters = sum(seen.batches(), start=sum(seen.alone))
    calls = -(-len(seen.open) // seen.batch) + len(seen.alone)
    ratio = seen.ratio or tokens_per_character or 1 / CHARACTERS_A_TOKEN
    return Looked(
        kept=seen.kept,
        open=len(seen.open) + len(seen.alone),
        calls=calls,
        known=seen.known,
        tokens_in=characters * ratio / calls if calls else 0.0,
    )


def characters_a_call(graph: Graph, phase: Phase, rows: Sequence[Row], resolved: Mapping[str, Any]) -> float:
    """Characters of the prompts of an `ask` phase about these rows, a call on average."""
    assert phase.prompt is not None
    settings = graph.settings_of(phase, resolved)
    template, size = load_prompt(phase.prompt), int(settings.batch) if phase.batched else 1
    seen = [_columns(phase, row) for row in rows]
    groups = [seen[start : start + size] for start in range(0, len(seen), size)]
    prompts = [
        template.render_batch(rows=group, settings=settings)
        if len(group) > 1
        else template.render(row=group[0], settings=settings)
        for group in groups
    ]
    return sum(map(_length, prompts)) / len(prompts) if prompts else 0.0


class _NotKnown(FinalError):
    """The ledger does not hold the answer: here the request would leave."""


class _KnownCalls(Calls):
    """Calls that go as far as the ledger's answers reach."""

    last: Reply | None = None

    async def make(
        self,
        request: Request,
        send: Callable[[], Awaitable[Reply]],
        *,
        endpoint: str = "",
        weigh: Callable[[], Weight] | None = None,
        not_before: datetime | None = None,
    ) -> Reply:
        """The ledger's reply; raises _NotKnown where there is none, else as `Calls.make` does."""
        stored = self.known(request, not_before=not_before)
        if stored is None:
            raise _NotKnown("not asked yet")
        self.meter.answers_reused += 1
        self.last = stored.reply
        return replayed(stored)


class _NothingIsSent:
    """A transport that knows parameters, which are part of a request's hash, and sends nothing."""

    def __init__(self, endpoints: Mapping[str, ModelEndpoint]) -> None:
        self._endpoints = endpoints

    def parameters(self, model: str) -> Mapping[str, Any]:
        return parameters_of(endpoint_of(model, self._endpoints))

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        raise DeclarationError("an estimate weighs no request")

    def limits(self, model: str) -> EndpointLimits:
        return EndpointLimits(model)

    async def is_ready(self, model: str) -> bool:
        return False

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        raise DeclarationError("an estimate sends no request")


class _Walk:
    """One way through the rows of a phase, as `engine.shapes` would go it."""

    def __init__(
        self,
        graph: Graph,
        phase: Phase,
        resolved: Mapping[str, Any],
        ledger: Ledger,
        *,
        run_id: str,
        fresh_from: datetime,
    ) -> None:
        assert phase.prompt is not None
        self._phase = phase
        self._settings = graph.settings_of(phase, resolved)
        self._template = load_prompt(phase.prompt)
        self._answer = phase.answer_for(self._settings)
        renewal = ledger.renewal(run_id, phase.name)
        self._calls = _KnownCalls(
            ledger,
            Sender(ledger, run_id=run_id, phase=phase.name),
            run_id=run_id,
            phase=phase.name,
            fresh_from=fresh_from,
            again_from=renewal.again_from,
            retry_from=renewal.retry_from,
            retry_rows=renewal.retry_rows,
        )
        self._asker = Asker(self._calls, _NothingIsSent(endpoints_of(resolved)), attempts=int(resolved["attempts"]))
        self.batch = int(self._settings.batch) if phase.batched else 1
        self.kept = 0
        self.known = 0
        self.open: list[dict[str, Any]] = []
        """Rows that nobody asked about yet; they travel together where the phase asks for several in one request."""
        self.alone: list[int] = []
        """Characters of the prompts that ask again about a row whose known answer cannot be used."""
        self._characters_known = 0.0
        self._tokens_known = 0

    @property
    def ratio(self) -> float | None:
        """Tokens a character, of the answers that were found."""
        return self._tokens_known / self._characters_known if self._characters_known and self._tokens_known else None

    async def through(self, rows: Iterable[Row]) -> None:
        """Looks every row up."""
        for row in rows:
            await self._look_at(row)
        self.known = self._calls.meter.answers_reused

    def batches(self) -> list[int]:
        """Characters of the prompts about the open rows."""
        groups = [self.open[start : start + self.batch] for start in range(0, len(self.open), self.batch)]
        if self.batch == 1:
            return [_length(self._template.render(row=row, settings=self._settings)) for row in self.open]
        return [_length(self._template.render_batch(rows=group, settings=self._settings)) for group in groups]

    async def _look_at(self, row: Row) -> None:
        phase, prompts = self._phase, list[Prompt]()
        columns = _columns(phase, row)
        current_row.set(str(row["row_id"]))
        before = self._calls.meter.answers_reused

        def prompt(note: str) -> Prompt:
            prompts.append(self._template.render(row=columns, settings=self._settings, note=note))
            return prompts[-1]

        try:
            outcome = await self._asker.ask_until(
                prompt,
                self._answer,
                lambda found: phase.function(row, found, self._settings),
                model=str(self._settings.model),
            )
        except _NotKnown:
            if len(prompts) == 1:
                self.open.append(columns)
            else:
                self.alone.append(_length(prompts[-1]))
        except CallError:
            pass  # it failed, and the ledger remembers that: it costs nothing, and leaves
        else:
            self.kept += not isinstance(outcome, Drop)
        if self._calls.meter.answers_reused > before and self._calls.last is not None:
            # Of a request about several rows each answer has its share of the tokens.
            self._tokens_known += self._calls.last.tokens_in
            self._characters_known += len(prompts[0].system) / self.batch + len(prompts[0].user)


def _columns(phase: Phase, row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in ("row_id", *phase.reads)}


def _length(prompt: Prompt) -> int:
    return len(prompt.system) + len(prompt.user)
