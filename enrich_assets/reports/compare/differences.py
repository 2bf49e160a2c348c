"""What two runs were given that differs: settings by path, prompts, models, code; and which of it a phase sees."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.made_with import CODE, PROMPTS
from enrich_assets.engine.phase import Phase
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.reading import Run
from enrich_assets.reports.compare.content import Cause, ModelDifference, PromptDifference, SettingDifference

_LONGEST = 160
"""Characters of a value that are shown."""
_LINES = 200
"""Lines of a prompt's difference that are shown."""
_NAMES_ONLY = frozenset({"title", "preset"})
_OF_MODELS = ("model", "models")


@dataclass(frozen=True)
class Given:
    """What a phase was given otherwise in the new run.

    `asked` changes what a model answers, `decided` what is made of its answers; a phase that asks nobody has only the
    latter. `code` may change both.
    """

    asked: tuple[Cause, ...] = ()
    decided: tuple[Cause, ...] = ()
    code: tuple[Cause, ...] = ()

    @property
    def all(self) -> tuple[Cause, ...]:
        """All of it."""
        return (*self.asked, *self.decided, *self.code)


def setting_differences(graph: Graph, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[SettingDifference]:
    """The settings that differ, each where it is set: what a phase inherits is named once, where it is shared."""
    before, after = (graph.unresolved(settings) for settings in (old, new))
    return [
        SettingDifference(path=path, old=_shown(a), new=_shown(b))
        for path, a, b in value_differences(before, after)
        if path not in _NAMES_ONLY
    ]


def prompt_differences(phase: Phase, old: Run, new: Run) -> list[PromptDifference]:
    """The prompts of a phase that differ, with their lines where both runs kept the texts."""
    before, after = prompts_of(old, phase), prompts_of(new, phase)
    found = []
    for file in sorted({*before, *after}):
        (hash_a, text_a), (hash_b, text_b) = before.get(file, ("", "")), after.get(file, ("", ""))
        if hash_a != hash_b:
            lines = list(difflib.unified_diff(text_a.splitlines(), text_b.splitlines(), lineterm="", n=1))[2:]
            known = bool(text_a or not hash_a) and bool(text_b or not hash_b)
            found.append(
                PromptDifference(
                    phase=phase.name, file=file, old_sha256=hash_a, new_sha256=hash_b,
                    lines=lines[:_LINES] if known else [],
                )
            )  # fmt: skip
    return found


def prompts_of(run: Run, phase: Phase) -> dict[str, tuple[str, str]]:
    """Hash and text of each prompt that a phase was made with; what was registered where the artifact does not say."""
    envelope = envelope_of(run, phase)
    if envelope is not None and CODE in envelope.notes:
        texts = dict(envelope.notes.get(PROMPTS, {}))
        return {name: (sha256(text.encode("utf-8")), text) for name, text in texts.items()}
    registered = run.document(run.graph.first.name).get("prompts", {}).get(phase.name, {})
    return {name: (str(known), "") for name, known in registered.items()}


def model_difference(phase: Phase, old: Run, new: Run) -> ModelDifference | None:
    """The models that a phase asks, where they differ: by name, or in the endpoint that the name stands for."""
    if not phase.asks_a_model:
        return None
    before, after = _model(old, phase), _model(new, phase)
    if before == after:
        return None
    names = [str(found.get("named") or "none") for found in (before, after)]
    if names[0] == names[1]:
        changed = value_differences(before, after)
        names = [f"{names[0]} ({', '.join(f'{p} {_shown(pair[i])}' for p, *pair in changed)})" for i in (0, 1)]
    return ModelDifference(phase=phase.name, old=names[0], new=names[1])


def asks_model(phase: Phase, run: Run) -> bool:
    """Whether a phase of a run asked a model that is not the embedded one."""
    return phase.asks_a_model and not _is_embedded(_model(run, phase))


def code_differs(phase: Phase, old: Run, new: Run) -> bool:
    """Whether a phase was made by other code; a prompt that differs does not count as code."""
    before, after = envelope_of(old, phase), envelope_of(new, phase)
    if before is None or after is None or before.code_fingerprint == after.code_fingerprint:
        return False
    if CODE in before.notes and CODE in after.notes:
        return bool(before.notes[CODE] != after.notes[CODE])
    # An older artifact says of code and prompts together that something differs.
    return not prompt_differences(phase, old, new)


def given(phase: Phase, old: Run, new: Run) -> Given:
    """What differs in what a phase was given, apart from its input."""
    asked: list[Cause] = []
    decided: list[Cause] = []
    sees_prompts = any(asks_model(phase, run) for run in (old, new))
    for prompt in prompt_differences(phase, old, new) if sees_prompts else ():
        asked.append(Cause(kind="prompt", phase=phase.name, detail=f"{prompt.file} differs"))
    model = model_difference(phase, old, new)
    if model is not None:
        asked.append(Cause(kind="model", phase=phase.name, detail=f"{model.old} → {model.new}"))
    shown = _settings_in_prompt(phase)
    for path, cause in _settings_seen(phase, old, new):
        is_asked = phase.shape == "row" or path.partition(".")[0] in shown
        (asked if is_asked and phase.shape != "table" else decided).append(cause)
    code = [Cause(kind="code", phase=phase.name, detail="its code differs")] if code_differs(phase, old, new) else []
    return Given(tuple(asked), tuple(decided), tuple(code))


def source_difference(source_id: str, old: Run, new: Run, phase: Phase) -> list[Cause]:
    """What differs in the settings of one source."""
    before, after = (
        {str(source["id"]): source for source in run.settings.get("sources", ())}.get(source_id) for run in (old, new)
    )
    if before is None and after is None:
        return []
    if before is None or after is None:
        word = "not read before" if before is None else "no longer read"
        return [Cause(kind="settings", phase=phase.name, detail=f"sources.{source_id}: {word}")]
    return [_setting(phase, f"sources.{source_id}.{path}", a, b) for path, a, b in value_differences(before, after)]


def envelope_of(run: Run, phase: Phase) -> Envelope | None:
    """The envelope of a phase; None where it published nothing, or what it published is damaged."""
    try:
        return run.envelope(phase.name)
    except ArtifactError:
        return None


def value_differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Path, old and new value of everything that differs; lists of things with an id by these ids."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        return [
            found
            for name in names
            for found in value_differences(old.get(name), new.get(name), f"{path}.{name}".lstrip("."))
        ]
    if _have_ids(old) and _have_ids(new):
        return value_differences({x["id"]: x for x in old}, {x["id"]: x for x in new}, path)
    return [] if old == new else [(path, old, new)]


