"""A completion as endpoints really send it: where the text of the answer is, and what is an error although the status
says success.

Belongs here: bodies with status 200, of both paths. What an error is called is decided in `models.faults`; what the
text means, in `engine.answer_text`. https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from enrich_assets.core.errors import CallError, EndpointError, FinalError, MalformedAnswer, TransientError
from enrich_assets.engine.answer_text import has_thoughts
from enrich_assets.engine.clients import ModelReply
from enrich_assets.models.faults import failed_call, upstream_error, words_of
from enrich_assets.models.prices import are_told
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.weights import most_tokens

_MOST_TOKENS = 1_000_000_000
_BELIEVED = 20
"""A report of more than so many times max_output_tokens is not believed; thoughts that an endpoint does not count as
output stay well below."""
_LEAST_SECRET_KEY = 12
"""Characters; shorter ones are the placeholders of local servers, and words of texts: EMPTY, ollama, lm-studio."""
_THOUGHTS_COUNT = "Raise max_output_tokens: the model thinks before it answers, and its thoughts count too."
_THOUGHTS = frozenset(["thinking", "reasoning", "redacted_thinking", "reasoning_text"])

Price = Callable[[int, int, Mapping[str, Any]], float | None]


def reply_of(
    found: Mapping[str, Any], endpoint: ModelEndpoint, *, model: str, key: str, seconds: float, price: Price
) -> ModelReply:
    """The reply in a completion; `price` gives the USD of tokens in and out and the usage that names them.

    Raises TransientError for an error inside it, or one without choices; it costs what its usage says, and nothing
    where that says nothing. Raises FinalError (refused, filtered) and MalformedAnswer (cut off, empty),
    each with what it cost, and EndpointError for a usage that cannot be right.
    """
    usage = found.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    error = _error_inside(found, model=model, key=key)
    if error is not None:
        error.tokens_in, error.tokens_out = tokens_in, tokens_out
        error.cost = price(tokens_in, tokens_out, usage) if tokens_in or tokens_out else 0.0
        error.outcome_unknown = False
        raise error
    choice = found["choices"][0]
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {"content": choice.get("text")}
    text = text_of(message)
    reply = ModelReply(
        text=text,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=price(tokens_in, tokens_out, usage) if are_told(tokens_in, tokens_out, text) else None,
        seconds=seconds,
    )
    finish = str(choice.get("finish_reason") or "")
    details = usage.get("completion_tokens_details")
    thoughts = _count(details.get("reasoning_tokens")) if isinstance(details, Mapping) else 0
    reply = replace(reply, has_thought=bool(thoughts or _reasoning(message)) or has_thoughts(text))
    _refuse_incredible(reply, endpoint, model)
    return _usable(reply, finish=finish, refusal=_refusal(message), endpoint=endpoint, model=model, key=key)


def _refuse_incredible(reply: ModelReply, endpoint: ModelEndpoint, model: str) -> None:
    """Raises EndpointError where the usage is so far above what was asked for that it cannot be right."""
    # A text that is as long bears the count out: some endpoints keep to no limit.
    if reply.tokens_out <= max(_BELIEVED * endpoint.max_output_tokens, most_tokens(reply.text)):
        return
    times = reply.tokens_out // endpoint.max_output_tokens
    error = EndpointError(
        f"The endpoint reports {reply.tokens_out:,} tokens for an answer that was limited to "
        f"{endpoint.max_output_tokens:,} (max_output_tokens), {times:,} times as many. That is not believed: the "
        "request is counted at the most that it can have cost, and nothing more is sent there.",
        where=model,
        fix="Compare with the provider's bill, or choose another endpoint.",
        kind="incredible usage",
    )
    error.outcome_unknown = True
    raise error


def text_of(message: Mapping[str, Any]) -> str:
    """The text that is meant as the answer: the content, as a text or in parts; the arguments of a single tool call
    where the content holds no object; what the model thought where there is nothing else."""
    content = message.get("content")
    text = content if isinstance(content, str) else _joined(content)
    arguments = _arguments(message)
    if arguments and "{" not in text:
        return arguments
    if text.strip():
        return text
    thought = _reasoning(message)
    if "{" not in thought:
        return text
    # What follows the thoughts is the answer, and no draft among them: see `engine.answer_text`.
    return thought if thought.lstrip().startswith("{") else f"<think>{thought}"


def completion_in(raw: bytes, content_type: str, *, model: str) -> Any:
    """The completion in the body of an answer with status 200, also where it came as a stream; raises TransientError
    that names what the body is instead."""
    head = raw[:2000].lstrip()
    if not head:
        raise TransientError("The endpoint answered with an empty body.", where=model, kind="server error")
    if "event-stream" in content_type or re.match(rb"(?:data|event|id|retry)?:", head):
        return _streamed(raw, model)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, Mapping):
        return found
    if "html" in content_type or head[:1] == b"<":
        title = re.search(rb"<title[^<>]*>([^<]{1,100})", raw[:20_000], re.I)
        named = f" ({title[1].decode('utf-8', 'replace').strip()!r})" if title else ""
        error = TransientError(
            f"The endpoint answered with a web page{named} instead of JSON.",
            where=model,
            fix="Check base_url in the settings (it usually ends with /v1), and what stands before the endpoint.",
            kind="server error",
        )
    else:
        error = TransientError(
            f"The endpoint answered with {len(raw):,} bytes that are no JSON object.", where=model, kind="server error"
        )
        error.outcome_unknown = True  # half an answer was carried out, and its tokens are told at its end
    raise error


def _error_inside(found: Mapping[str, Any], *, model: str, key: str) -> CallError | None:
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else None
    if choice is not None and not (found.get("error") and not _has_text(choice)):
        inner = choice.get("error")
        if not inner and str(choice.get("finish_reason") or "") != "error":
            return None
        words = words_of({"error": inner}) if inner else "it ended the answer with finish_reason 'error'"
        return upstream_error(words, {"error": inner} if inner else None, model=model, key=key)
    if not found.get("error") and isinstance(choices, list):
        return upstream_error("it answered with an empty list of choices", None, model=model, key=key)
    code = found.get("error") or found
    code = str(code.get("code") or code.get("status") or "") if isinstance(code, Mapping) else ""
    status = int(code) if len(code) == 3 and code.isdecimal() and 300 <= int(code) < 600 else None
    words = words_of(found)
    if not words or (found.get("error") is None and not found.get("message") and not found.get("detail")):
        words = f"an answer without choices ({', '.join(sorted(map(str, found))[:8]) or 'an empty object'})"
    return failed_call(words, model=model, key=key, status=status, body=found)


def _has_text(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    return isinstance(message, Mapping) and bool(text_of(message).strip())


def _refusal(message: Mapping[str, Any]) -> Any:
    specific = message.get("provider_specific_fields")
    return message.get("refusal") or (specific.get("refusal") if isinstance(specific, Mapping) else None)


def _arguments(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and len(calls) == 1 else None
    function = call.get("function") if isinstance(call, Mapping) else message.get("function_call")
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, Mapping) else str(arguments or "")


def _reasoning(message: Mapping[str, Any]) -> str:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name].strip():
            return str(message[name])
    return ""


def _joined(parts: Any) -> str:
    """The text of a content that comes in parts, without those that are thoughts."""
    if isinstance(parts, Mapping):
        parts = [parts]
    texts = []
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and part.get("type") not in _THOUGHTS:
            texts.append(str(part.get("text") or part.get("content") or ""))
    return "".join(texts)


def _count(value: Any) -> int:
    # More than any model takes, or infinite, is no count; nor would the ledger take it.
    return int(value) if isinstance(value, (int, float)) and 0 < value < _MOST_TOKENS else 0


def _streamed(raw: bytes, model: str) -> dict[str, Any]:
    """One completion of the chunks of a stream, which some gateways send whether it was asked for or not."""
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "arguments": []}
    found: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    ended = False
    for data in _events(raw):
        if data == "[DONE]":
            ended = True
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if not isinstance(chunk, Mapping):
            continue
        found.update({name: chunk[name] for name in ("usage", "error") if chunk.get(name)})
        part = next(iter(chunk.get("choices") or ()), None)
        if not isinstance(part, Mapping):
            continue
        choice.update({name: part[name] for name in ("finish_reason", "error") if part.get(name)})
        delta = part.get("delta") or part.get("message") or {"content": part.get("text")}
        if isinstance(delta, Mapping):
            texts["content"].append(
                delta["content"] if isinstance(delta.get("content"), str) else _joined(delta.get("content"))
            )
            texts["reasoning_content"].append(_reasoning(delta))
            texts["arguments"].append(_arguments(delta))
    message = {name: "".join(parts) for name, parts in texts.items()}
    if not (ended or choice.get("finish_reason") or found.get("error")):
        what = f"The endpoint sent a stream, which was not asked for, and ended it early ({len(raw):,} bytes)."
        error = TransientError(what, where=model, kind="server error")
        error.outcome_unknown = True
        raise error
    arguments = message.pop("arguments")
    calls = [{"function": {"arguments": arguments}}] if arguments else []
    choices = [{**choice, "message": {**message, "tool_calls": calls}}]
    return {**found, "choices": [] if found.get("error") and not any(message.values()) else choices}


def _events(raw: bytes) -> Iterator[str]:
    """The data of server-sent events. https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    for event in re.split(r"\n\n+", re.sub(r"\r\n?", "\n", raw.decode("utf-8", "replace"))):
        lines = [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines).strip()


