"""A graph: a list of phases. From the list follow inputs, columns, settings and fingerprints of each phase."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from enrich_assets.core.errors import DeclarationError, UnknownPhase
from enrich_assets.core.fingerprint import code_fingerprint, fingerprint, sha256
from enrich_assets.core.settings import Settings, inherited_fields, validated_settings
from enrich_assets.engine.answer_schema import schema_of
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.settings import EngineSettings


@dataclass(frozen=True)
class RunInfo:
    """What a phase may know of its run. `as_of` is the moment that counts as now; `fresh_from` the moment from
    which stored pages and search results count."""

    graph: str
    run_id: str
    title: str
    as_of: datetime
    fresh_from: datetime


class Graph:
    """A named list of phases with their shared settings.

    `sites`: presets whose pages are served on loopback while a row phase runs; each opens to something with `routes`.
    `prefixed`: the asset keys carry the graph's name (`tables/read`); the intelligence graph keeps bare keys.
    Raises DeclarationError when the list does not fit together.
    """

    def __init__(
        self,
        name: str,
        phases: Sequence[Callable[..., Any]],
        *,
        shared: type[EngineSettings],
        prefixed: bool = True,
        description: str = "",
        sites: Mapping[str, Callable[[], AbstractContextManager[Any]]] | None = None,
    ) -> None:
        self.name = name
        self.phases: tuple[Phase, ...] = tuple(_declaration(function) for function in phases)
        self.shared = shared
        self.prefixed = prefixed
        self.description = description
        self.sites = dict(sites or {})
        self._check()

    @property
    def first(self) -> Phase:
        """The phase that freezes the run's settings."""
        return self.phases[0]

    @property
    def last(self) -> Phase:
        """The phase that a complete run ends with."""
        return self.phases[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the phases in order."""
        return tuple(phase.name for phase in self.phases)

    def number(self, phase: Phase) -> int:
        """Position of the phase, from 1."""
        return self.names.index(phase.name) + 1

    def phase(self, name: str | int) -> Phase:
        """The phase of that name or number; raises UnknownPhase with the near misses."""
        text = str(name)
        numbers = {str(number): phase for number, phase in enumerate(self.phases, 1)}
        if text in numbers:
            return numbers[text]
        if text in self.names:
            return self.phases[self.names.index(text)]
        close = difflib.get_close_matches(text, self.names, n=2)
        known = ", ".join(f"{i} {n}" for i, n in enumerate(self.names, 1))
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Its phases: {known}."
        raise UnknownPhase(f"{text!r:.80} is no phase of the graph {self.name}.", fix=hint)

    def before(self, phase: Phase) -> tuple[Phase, ...]:
        """The phases before this one."""
        return self.phases[: self.number(phase) - 1]

    def after(self, phase: Phase) -> tuple[Phase, ...]:
        """The phases after this one."""
        return self.phases[self.number(phase) :]

    def main_input(self, phase: Phase) -> Phase | None:
        """The phase whose rows this one gets: the one before it in the list."""
        earlier = self.before(phase)
        return earlier[-1] if earlier else None

    def inputs(self, phase: Phase) -> tuple[str, ...]:
        """Names of every phase that this one is made from, in graph order; the first phase gives the settings."""
        if phase is self.first:
            return ()
        if "history" in phase.parameters():
            return tuple(earlier.name for earlier in self.before(phase))
        main = self.main_input(phase)
        named = {self.first.name, *(name.partition("/")[0] for name in phase.also)}
        if main is not None:
            named.add(main.name)
        return tuple(name for name in self.names if name in named)

    def upstream(self, phase: Phase) -> tuple[str, ...]:
        """Names of the phases whose rows, document or record this one reads, in graph order.

        The first phase is among them only where more than the run's frozen settings is read of it: these never change.
        """
        reads_first = self.main_input(phase) is self.first or self.first.name in phase.also
        if reads_first or "history" in phase.parameters():
            return self.inputs(phase)
        return tuple(name for name in self.inputs(phase) if name != self.first.name)

    def columns(self, phase: Phase) -> dict[str, Column]:
        """Columns of the phase's table besides `row_id`; empty for a document."""
        if phase.makes == "document":
            return {}
        main = self.main_input(phase)
        if phase.creates or main is None or main.makes == "document":
            return dict(phase.adds)
        return {**self.columns(main), **phase.adds}

    def volatile(self, phase: Phase) -> tuple[str, ...]:
        """Columns of the phase's table that do not count for its data hash."""
        return tuple(name for name, column in self.columns(phase).items() if column.volatile)

    @cached_property
    def settings_model(self) -> type[Settings]:
        """The settings of a run: the shared ones and, under each phase's name, its own."""
        fields: dict[str, Any] = {
            phase.name: (
                phase.settings,
                Field(default_factory=phase.settings, description=f"Settings of {phase.name}."),
            )
            for phase in self.phases
            if phase.settings.model_fields
        }
        return create_model(f"{self.name.title()}Settings", __base__=self.shared, **fields)

    def resolve(self, values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
        """Settings with every default and every inherited value filled in, as plain JSON-able data."""
        settings = validated_settings(self.settings_model, values, where=where)
        resolved = settings.model_dump(mode="json")
        for phase in self.phases:
            for name in inherited_fields(phase.settings):
                if resolved[phase.name][name] is None:
                    resolved[phase.name][name] = resolved[name]
        return resolved

    def unresolved(self, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Resolved settings without what was inherited, so that a changed shared setting reaches every heir."""
        values = {name: resolved[name] for name in self.settings_model.model_fields if name in resolved}
        for phase in self.phases:
            own = dict(values.get(phase.name, {}))
            for name in inherited_fields(phase.settings):
                if own.get(name) == resolved.get(name):
                    own.pop(name, None)
            if phase.name in values:
                values[phase.name] = own
        return values

    def settings_of(self, phase: Phase, resolved: Mapping[str, Any]) -> Any:
        """The phase's own settings out of resolved ones, as its declared model."""
        return validated_settings(phase.settings, resolved.get(phase.name, {}), where=f"settings of {phase.name}")

    def shared_of(self, resolved: Mapping[str, Any]) -> Any:
        """The shared settings out of resolved ones, as the graph's shared model."""
        own = {name: resolved[name] for name in self.shared.model_fields if name in resolved}
        return validated_settings(self.shared, own, where="shared settings")

    def settings_fingerprint(self, phase: Phase, resolved: Mapping[str, Any]) -> str:
        """Fingerprint of the settings that this phase reads."""
        return fingerprint(resolved.get(phase.name, {}))

    def code_fingerprint(self, phase: Phase) -> str:
        """Fingerprint of the phase's code and prompts, and of the form of the answer that it asks for."""
        schema = None if phase.answer is None else schema_of(phase.answer)
        return fingerprint({"code": code_fingerprint(phase.module), "prompts": prompt_hashes(phase), "answer": schema})

    def _check(self) -> None:
        if not self.phases:
            raise DeclarationError(f"the graph {self.name} has no phases")
        seen: set[str] = set()
        for phase in self.phases:
            if phase.name in seen:
                raise DeclarationError(f"the graph {self.name} lists {phase.name!r} twice")
            self._check_settings(phase)
            main = self.main_input(phase)
            upstream = self.columns(main) if main is not None else {}
            for name in phase.reads:
                if name != "row_id" and name not in upstream and not (main and main.makes == "document"):
                    raise DeclarationError(
                        f"reads the column {name!r}, which {main.name if main else 'nothing'} does not have",
                        where=f"{self.name}.{phase.name}",
                        fix=f"It has: {', '.join(upstream)}.",
                    )
            if not phase.creates:
                for name in set(phase.adds) & set(upstream):
                    raise DeclarationError(f"adds the column {name!r} again", where=f"{self.name}.{phase.name}")
            for name in phase.also:
                owner, _, side = name.partition("/")
                if owner not in seen or (side and side not in self.phase(owner).sides):
                    raise DeclarationError(f"also reads {name!r}, which no earlier phase makes", where=phase.module)
                if phase.shape == "table" and (side or owner) not in phase.parameters():
                    raise DeclarationError(f"also reads {name!r}, but has no parameter for it", where=phase.module)
            seen.add(phase.name)

    def _check_settings(self, phase: Phase) -> None:
        where = f"{self.name}.{phase.name}"
        if phase.name in self.shared.model_fields:
            raise DeclarationError(f"a shared setting has the name {phase.name!r} too", where=where)
        for name in inherited_fields(phase.settings):
            if name not in self.shared.model_fields:
                raise DeclarationError(f"inherits the setting {name!r}, which nobody shares", where=where)
        for name in ("model", "batch") if phase.batched else ("model",):
            if phase.shape == "ask" and name not in phase.settings.model_fields:
                raise DeclarationError(f"asks a model, and its settings have no {name!r}", where=where)
        if phase.prompt is not None and not phase.prompt.is_file():
            raise DeclarationError(f"its prompt {phase.prompt.name!r} is not there", where=where)


def prompt_files(phase: Phase) -> list[Path]:
    """Every prompt file of a phase: `<phase>.md` and `<phase>_*.md` beside its module, and the one it declares."""
    folder = Path(inspect.getfile(phase.function)).parent
    declared = [phase.prompt] if phase.prompt else []
    return sorted({*folder.glob(f"{phase.name}.md"), *folder.glob(f"{phase.name}_*.md"), *declared})


def prompt_hashes(phase: Phase) -> dict[str, str]:
    """SHA-256 of every prompt file of a phase, by name."""
    return {file.name: sha256(file.read_bytes()) for file in prompt_files(phase)}


def _declaration(function: Callable[..., Any]) -> Phase:
    phase = getattr(function, "phase", None)
    if not isinstance(phase, Phase):
        raise DeclarationError(f"{function!r} is not declared as a phase", fix="Decorate it with ask, row or table.")
    return phase