def reasons_named(phase: Phase, cause: Cause) -> set[str]:
    """The drop reasons that the description of a setting names in backticks; none where it names no reason."""
    name = cause.detail.partition(":")[0].removeprefix(f"{phase.name}.").partition(".")[0]
    field = phase.settings.model_fields.get(name)
    return set(re.findall(r"`(\w+)`", field.description or "")) if field is not None else set()


def _settings_seen(phase: Phase, old: Run, new: Run) -> Iterator[tuple[str, Cause]]:
    """The settings that the phase sees and that differ: path below its own settings, or the shared one's name."""
    before, after = (run.settings.get(phase.name, {}) for run in (old, new))
    for path, a, b in value_differences(before, after):
        if path.partition(".")[0] in _OF_MODELS:
            continue
        top = path.partition(".")[0]
        is_shared = all(run.settings.get(top) == run.settings[phase.name].get(top) for run in (old, new))
        yield path, _setting(phase, path if is_shared else f"{phase.name}.{path}", a, b)
    for name in _shared_seen(phase):
        for path, a, b in value_differences({name: old.settings.get(name)}, {name: new.settings.get(name)}):
            yield path, _setting(phase, path, a, b)


def _shared_seen(phase: Phase) -> list[str]:
    """Shared settings that reach a phase besides those that it inherits."""
    names = []
    if "run" in phase.parameters() and phase.makes == "table":
        names.append("as_of")
    if phase.shape in ("ask", "row"):
        names.append("sample")
    if phase.shape == "row":
        names.append("http")
    if phase.shape == "row" and not phase.creates:
        names.append("search")
    return names


def _settings_in_prompt(phase: Phase) -> set[str]:
    """Names of the settings that the prompt of a phase shows to the model."""
    if phase.prompt is None or not phase.prompt.is_file():
        return set()
    return set(re.findall(r"settings\.(\w+)", phase.prompt.read_text(encoding="utf-8", errors="replace")))


def _model(run: Run, phase: Phase) -> dict[str, Any]:
    own = run.settings.get(phase.name, {})
    name = str(own.get("model") or run.settings.get("model") or "")
    endpoint = run.settings.get("models", {}).get(name) or {}
    # What an endpoint costs and allows does not change what it answers.
    answers = ("model", "base_url", "temperature", "max_output_tokens")
    return {"named": name, **{key: value for key, value in endpoint.items() if key in answers}}


def _is_embedded(model: Mapping[str, Any]) -> bool:
    return EXTRACTIVE in (model["named"], model.get("model"))


def _setting(phase: Phase, path: str, old: Any, new: Any) -> Cause:
    return Cause(kind="settings", phase=phase.name, detail=f"{path}: {_shown(old) or '–'} → {_shown(new) or '–'}")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _have_ids(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(x, Mapping) and "id" in x for x in value)
