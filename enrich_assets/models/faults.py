"""What endpoints and litellm answer instead of an answer, as the exceptions of this package, each with a short kind
that can be counted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from enrich_assets.core.errors import CallError, EndpointError, FinalError, TransientError
from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.schema_keywords import keywords_in
from enrich_assets.models.waits import stated_wait

# What an account lacks for good. "Billing" alone says nothing: rate limits name the page where a higher one is sold.
_QUOTA_CODES = frozenset(
    [
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_funds",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
        "payment_required",
        "billing_error",
    ]
)
_QUOTA = re.compile(
    r"insufficient[_ ](?:account )?(?:quota|balance|credits?|funds)|exceeded your current quota|payment required|"
    r"credit balance is too low|out of credits|(?:requires|need|purchase|buy|add) more credits|no (?:more )?credits|"
    r"(?:quota|credits?|balance) (?:is |has been |have been |are )?(?:used up|exhausted)|billing hard limit|"
    r"account (?:is|was) (?:deactivated|suspended|not active)",
    re.I,
)
_A_WHILE = re.compile(
    r"rate[ _-]?limit|too many requests|per[ _-]?(?:second|minute|hour|day)|\b[RT]P[MD]\b|slow down|overloaded|"
    r"temporarily|(?:PerMinute|PerDay|PerHour)",
    re.I,
)
_RATE_CODES = frozenset(
    [
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit",
        "ratelimitexceeded",
        "too_many_requests",
        "throttled",
        "throttlingexception",
        "requests",
        "tokens",
    ]
)
_KEY_CODES = frozenset(["invalid_api_key", "authentication_error", "unauthenticated", "invalid_authentication"])
_MODEL_CODES = frozenset(["model_not_found", "unknown_model", "deploymentnotfound", "model_not_available"])
_LONG_CODES = frozenset(
    [
        "context_length_exceeded",
        "exceed_context_size_error",
        "model_max_prompt_tokens_exceeded",
        "request_too_large",
        "context_window_exceeded",
        "prompt_too_long",
        "string_above_max_length",
        "tokens_limit_reached",
    ]
)
_FILTER_CODES = frozenset(
    [
        "content_filter",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "content_filter_error",
        "data_inspection_failed",
        "moderation_blocked",
    ]
)
_UNKNOWN_MODEL = re.compile(
    r"model\W.{0,80}\b(?:not found|not exist|does not exist|unknown|not available|no such)|model_not_found|"
    r"LLM Provider NOT provided|invalid model",
    re.I | re.S,
)
_KEY = re.compile(r"api[_ -]?key|unauthori[sz]ed|invalid x-api-key|permission denied", re.I)
_PARAMETER = re.compile(
    r"response_format|json_schema|unsupported|unknown (?:parameter|argument)|unrecognized (?:request )?argument|"
    r"invalid schema|extra inputs are not permitted|"
    r"max_(?:completion_)?tokens\W.{0,80}(?:too large|at most|less than or equal|maximum allowed)",
    re.I,
)
# Each with who says so; the words differ by endpoint and version, so what they share is matched.
_TOO_LONG = re.compile(
    r"context[ _-](?:length|window)|maximum context|"  # OpenAI
    r"max(?:imum)? (?:model|prompt|input|sequence) length|"  # vLLM, xAI
    r"prompt is too long|input length and .?max_tokens.? exceed|"  # Anthropic
    r"input is too long|too many (?:input )?tokens|number of (?:input )?tokens exceeds|"  # Bedrock
    r"input token count.{0,40}exceeds|"  # Gemini
    r"(?:available|maximum|max) context size|exceeds? (?:the )?context (?:size|limit)|context overflows?|"  # llama.cpp
    r"context size has been exceeded|"  # llama.cpp, while it answers
    r"input .{0,40}is too large to process|"  # llama.cpp, the batch
    r"reduce (?:the length of )?(?:the|your) (?:messages?|prompt|input)|"  # Groq
    r"too large for model|"  # Mistral
    r"(?:prompt|token)s?(?: token)? count.{0,40}exceeds? the limit|exceeded model token limit|"
    r"inputs?.? tokens \+ .?max_new_tokens|decoder prompt .{0,40}is longer than",
    re.I | re.S,
)
# More in one request than the limit lets through in a minute: no wait makes it smaller.
_TOO_LARGE = re.compile(r"request too large|reduce your message size|tokens must be reduced", re.I)
_OTHER_PARAMETER = (
    "Choose another model, or name another form in the settings (response_format, token_parameter, temperature)."
)
_PARAMETER_CODES = frozenset(["unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"])
_ADAPTABLE = {
    "max_tokens": re.compile(r"\bmax_(?:completion_)?tokens\b", re.I),
    "max_completion_tokens": re.compile(r"\bmax_completion_tokens\b", re.I),
    "temperature": re.compile(r"\btemperature\b", re.I),
    "response_format": re.compile(r"response_?format|json_schema|json_object|structured[ _]outputs?", re.I),
}
_NOT_TAKEN = re.compile(
    r"unsupported|not (?:be )?(?:supported|available|implemented|permitted|allowed|accepted|recognized)|n[o']t support|"
    r"unavailable|unimplemented|unknown|unrecognized|unexpected|extra (?:inputs|fields)|only the default|deprecated|"
    r"must be (?:one of|either|['\"]?text|1\b)|input should be|invalid (?:schema|type|parameter|argument|value)|"
    r"unmarshal|cannot be (?:used|set|specified)|expected one of",
    re.I,
)
_TOO_MUCH = re.compile(r"too (?:large|high|big|small|low)|at most|maximum|valid range|less than", re.I)
_FILTERED = re.compile(r"content[_ ](?:filter|policy|management)|safety system|responsible ai", re.I)
# litellm gives a failed connection the made-up status 500.
_BROKEN = re.compile(r"Connection error|Cannot connect|Server disconnected|Connection (?:reset|refused|closed)", re.I)
# 524: Cloudflare's word for a server that did not answer in time.
_GATEWAY_TIMEOUTS = (408, 504, 524)
# By name, because httpx and aiohttp are litellm's here: what failed before a request left, and what after.
_NEVER_LEFT = frozenset(
    ["ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError", "ClientConnectorDNSError"]
)
_SECRET = re.compile(r"\b(?:sk|pk|key|rk)-[\w*-]{6,}|\bAIza[\w-]{10,}|Bearer\s+\S+", re.I)


def translated(error: Exception, *, model: str, key: str = "", seconds: float = 0.0) -> CallError:
    """The error of this package for one of litellm's; the message never holds the key and has 300 characters."""
    litellm = litellm_offline()
    named = (
        ("timeout", (litellm.Timeout, TimeoutError)),
        ("prompt too long", litellm.ContextWindowExceededError),
        ("content filter", litellm.ContentPolicyViolationError),
        ("rate limit", litellm.RateLimitError),
        ("unknown model", litellm.NotFoundError),
        ("authentication", litellm.AuthenticationError),
        ("unsupported request", litellm.UnsupportedParamsError),
        ("connection", litellm.APIConnectionError),
    )
    status = getattr(error, "status_code", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", None
    )
    text = str(getattr(error, "message", "") or error)
    if "Error in response object" in text:
        status = None  # litellm's own, for an error that came with the status 200
    elif "Invalid response object" in text and "valid string" in text:
        what = "The answer came in parts, which litellm does not read."
        unreadable = EndpointError(what, where=model, fix="Set path: direct for this model.", kind="unreadable answer")
        unreadable.outcome_unknown = True
        return unreadable
    return failed_call(
        text,
        model=model,
        key=key,
        status=status if isinstance(status, int) else None,
        body=getattr(error, "body", None) or _quoted_body(text),
        headers=headers or {},
        known=next((kind for kind, classes in named if isinstance(error, classes)), ""),
        seconds=seconds,
        has_left=_may_have_left(error),
    )


