"""A loopback OpenAI-compatible model server that answers by schema, from the text of the request alone.

`python -m enrich_assets_tests.model_server --port 8123` or `with ModelServer() as server: server.base_url`. Equal
requests get equal answers; an answer for a row depends on that row's text and on nothing else. It counts its calls,
keeps the last requests, and fails as it is told (`plan`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from enrich_assets.models.extractive import summary
from enrich_assets.models.text import sentences

Fault = Literal[
    "429", "500", "503", "reset", "hang", "half_json", "wrong_schema", "empty", "refusal", "filtered", "cut", "huge",
    "invalid_key", "unknown_model", "quota", "too_long",
]  # fmt: skip
HUGE_CHARACTERS = 2_000_000
_ROW = re.compile(r"<row id=\"?(\d+)\"?>\n?(.*?)\n?</row>", re.DOTALL)
_HTTP_FAULTS: dict[str, tuple[int, str, str]] = {
    "429": (429, "rate_limit_exceeded", "Rate limit reached, please slow down."),
    "500": (500, "server_error", "The server had an internal problem."),
    "503": (503, "overloaded", "The server is overloaded."),
    "invalid_key": (401, "invalid_api_key", "Incorrect API key provided."),
    "unknown_model": (404, "model_not_found", "The model does not exist."),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
    "too_long": (400, "context_length_exceeded", "This model's maximum context length is 4096 tokens."),
}


@dataclass
class Plan:
    """Fail `times` requests (None: all), of them the `share` that the request's own hash picks, or each `every`-th."""

    fault: Fault
    times: int | None = None
    share: float = 1.0
    retry_after: float = 1.0
    every: int = 1
    seen: int = 0


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ModelServer:
    """The server in a thread of its own.

    `latency` seconds before each answer; with `latency_sigma` > 0 it is the median of a lognormal distribution
    drawn from `seed` and the request's own text. `answers` gives the content of an answer; by default `answer_text`.
    """

    port: int = 0
    latency: float = 0.0
    latency_sigma: float = 0.0
    seed: int = 0
    calls: int = 0
    """Requests for completions, failed ones too."""
    answered: int = 0
    """Requests that got a usable answer."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Tokens of all answers, unusable ones too."""
    in_flight: int = 0
    most_in_flight: int = 0
    requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=1000))
    plans: list[Plan] = field(default_factory=list)
    answers: Callable[[Mapping[str, Any]], str] | None = None

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """Where clients send to, with `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def plan(
        self, fault: Fault, *, times: int | None = None, share: float = 1.0, retry_after: float = 1.0, every: int = 1
    ) -> ModelServer:
        """Lets the next `times` requests (None: every one) fail; `share` 0–1 of them, picked by their text, or each
        `every`-th."""
        with self._lock:
            self.plans.append(Plan(fault, times, share, retry_after, every))
        return self

    def heal(self) -> None:
        """Ends all planned faults."""
        with self._lock:
            self.plans.clear()

    def __enter__(self) -> ModelServer:
        ready = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(ready))
            except BaseException as error:  # handed to the thread that waits
                failure.append(error)
                ready.set()

        self._thread = threading.Thread(target=run, name="model-server", daemon=True)
        self._thread.start()
        ready.wait(10)
        if failure:
            raise failure[0]
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_get("/v1/models", self._models)
        # handler_cancellation: a client that hangs up frees its handler at once.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=4096)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        with self._lock:
            refuses = any(plan.fault == "invalid_key" and plan.times is None for plan in self.plans)
        if refuses:
            status, code, message = _HTTP_FAULTS["invalid_key"]
            return web.json_response({"error": {"message": message, "code": code}}, status=status)
        known = {"id": "loopback", "object": "model", "owned_by": "tests"}
        return web.json_response({"object": "list", "data": [known]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        with self._lock:
            self.calls += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self.requests.append(Seen(request.path, dict(request.headers), body))
            fault = self._next_fault(body)
        try:
            if self.latency:
                await asyncio.sleep(self._delay(body))
            return await self._respond(request, body, fault)
        finally:
            with self._lock:
                self.in_flight -= 1

    async def _respond(self, request: web.Request, body: dict[str, Any], fault: Plan | None) -> web.StreamResponse:
        name = fault.fault if fault else ""
        if name in _HTTP_FAULTS:
            status, code, message = _HTTP_FAULTS[name]
            headers = {"Retry-After": f"{fault.retry_after:g}"} if fault and name in ("429", "503") else {}
            return web.json_response(
                {"error": {"message": message, "type": code, "code": code}}, status=status, headers=headers
            )
        if name == "reset":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if name == "hang":
            await asyncio.sleep(3600)
        text = (self.answers or answer_text)(body)
        finish, refusal = "stop", None
        if name == "half_json":
            text = text[: max(1, len(text) // 2)]
        elif name == "cut":
            text, finish = text[: max(1, len(text) // 2)], "length"
        elif name == "wrong_schema":
            text = json.dumps({"unexpected": digest(text) % 1000})
        elif name == "empty":
            text = ""
        elif name == "huge":
            text = json.dumps({"padding": "x" * HUGE_CHARACTERS})
        elif name == "refusal":
            text, refusal = "", "I cannot help with that."
        elif name == "filtered":
            text, finish = "", "content_filter"
        else:
            with self._lock:
                self.answered += 1
        completion = _completion(body, text, finish, refusal)
        with self._lock:
            self.tokens_in += completion["usage"]["prompt_tokens"]
            self.tokens_out += completion["usage"]["completion_tokens"]
        return web.json_response(completion)

    def _next_fault(self, body: Mapping[str, Any]) -> Plan | None:
        for plan in self.plans:
            if plan.times == 0 or fraction(_user_text(body), plan.fault) >= plan.share:
                continue
            plan.seen += 1
            if plan.seen % plan.every:
                continue
            if plan.times is not None:
                plan.times -= 1
            return plan
        return None

    def _delay(self, body: Mapping[str, Any]) -> float:
        if not self.latency_sigma:
            return self.latency
        drawn = random.Random(f"{self.seed}:{digest(_user_text(body))}").gauss(0, self.latency_sigma)
        return self.latency * math.exp(drawn)


def _completion(body: Mapping[str, Any], text: str, finish: str, refusal: str | None) -> dict[str, Any]:
    asked = sum(len(str(message.get("content", ""))) for message in body.get("messages", ()))
    tokens_in, tokens_out = max(1, asked // 4), max(1, len(text) // 4)
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
    return {
        "id": f"chatcmpl-{digest(_user_text(body)):x}"[:28],
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body.get("model", "loopback"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
    }


def digest(text: str, salt: str = "") -> int:
    """A number of 64 bits that only the text and the salt decide."""
    return int.from_bytes(hashlib.sha256(f"{salt}\x00{text}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


def fraction(text: str, salt: str = "") -> float:
    """A number in [0, 1) that only the text and the salt decide."""
    return digest(text, salt) / 2**64


def answer_text(body: Mapping[str, Any]) -> str:
    """The content of the answer to a request: JSON valid against its schema, or the first sentence without one."""
    text = _user_text(body)
    schema = _schema_of(body)
    if schema is None:
        return (sentences(text) or ["Nothing was asked."])[0]
    return json.dumps(answer_to(text, schema), ensure_ascii=False)


def answer_to(text: str, schema: Mapping[str, Any]) -> Any:
    """A valid instance of `schema` made of `text`; a `rows` array is answered row by row, each from its own text."""
    found = _ROW.findall(text)
    rows = (schema.get("properties") or {}).get("rows") if found else None
    maker = _Maker(schema)
    if isinstance(rows, Mapping):
        item = maker.resolved(maker.resolved(rows).get("items", {}))
        properties = item.get("properties", {})
        if {"id", "answer"} <= set(properties):
            answer = properties["answer"]
            return {"rows": [{"id": int(number), "answer": maker.instance(answer, row, "")} for number, row in found]}
    return maker.instance(schema, found[0][1] if len(found) == 1 else text, "")


class _Maker:
    """Makes instances of the parts of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].rsplit("/", 1)[-1]]
        if len(schema.get("allOf", ())) == 1:
            return self.resolved(schema["allOf"][0])
        return schema

    def instance(self, schema: Mapping[str, Any], text: str, path: str, depth: int = 0) -> Any:
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][digest(text, path) % len(schema["enum"])]
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            real = [c for c in choices if self.resolved(c).get("type") != "null"]
            nullable = len(real) < len(choices)
            # One in four optional values is null, so that readers meet both.
            if not real or (nullable and (depth > 6 or digest(text, f"{path}?") % 4 == 0)):
                return None
            return self.instance(real[digest(text, f"{path}|") % len(real)], text, path, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        if kind == "object" or "properties" in schema:
            return {
                name: self.instance(child, text, f"{path}.{name}", depth + 1)
                for name, child in schema.get("properties", {}).items()
                if depth < 6 or name in schema.get("required", ())
            }
        if kind == "array":
            return self._array(schema, text, path, depth)
        if kind in ("integer", "number"):
            return _number(schema, text, path, whole=kind == "integer")
        if kind == "boolean":
            return digest(text, path) % 2 == 0
        if kind == "null":
            return None
        return _string(schema, text, path)

    def _array(self, schema: Mapping[str, Any], text: str, path: str, depth: int) -> list[Any]:
        least = int(schema.get("minItems", 0))
        most = min(int(schema.get("maxItems", max(least, 3))), max(least, 8))
        count = least + digest(text, f"{path}#") % (most - least + 1)
        items: list[Any] = []
        for index in range(count * 3):
            item = self.instance(schema.get("items", {"type": "string"}), text, f"{path}[{index}]", depth + 1)
            if len(items) < count and not (schema.get("uniqueItems") and item in items):
                items.append(item)
        return items


def _number(schema: Mapping[str, Any], text: str, path: str, *, whole: bool) -> float | int:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    low = 0 if low is None else low
    high = max(low, 10) if high is None else high
    share = fraction(text, path)
    if whole:
        first = math.ceil(low) + (1 if "exclusiveMinimum" in schema and low == math.ceil(low) else 0)
        last = math.floor(high) - (1 if "exclusiveMaximum" in schema and high == math.floor(high) else 0)
        step = int(schema.get("multipleOf", 1))
        return first + step * math.floor(share * ((last - first) // step + 1))
    value = round(low + (high - low) * (0.05 + 0.9 * share), 2)
    return float(min(max(value, low), high))


def _string(schema: Mapping[str, Any], text: str, path: str) -> str:
    if schema.get("format") == "date":
        return f"20{10 + digest(text, path) % 16}-0{1 + digest(text, path + 'm') % 9}-1{digest(text, path + 'd') % 9}"
    if schema.get("format") == "date-time":
        return f"20{10 + digest(text, path) % 16}-05-17T08:30:00Z"
    if schema.get("format") in ("uri", "url"):
        found = re.search(r"https?://\S+", text)
        return found.group() if found else f"https://example.org/{digest(text, path) % 10_000}"
    lowest = int(schema.get("minLength", 0))
    highest = int(schema.get("maxLength", max(lowest, 200)))
    return string_within(text, lowest, highest, path)


def string_within(text: str, lowest: int, highest: int, path: str = "") -> str:
    """Sentences of `text` whose total length is within the bounds, cut or repeated where they do not reach."""
    text = re.sub(r"</?[a-z]+[^>]*>", " ", text)
    if lowest >= 100:
        whole = summary(text, lowest=lowest, highest=highest)
        if whole is not None:
            return whole
    all_sentences = sentences(text) or ["No text."]
    start = digest(text, path) % len(all_sentences) if highest < 200 else 0
    joined = ""
    for offset in range(len(all_sentences)):
        sentence = all_sentences[(start + offset) % len(all_sentences)]
        longer = f"{joined} {sentence}".strip()
        if len(longer) <= highest:
            joined = longer
        if len(joined) >= max(lowest, 1):
            return joined
    for sentence in all_sentences:
        joined = f"{joined} {sentence}".strip() if len(joined) < lowest or not joined else joined
    while len(joined) < lowest:
        joined = f"{joined} {joined}"
    return joined[:highest].rstrip() if len(joined[:highest].rstrip()) >= lowest else joined[: highest - 1] + "."


def _schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return dict(wanted["json_schema"]["schema"])
    for message in body.get("messages", ()):
        # The schema in words, at the end of the system message.
        found = re.search(r"JSON schema:\s*(\{.*\})\s*$", str(message.get("content", "")), re.DOTALL)
        if message.get("role") == "system" and found:
            return dict(json.loads(found.group(1)))
    return None


def _user_text(body: Mapping[str, Any]) -> str:
    for message in body.get("messages", ()):
        # The first one is the row; what follows is a complaint about an earlier answer.
        if message.get("role") == "user":
            return str(message.get("content", ""))
    return ""


def main() -> None:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(description="Loopback OpenAI-compatible model server")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--latency-sigma", type=float, default=0.0, help="spread of a lognormal latency")
    chosen = parser.parse_args()
    server = ModelServer(port=chosen.port, latency=chosen.latency, latency_sigma=chosen.latency_sigma)
    with server:
        print(server.base_url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
