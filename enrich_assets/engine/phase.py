"""The declaration of a phase: the contract between a phase's module and the engine.

A phase is one decorated function. The decorated name stays the plain function; its `Phase` hangs on it as
`function.phase`. Three shapes:

- `ask`    a prompt per row (or K rows a call) → a validated answer → a pure function `(row, answer, settings)`
- `row`    an async function `(row, clients, settings)`; each call of a client is cached on its own
- `table`  a pure function of the whole table

What a function returns for a row: the new columns as a dict, `Drop(reason)`, or, in a fan-out phase, `Created`.
The engine counts: every input row ends as exactly one of kept, dropped, failed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from enrich_assets.core.errors import DeclarationError
from enrich_assets.core.settings import Settings
from enrich_assets.engine.answer_schema import SchemaExtra, narrowed
from enrich_assets.engine.columns import Column

Row = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Drop:
    """A row leaves here. `reason` is a short constant that can be counted; `value` is what decided it."""

    reason: str
    value: Any = None
    detail: str = ""


@dataclass(frozen=True)
class Failed:
    """A created row that could not be made: `kind` is countable (`http 404`, `timeout`), `message` for people.

    `waits`: the cause may pass, so that resume tries again.
    """

    kind: str
    message: str = ""
    waits: bool = False


@dataclass(frozen=True)
class Created:
    """What a fan-out phase makes of one input row.

    `rows` carry `row_id` and the declared columns. `dropped` and `failed` are rows that were on their way
    (`row_id` and whatever identifies them). `side` adds rows to the phase's declared side tables. `failure` says
    that the input row itself failed, and still lets it leave rows in the side tables.
    """

    rows: Sequence[Row] = ()
    dropped: Sequence[tuple[Row, Drop]] = ()
    failed: Sequence[tuple[Row, Failed]] = ()
    side: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    failure: Failed | None = None


@dataclass(frozen=True)
class Selection:
    """What a table phase decided: the kept rows in their final order, and every other row with its reason.

    `kept` rows carry `row_id` and the added columns (other columns may be left out: they are joined from the
    input by `row_id`). `dropped` maps `row_id` to Drop.
    """

    kept: Sequence[Row]
    dropped: Mapping[str, Drop] = field(default_factory=dict)
    side: Mapping[str, Sequence[Row]] = field(default_factory=dict)


class Figure(Protocol):
    """A figure that a phase names. `draw` gives files by name, with `dpi` dots an inch; `spark` an SVG under 1,000
    characters or ''. `table` is None for a document."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def draw(self, table: pa.Table, outcome: Any, dpi: int = 100) -> dict[str, bytes]: ...

    def spark(self, table: pa.Table, outcome: Any) -> str: ...


@dataclass(frozen=True)
class Check:
    """A check on what the phase publishes.

    `function(outcome, settings)` gets the Outcome (tables, counts) and returns None when all is well, or one
    sentence that says what is wrong. `blocking`: later phases refuse the artifact when it fails.
    """

    name: str
    function: Callable[..., str | None]
    blocking: bool = False

    @property
    def description(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or self.name).splitlines()[0]


Shape = Literal["ask", "row", "table"]


@dataclass(frozen=True)
class Phase:
    """Everything the engine, the store and Dagster know of a phase."""

    name: str
    shape: Shape
    function: Callable[..., Any]
    settings: type[Settings]
    adds: Mapping[str, Column]
    makes: Literal["table", "document"] = "table"
    creates: bool = False
    also: tuple[str, ...] = ()
    sides: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    checks: tuple[Check, ...] = ()
    quarantines: bool = False
    """Whether what it drops broke a rule: such rows count as validation errors."""
    # ask
    reads: tuple[str, ...] = ()
    prompt: Path | None = None
    answer: type[BaseModel] | None = None
    schema_extra: SchemaExtra | None = None
    batched: bool = False
    without_model: Callable[..., BaseModel] | None = None
    select: Callable[..., Mapping[str, Drop]] | None = None

    @property
    def module(self) -> str:
        """Dotted name of the module that holds the phase."""
        return self.function.__module__

    @property
    def description(self) -> str:
        """The function's docstring: the text that the UI shows."""
        return inspect.getdoc(self.function) or ""

    def answer_for(self, settings: Any) -> type[BaseModel]:
        """The model of the answer, its JSON schema narrowed by what the settings say of it."""
        assert self.answer is not None
        return self.answer if self.schema_extra is None else narrowed(self.answer, self.schema_extra(settings))

    @property
    def asks_a_model(self) -> bool:
        """Whether the settings of this phase choose a model."""
        return "model" in self.settings.model_fields

    def parameters(self) -> tuple[str, ...]:
        """Names of the function's parameters, in order."""
        return tuple(inspect.signature(self.function).parameters)