def _quoted_body(text: str) -> Any:
    """The body of an answer out of the message of litellm's that quotes it; None where it quotes none."""
    for mark in re.finditer(r"[\[{]", text[:2000]):
        with suppress(ValueError, RecursionError):
            found, _ = json.JSONDecoder(strict=False).raw_decode(text, mark.start())
            if found:
                return found
    return None


def _may_have_left(error: BaseException) -> bool:
    """Whether a request may have been carried out whose answer is missing; in doubt it may have been."""
    causes, cause = [error], error.__cause__ or error.__context__
    while cause is not None and len(causes) < 20:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(name in _NEVER_LEFT for one in causes for name in (base.__name__ for base in type(one).__mro__)):
        return False
    if any(type(one) is Exception and hasattr(one, "status_code") for one in causes):
        return False  # an answer came, and it was an error inside a 200: litellm raises its own bare exception then
    # litellm makes up a status, and a response without headers, where none came.
    responses = [response for one in causes if (response := getattr(one, "response", None)) is not None]
    return not any(getattr(response, "headers", None) and response.status_code >= 300 for response in responses)


def failed_call(
    text: str,
    *,
    model: str,
    key: str = "",
    status: int | None = None,
    body: Any = None,
    headers: Mapping[str, Any] = MappingProxyType({}),
    known: str = "",
    seconds: float = 0.0,
    has_left: bool = False,
) -> CallError:
    """The error for what an endpoint said: by the HTTP `status`, the codes in the `body`, the wait that it states, and
    last of all the words of `text`, in that order of trust.

    `known` is the kind where it is certain already (`timeout`, `connection`, …). The message never holds the key and
    has 300 characters of the text; all of the text is judged. `has_left`: the request may have been carried out
    although its answer was lost; a time-out always leaves that open, the endpoint's own or a gateway's.
    """
    wait = stated_wait(headers, body, text, datetime.now(UTC))
    error = _named(
        _Said(text, _plain(text, key), codes_of(body), status, wait, parameter_in(body)), model, known, seconds
    )
    is_lost = has_left and error.kind in ("connection", "server error")
    error.outcome_unknown = is_lost or error.kind == "timeout" or status in _GATEWAY_TIMEOUTS
    return error