def _usable(
    reply: ModelReply, *, finish: str, refusal: Any, endpoint: ModelEndpoint, model: str, key: str
) -> ModelReply:
    """The reply, if its text is one; raises FinalError (refused, filtered) or MalformedAnswer (cut off, empty), each
    with what it cost."""
    error: CallError
    if len(key) >= _LEAST_SECRET_KEY and key in f"{reply.text} {refusal}":
        # What is kept and shown of an answer must not hold it, whatever the endpoint echoes.
        reply = replace(reply, text=reply.text.replace(key, "***"))
        refusal = refusal and str(refusal).replace(key, "***")
    if refusal:
        error = FinalError(f"The model refused: {str(refusal)[:200]}", where=model, kind="refusal")
    elif finish == "content_filter":
        error = FinalError("The provider's content filter stopped the answer.", where=model, kind="content filter")
    elif finish == "length":
        error = MalformedAnswer(
            f"The answer was cut off after {reply.tokens_out or endpoint.max_output_tokens} tokens; "
            "answer more briefly.",
            where=model,
            fix=_THOUGHTS_COUNT if reply.has_thought else "Raise max_output_tokens if this happens often.",
            kind="cut off",
        )
    elif not reply.text.strip():
        error = MalformedAnswer("The answer was empty.", where=model, kind="empty answer")
    else:
        return reply
    error.tokens_in, error.tokens_out, error.cost = reply.tokens_in, reply.tokens_out, reply.cost
    raise error