def ask(
    *,
    reads: Sequence[str],
    prompt: str,
    answer: type[BaseModel],
    without_model: Callable[..., BaseModel],
    adds: Mapping[str, Column],
    settings: type[Settings],
    schema_extra: SchemaExtra | None = None,
    batched: bool = False,
    select: Callable[..., Mapping[str, Drop]] | None = None,
    figures: Sequence[Figure] = (),
    checks: Sequence[Check] = (),
) -> Callable[[F], F]:
    """Declares `function(row, answer, settings) -> dict | Drop`, pure.

    `reads`: the columns the prompt sees, and nothing else. `prompt`: a template beside the module (see
    engine.prompts). `schema_extra(settings)` gives what the answer's JSON schema says besides the model, by field (see
    engine.answer_schema): only what the rendered prompt says too, never a bound that decides. `batched`: K rows travel
    in one request, K = `settings.batch`. `without_model(row, settings)` gives the answer of the embedded model.
    `select(kept, settings)` may drop further rows by looking at all kept ones together (`kept`: list of rows with the
    added columns; returns row_id → Drop); it is recomputed, never paid.

    The function may raise MalformedAnswer to have the model asked again with that reason.
    """

    def declare(function: F) -> F:
        return _hang(
            function,
            Phase(
                name=function.__name__,
                shape="ask",
                function=function,
                settings=settings,
                adds=dict(adds),
                reads=tuple(reads),
                prompt=Path(inspect.getfile(function)).parent / prompt,
                answer=answer,
                schema_extra=schema_extra,
                batched=batched,
                without_model=without_model,
                select=select,
                figures=tuple(figures),
                checks=tuple(checks),
            ),
        )

    return declare


def row(
    *,
    adds: Mapping[str, Column],
    settings: type[Settings],
    reads: Sequence[str] = (),
    creates: bool = False,
    also: Sequence[str] = (),
    sides: Mapping[str, Mapping[str, Column]] | None = None,
    figures: Sequence[Figure] = (),
    checks: Sequence[Check] = (),
) -> Callable[[F], F]:
    """Declares `async function(row, clients, settings) -> dict | Drop | Created`.

    `reads`: the columns the function sees (all of them when empty). `creates`: the function returns Created and
    the phase's table has only the columns in `adds`. Every call through `clients` is cached on its own.
    """

    def declare(function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise DeclarationError(f"the row phase {function.__name__!r} must be an async function")
        return _hang(
            function,
            Phase(
                name=function.__name__,
                shape="row",
                function=function,
                settings=settings,
                adds=dict(adds),
                reads=tuple(reads),
                creates=creates,
                also=tuple(also),
                sides=dict(sides or {}),
                figures=tuple(figures),
                checks=tuple(checks),
            ),
        )

    return declare


def table(
    *,
    adds: Mapping[str, Column] | None = None,
    settings: type[Settings],
    makes: Literal["table", "document"] = "table",
    also: Sequence[str] = (),
    sides: Mapping[str, Mapping[str, Column]] | None = None,
    figures: Sequence[Figure] = (),
    checks: Sequence[Check] = (),
    quarantines: bool = False,
) -> Callable[[F], F]:
    """Declares a pure function of the whole table: `(rows, settings, …) -> Selection`, or a dict for a document.

    The first parameter gets the rows of the phase before (a list of dicts; absent for the first phase).
    Further parameters are given by name: `settings`; `run` (RunInfo); `history` (the envelopes of all earlier
    phases of the run, by name); and the rows, or the document, of each phase named in `also`. `quarantines`: what it
    drops broke a rule.
    """

    def declare(function: F) -> F:
        return _hang(
            function,
            Phase(
                name=function.__name__,
                shape="table",
                function=function,
                settings=settings,
                adds=dict(adds or {}),
                makes=makes,
                also=tuple(also),
                sides=dict(sides or {}),
                figures=tuple(figures),
                checks=tuple(checks),
                quarantines=quarantines,
            ),
        )

    return declare


def _hang(function: F, phase: Phase) -> F:
    if "row_id" in phase.adds and not phase.creates:
        raise DeclarationError(f"{phase.name}: row_id is the engine's column", where=phase.module)
    function.phase = phase  # type: ignore[attr-defined]
    return function