class ParameterRefused(EndpointError):
    """The endpoint refuses a parameter that may be put in another form (`models.adapting`)."""

    parameter = ""
    keywords: frozenset[str] = frozenset()
    """Keywords of the schema that it may be about."""


def upstream_error(words: str, body: Any, *, model: str, key: str = "") -> CallError:
    """The error for what a gateway tells of its upstream inside an answer with status 200.

    Whatever the code says of the upstream (its key, its quota), the gateway may choose another one next time: so it is
    transient, except where it is about the prompt. https://openrouter.ai/docs/api-reference/errors
    """
    inner = error_in(body)
    code = str(inner.get("code") or "") if isinstance(inner, Mapping) else ""
    wait = stated_wait({}, body, words, datetime.now(UTC))
    said = _Said(
        words, _plain(words, key), codes_of(body), int(code) if len(code) == 3 and code.isdecimal() else 400, wait
    )
    if _is_too_long(said, ""):
        return FinalError(f"The prompt is too long for the model: {said.text}", where=model, kind="prompt too long")
    if said.names(_FILTER_CODES) or (said.status in (400, 403) and _FILTERED.search(words)):
        return FinalError(f"The provider filtered the request: {said.text}", where=model, kind="content filter")
    if said.status == 429 or said.names(_RATE_CODES):
        return said.transient("rate limit", "The provider asks to slow down", model)
    named = f" ({code})" if code else ""
    return said.transient("server error", f"The endpoint tells of an error of its upstream{named}", model)


class _Said(NamedTuple):
    whole: str
    text: str
    """As it is shown."""
    codes: frozenset[str]
    status: int | None
    wait: float | None
    parameter: str = ""
    """Which the body names as the cause."""

    def names(self, codes: frozenset[str]) -> bool:
        return not self.codes.isdisjoint(codes)

    def transient(self, kind: str, what: str, model: str) -> CallError:
        return TransientError(f"{what}: {self.text}", where=model, kind=kind, retry_after=self.wait)


def _named(said: _Said, model: str, known: str, seconds: float) -> CallError:
    status, text = said.status, said.text
    if known == "timeout":
        said = said._replace(text=text or f"{seconds:g} seconds")
        return said.transient(known, "The model did not answer in time", model)
    if status in (None, 400, 413, 422, 429, 500) and _is_too_long(said, known):
        return FinalError(f"The prompt is too long for the model: {text}", where=model, kind="prompt too long")
    if known == "content filter" or (
        status in (400, 403) and (said.names(_FILTER_CODES) or _FILTERED.search(said.whole))
    ):
        return FinalError(f"The provider filtered the request: {text}", where=model, kind="content filter")
    keywords = _refused_keywords(said)
    refused = _refused_parameter(said) or ("response_format" if keywords else "")
    if refused:
        error = ParameterRefused(
            f"The endpoint refuses a parameter or the schema: {text}",
            where=model,
            fix=_OTHER_PARAMETER,
            kind="unsupported request",
        )
        error.parameter, error.keywords = refused, keywords
        return error
    if _is_used_up(said):
        return _endpoint("quota", f"The account's quota or credit is used up: {text}", model, "Top it up, then resume.")
    if known == "rate limit" or status == 429 or (status in (402, 403) and said.wait is not None):
        return said.transient("rate limit", "The provider asks to slow down", model)
    if status in (None, 400, 403) and said.names(_RATE_CODES):
        return said.transient("rate limit", "The provider asks to slow down", model)
    is_unknown = status in (None, 400) and (
        said.names(_MODEL_CODES) or (status is not None and _UNKNOWN_MODEL.search(said.whole))
    )
    if known == "unknown model" or status == 404 or is_unknown:
        fix = "Check the model's name and base_url in the settings."
        return _endpoint("unknown model", f"The endpoint does not know this model: {text}", model, fix)
    is_key = (status in (None, 400) and said.names(_KEY_CODES)) or (status == 400 and _KEY.search(said.whole))
    if known == "authentication" or status in (401, 403) or is_key:
        fix = "Check the environment variable that holds the key."
        return _endpoint("authentication", f"The endpoint refuses the key: {text}", model, fix)
    if known == "unsupported request" or (status in (400, 422) and _PARAMETER.search(said.whole)):
        return _endpoint(
            "unsupported request", f"The endpoint refuses a parameter or the schema: {text}", model, _OTHER_PARAMETER
        )
    if known == "connection" or (status in (None, 500) and _BROKEN.search(said.whole)):
        return said.transient("connection", "The connection failed", model)
    if status is not None and 300 <= status < 400:
        fix = "Write the address that it leads to as base_url, if you trust it with the key."
        return _endpoint("redirect", f"The endpoint sends elsewhere ({status}), which is not followed.", model, fix)
    if status is not None and 400 <= status < 500 and status not in (408, 409, 425):
        return FinalError(f"The endpoint refuses the request ({status}): {text}", where=model, kind="bad request")
    what = f"The endpoint failed ({status})" if status else "The endpoint tells of an error"
    return said.transient("server error", what, model)


