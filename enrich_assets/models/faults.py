"""What endpoints and litellm answer instead of an answer, as the exceptions of this package, each with a short kind
that can be counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from enrich_assets.core.errors import CallError, EndpointError, FinalError, TransientError
from enrich_assets.models.lite import litellm_offline
from enrich_assets.web.retry import retry_after

_QUOTA = re.compile(
    r"insufficient[_ ]quota|exceeded your current quota|billing|credit balance|payment required|out of credits", re.I
)
_UNKNOWN_MODEL = re.compile(
    r"model\W.{0,80}\b(?:not found|not exist|does not exist|unknown|not available|no such)|model_not_found|"
    r"LLM Provider NOT provided|invalid model",
    re.I | re.S,
)
_KEY = re.compile(r"api[_ -]?key|unauthori[sz]ed|invalid x-api-key|permission denied", re.I)
_PARAMETER = re.compile(
    r"response_format|json_schema|unsupported|unknown (?:parameter|argument)|unrecognized (?:request )?argument|"
    r"invalid schema|extra inputs are not permitted",
    re.I,
)
_TOO_LONG = re.compile(r"context[ _](?:length|window)|maximum context|too many tokens|prompt is too long", re.I)
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
    return failed_call(
        str(getattr(error, "message", "") or error),
        model=model,
        key=key,
        status=status if isinstance(status, int) else None,
        code=error_code(getattr(error, "body", None)),
        headers=headers or {},
        known=next((kind for kind, classes in named if isinstance(error, classes)), ""),
        seconds=seconds,
        has_left=_may_have_left(error),
    )


def _may_have_left(error: BaseException) -> bool:
    """Whether a request may have been carried out whose answer is missing; in doubt it may have been."""
    causes, cause = [error], error.__cause__ or error.__context__
    while cause is not None and len(causes) < 20:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(name in _NEVER_LEFT for one in causes for name in (base.__name__ for base in type(one).__mro__)):
        return False
    # litellm makes up a status, and a response without headers, where none came.
    responses = [response for one in causes if (response := getattr(one, "response", None)) is not None]
    return not any(getattr(response, "headers", None) and response.status_code >= 300 for response in responses)


def failed_call(
    text: str,
    *,
    model: str,
    key: str = "",
    status: int | None = None,
    code: str = "",
    headers: Mapping[str, Any] = MappingProxyType({}),
    known: str = "",
    seconds: float = 0.0,
    has_left: bool = False,
) -> CallError:
    """The error for what an endpoint said: HTTP `status`, the provider's `code`, and `text`, in that order of trust.

    `known` is the kind where it is certain already (`timeout`, `connection`, …). The message never holds the key and
    has 300 characters of the text. `has_left`: the request may have been carried out although its answer was lost;
    a time-out always leaves that open, the endpoint's own or a gateway's.
    """
    error = _named(_plain(text, key), model, status, code, headers, known, seconds)
    is_lost = has_left and error.kind in ("connection", "server error")
    error.outcome_unknown = is_lost or error.kind == "timeout" or status in _GATEWAY_TIMEOUTS
    return error


def _named(
    text: str, model: str, status: int | None, code: str, headers: Mapping[str, Any], known: str, seconds: float
) -> CallError:
    if known == "timeout":
        return _transient(known, "The model did not answer in time", text or f"{seconds:g} seconds", model, headers)
    if known == "prompt too long" or (_TOO_LONG.search(f"{code} {text}") and status in (400, 413, 422)):
        return FinalError(f"The prompt is too long for the model: {text}", where=model, kind="prompt too long")
    if known == "content filter" or (_FILTERED.search(f"{code} {text}") and status in (400, 403)):
        return FinalError(f"The provider filtered the request: {text}", where=model, kind="content filter")
    if status == 402 or code == "insufficient_quota" or (status in (400, 403, 429) and _QUOTA.search(text)):
        return _endpoint("quota", f"The account's quota or credit is used up: {text}", model, "Top it up, then resume.")
    if known == "rate limit" or status == 429:
        return _transient("rate limit", "The provider asks to slow down", text, model, headers)
    if known == "unknown model" or status == 404 or (status == 400 and _UNKNOWN_MODEL.search(text)):
        fix = "Check the model's name and base_url in the settings."
        return _endpoint("unknown model", f"The endpoint does not know this model: {text}", model, fix)
    if known == "authentication" or status in (401, 403) or (status == 400 and _KEY.search(text)):
        fix = "Check the environment variable that holds the key."
        return _endpoint("authentication", f"The endpoint refuses the key: {text}", model, fix)
    if known == "unsupported request" or (status in (400, 422) and _PARAMETER.search(text)):
        fix = "Choose another model, or another value for the parameter."
        return _endpoint("unsupported request", f"The endpoint refuses a parameter or the schema: {text}", model, fix)
    if known == "connection" or (status in (None, 500) and _BROKEN.search(text)):
        return _transient("connection", "The connection failed", text, model, headers)
    if status is not None and 300 <= status < 400:
        fix = "Write the address that it leads to as base_url, if you trust it with the key."
        return _endpoint("redirect", f"The endpoint sends elsewhere ({status}), which is not followed.", model, fix)
    if status is not None and 400 <= status < 500 and status not in (408, 409, 425):
        return FinalError(f"The endpoint refuses the request ({status}): {text}", where=model, kind="bad request")
    return _transient("server error", f"The endpoint failed ({status or 'no status'})", text, model, headers)


def error_code(body: Any) -> str:
    """The provider's own name for what went wrong, out of the body of its answer; empty where there is none."""
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    return str(inner.get("code") or inner.get("type") or "") if isinstance(inner, Mapping) else ""


def _transient(kind: str, what: str, text: str, model: str, headers: Mapping[str, Any]) -> CallError:
    return TransientError(
        f"{what}: {text}", where=model, kind=kind, retry_after=retry_after(headers, datetime.now(UTC))
    )


def _endpoint(kind: str, what: str, model: str, fix: str) -> CallError:
    return EndpointError(what, where=model, fix=fix, kind=kind)


def _plain(text: str, key: str) -> str:
    if key:
        text = text.replace(key, "***")
    text = _SECRET.sub("***", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(r"^(?:litellm\.\w+: )+", "", text)
    return text if len(text) <= 300 else f"{text[:297]}..."
