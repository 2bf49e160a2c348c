"""The answer in a model's raw text: validated JSON, found among thoughts, prose and code fences.

Models wrap what they were asked for, and the same model at temperature 0 wraps it alike each time: asking again would
pay for the same wrapping. So whatever holds a valid answer is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from enrich_assets.core.errors import MalformedAnswer

A = TypeVar("A", bound=BaseModel)

_NAMES = r"(?:seed:|ant)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|cot|inner_monologue)"
# <think>, [THINK] (Magistral), ◁think▷ (Kimi), <|begin_of_thought|> (Sky-T1), <|channel|>analysis (gpt-oss).
_OPENS = re.compile(
    rf"<\s*{_NAMES}(?:\s[^<>]*)?>|\[{_NAMES}\]|◁{_NAMES}▷|<\|(?:begin_of_|start_of_)?(?:thought|think|thinking)\|>|"
    r"<\|channel\|>(?:analysis|commentary)",
    re.I,
)
_CLOSES = re.compile(
    rf"<\s*/\s*{_NAMES}\s*>|\[/{_NAMES}\]|◁/{_NAMES}▷|<\|(?:end_of_|/)(?:thought|think|thinking)\|>|"
    r"<\|channel\|>final<\|message\|>",
    re.I,
)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+")|,(\s*[}\]])', re.S)
# A string that never ends goes to the end of the text: its escaped quotes begin no other one.
_MARK = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.S)
_DECODER = json.JSONDecoder(strict=False)
_MOST_TRIES = 200
"""Places of a text at which an object is looked for."""
_MOST_READ = 1_000_000
"""Characters that are read in vain at such places, all together."""
_END_OF_ANSWER = re.compile(r"[\s`]*(?:<\|[a-z_]+\|>\s*)*$", re.I)


def has_thoughts(text: str) -> bool:
    """Whether a text that is not JSON alone has the marks of a model that thinks aloud."""
    return not text.lstrip().startswith("{") and bool(_OPENS.search(text) or _CLOSES.search(text))


def parsed(text: str, answer: type[A]) -> A:
    """The validated answer in a raw text; raises MalformedAnswer that names what is wrong with it.

    The first object that validates counts, outside of thoughts. A text of thoughts that never end counts from its last
    object on, if nothing follows that.
    """
    body = text.strip().lstrip("\ufeff")
    if body.startswith("```"):
        body = body.strip("`").removeprefix("json").strip()
    if not body:
        raise MalformedAnswer("the answer was empty")
    try:
        return answer.model_validate_json(body)
    except ValidationError as error:
        problem = _told(error)
    for found, is_object in _candidates(text):
        try:
            return answer.model_validate_json(json.dumps(found, ensure_ascii=False))
        except ValidationError as error:
            if is_object:
                problem = _told(error)
        except ValueError:
            continue
    raise MalformedAnswer(problem)


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:3])


def _candidates(text: str) -> Iterator[tuple[Any, bool]]:
    """What may be the answer, best first, and whether what is wrong with it is worth being told."""
    spoken, thought = _apart(text)
    for found, _ in _objects(spoken):
        yield found, True
        yield from ((inner, False) for inner in _wrapped(found))
    # Thoughts that never end, and an object as the last thing: it is the answer, and no draft.
    last = list(_objects(thought))[-1:] if thought else []
    for found, end in last:
        if _END_OF_ANSWER.match(thought, end):
            yield found, True


def _apart(text: str) -> tuple[str, str]:
    """What a model said, and the thoughts that it never ended."""
    first = text.find("{")
    opens, closes = _OPENS.search(text), list(_CLOSES.finditer(text))
    if opens is not None and -1 < first < opens.start() and _decoded(text, first) is not None:
        return text, ""  # the mark is part of what the answer speaks about
    if closes and (opens is None or closes[0].start() < opens.start()):
        # The chat template wrote the opening mark.
        text = text[closes[-1].end() :]
        opens = _OPENS.search(text)
    said = ""
    while opens is not None:
        said += text[: opens.start()]
        close = _CLOSES.search(text, opens.end())
        if close is None:
            return said, text[opens.end() :]
        text = text[close.end() :]
        opens = _OPENS.search(text)
    return said + text, ""


def _objects(text: str) -> Iterator[tuple[Any, int]]:
    """The JSON objects and lists of objects in a text, outermost only, each with where it ends."""
    start, room = 0, _MOST_READ
    for _ in range(_MOST_TRIES):
        brace = re.compile(r"\{|\[\s*\{|\"\{").search(text, start)
        if brace is None:
            return
        decoded = _decoded(text, brace.start())
        if decoded is None:
            # Each such place may have been read to the end of the text.
            room -= len(text) - brace.start()
            if room < 0:
                return
            start = brace.start() + 1
            continue
        yield decoded
        start = decoded[1]


def _decoded(text: str, start: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    end = _end_of(text, start)
    if end is None:
        return None
    mended = _TRAILING_COMMA.sub(lambda found: found[1] or found[2], text[start:end])
    try:
        return _DECODER.decode(mended), end
    except (ValueError, RecursionError):
        return None


def _end_of(text: str, start: int) -> int | None:
    """Where the bracket at `start` is closed again."""
    depth = 0
    for mark in _MARK.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark[0], 0)
        if depth <= 0:
            return mark.end()
    return None


def _wrapped(found: Any) -> Iterator[Any]:
    """The answer inside an object of one key, a list of one, a JSON text in a text, or the arguments of a call."""
    if isinstance(found, str):
        yield from (inner for inner, _ in _objects(found))
    elif isinstance(found, list) and len(found) == 1:
        yield found[0]
    elif isinstance(found, dict) and len(found) == 1:
        yield from found.values()
    elif isinstance(found, dict) and "name" in found:
        yield from (found[name] for name in ("arguments", "parameters", "input") if name in found)