def _refused_keywords(said: _Said) -> frozenset[str]:
    """The keywords of a schema that an endpoint refuses, as far as its words tell."""
    is_refused = said.status in (400, 422, 500, 501) and _NOT_TAKEN.search(said.whole)
    return keywords_in(said.whole) if is_refused else frozenset()


def _refused_parameter(said: _Said) -> str:
    """Which of the parameters that can be put otherwise an endpoint refuses; empty where it refuses none of them."""
    if said.status not in (400, 404, 422, 500, 501):
        return ""
    is_refused = said.names(_PARAMETER_CODES) or bool(_NOT_TAKEN.search(said.whole))
    named = said.parameter.split(".")[0]
    if named in _ADAPTABLE and is_refused:
        return named
    if said.parameter and said.parameter not in _ADAPTABLE and said.names(_PARAMETER_CODES):
        return ""
    if not is_refused or _TOO_MUCH.search(said.whole):
        return ""
    return next((name for name, pattern in _ADAPTABLE.items() if pattern.search(said.whole)), "")


def _is_too_long(said: _Said, known: str) -> bool:
    if known == "prompt too long" or (said.status in (413, 429) and _TOO_LARGE.search(said.whole)):
        return True
    # A limit per minute speaks of tokens too; there only the code is believed.
    return said.names(_LONG_CODES) or (said.status in (400, 413, 422, 500) and bool(_TOO_LONG.search(said.whole)))


def _is_used_up(said: _Said) -> bool:
    """Whether quota or credit is used up and no wait brings it back."""
    if said.wait is not None or said.status not in (None, 400, 402, 403, 429):
        return False
    if said.status is None:
        return said.names(_QUOTA_CODES)
    if said.status == 402 or said.names(_QUOTA_CODES):
        return True
    is_a_while = said.status == 429 and (said.names(_RATE_CODES) or _A_WHILE.search(said.whole))
    return bool(_QUOTA.search(said.whole)) and not is_a_while


def error_in(body: Any) -> Any:
    """What a body holds of an error: an object, or a text; some gateways put it into a list."""
    if isinstance(body, list):
        body = next((one for one in body if isinstance(one, Mapping)), None)
    if not isinstance(body, Mapping):
        return None
    return body.get("error") or body


def codes_of(body: Any) -> frozenset[str]:
    """The provider's own names for what went wrong, in lower case: `code`, `type`, `status`, and those of the error
    inside it."""
    inner = error_in(body)
    found: set[str] = set()
    for part in (inner, inner.get("innererror") if isinstance(inner, Mapping) else None):
        if isinstance(part, Mapping):
            found.update(str(part.get(name) or "").lower() for name in ("code", "type", "status"))
    return frozenset(found - {""})


def parameter_in(body: Any) -> str:
    """The parameter that an error names as its cause; empty where it names none."""
    inner = error_in(body)
    return str(inner.get("param") or "") if isinstance(inner, Mapping) else ""


def words_of(body: Any) -> str:
    """The words of an error, with those of the upstream that a gateway quotes; empty where there are none."""
    inner = error_in(body)
    if not isinstance(inner, Mapping):
        return inner if isinstance(inner, str) else ""
    message = inner.get("message") or inner.get("detail")
    words = message if isinstance(message, str) else json.dumps(message or inner, ensure_ascii=False, default=str)
    metadata = inner.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    return f"{words} ({raw})" if isinstance(raw, str) and raw else words


def _endpoint(kind: str, what: str, model: str, fix: str) -> CallError:
    return EndpointError(what, where=model, fix=fix, kind=kind)


def _plain(text: str, key: str) -> str:
    if key:
        text = text.replace(key, "***")
    text = _SECRET.sub("***", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(r"^(?:litellm\.\w+: )+", "", text)
    return text if len(text) <= 300 else f"{text[:297]}..."
