"""The direct path beside litellm: the same answers, costs, errors and kinds; and what only the direct path promises."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from enrich_assets.core.errors import CallError, EndpointError, FinalError, MalformedAnswer, TransientError
from enrich_assets.core.settings import Env
from enrich_assets.engine.clients import ModelReply
from enrich_assets.models.direct import ANSWER_LIMIT, DirectModels
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.model_server import Fault, ModelServer

KEY = "sk-loopback-0123456789abcdef"
MESSAGES = [{"role": "system", "content": "Judge."}, {"role": "user", "content": "Helix ships a chip. It is fast."}]
SCHEMA: dict[str, Any] = {
    "title": "Verdict",
    "type": "object",
    "properties": {"relevance": {"type": "number", "minimum": 0, "maximum": 10}, "reason": {"type": "string"}},
    "required": ["relevance", "reason"],
    "additionalProperties": False,
}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "loopback",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
paths = pytest.mark.parametrize("path", ["direct", "litellm"])
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.heal()
    monkeypatch.setenv("LOOPBACK_KEY", KEY)


def models(base_url: str, path: str = "direct", **changes: Any) -> Models:
    settings = {"model": "openai/loopback", "base_url": base_url, "api_key": Env(env="LOOPBACK_KEY"), "path": path}
    return Models({"mine": ModelEndpoint.model_validate({**settings, **changes})})


def ask(transport: Models) -> ModelReply:
    return asyncio.run(transport.complete("mine", MESSAGES, SCHEMA))


def failure(transport: Models) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(transport)
    return caught.value


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server of one handler on loopback."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def failure_from(handler: Handler, path: str = "direct", **changes: Any) -> CallError:
    async def run() -> CallError:
        async with serving(handler) as base_url:
            with pytest.raises(CallError) as caught:
                await models(base_url, path, **changes).complete("mine", MESSAGES, SCHEMA)
            return caught.value

    return asyncio.run(run())


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 1e308},
        {"prompt_tokens": float("inf"), "completion_tokens": 1},
    ],
)
def test_tokens_that_are_not_told_are_not_free(usage: Any) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({**COMPLETION, "usage": usage})

    async def run(**prices: float) -> float | None:
        async with serving(answer) as base_url:
            return (await models(base_url, **prices).complete("mine", MESSAGES, SCHEMA)).cost

    assert asyncio.run(run(usd_per_million_input=2.0, usd_per_million_output=8.0)) is None


def test_both_paths_send_the_same_request_and_give_the_same_reply(server: ModelServer) -> None:
    prices = {"usd_per_million_input": 2.0, "usd_per_million_output": 8.0}
    replies, bodies, keys = [], [], []
    for path in ("direct", "litellm"):
        transport = models(server.base_url, path, temperature=0.3, max_output_tokens=321, **prices)
        began = time.perf_counter()
        reply = ask(transport)
        assert 0 < reply.seconds < time.perf_counter() - began
        replies.append((reply.text, reply.tokens_in, reply.tokens_out, reply.cost))
        bodies.append(server.requests[-1].body)
        keys.append(server.requests[-1].headers["Authorization"])
    assert replies[0] == replies[1]
    assert bodies[0] == bodies[1]
    assert keys == [f"Bearer {KEY}"] * 2
    assert replies[0][3] == pytest.approx((2 * replies[0][1] + 8 * replies[0][2]) / 1e6)


def test_the_path_is_no_part_of_what_is_hashed(server: ModelServer) -> None:
    sent = {
        json.dumps(models(server.base_url, path).parameters("mine"), sort_keys=True)
        for path in ("auto", "direct", "litellm")
    }
    assert len(sent) == 1
    assert "path" not in sent.pop()


@paths
@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("429", TransientError, "rate limit"),
        ("500", TransientError, "server error"),
        ("503", TransientError, "server error"),
        ("reset", TransientError, "connection"),
        ("hang", TransientError, "timeout"),
        ("invalid_key", EndpointError, "authentication"),
        ("unknown_model", EndpointError, "unknown model"),
        ("quota", EndpointError, "quota"),
        ("too_long", FinalError, "prompt too long"),
        ("refusal", FinalError, "refusal"),
        ("filtered", FinalError, "content filter"),
        ("empty", MalformedAnswer, "empty answer"),
        ("cut", MalformedAnswer, "cut off"),
    ],
)
def test_each_failure_has_one_name_on_both_paths_and_is_tried_once(
    server: ModelServer, path: str, fault: Fault, error: type[CallError], kind: str
) -> None:
    server.plan(fault, retry_after=7)
    before = server.calls
    prices = {"usd_per_million_input": 1.0, "usd_per_million_output": 10.0}
    deadline = 0.5 if fault == "hang" else 20.0
    raised = failure(models(server.base_url, path, timeout_seconds=deadline, **prices))
    assert (type(raised), raised.kind) == (error, kind)
    assert server.calls == before + 1
    assert KEY not in str(raised)
    if isinstance(raised, TransientError):
        assert raised.retry_after == (7 if fault in ("429", "503") else None)
    if fault in ("refusal", "filtered", "empty", "cut"):
        assert raised.tokens_in == 9
        assert raised.cost == pytest.approx((raised.tokens_in + 10 * raised.tokens_out) / 1e6)


@paths
@pytest.mark.parametrize(
    ("fault", "unknown"),
    [
        ("hang", True),
        ("reset", True),
        ("429", False),
        ("500", False),
        ("503", False),
        ("invalid_key", False),
        ("quota", False),
        ("too_long", False),
        ("refusal", False),
        ("empty", False),
        ("cut", False),
    ],
)
def test_whether_a_failed_request_was_carried_out_is_open_only_where_no_answer_came(
    server: ModelServer, path: str, fault: Fault, unknown: bool
) -> None:
    server.plan(fault)
    raised = failure(models(server.base_url, path, timeout_seconds=0.5 if fault == "hang" else 20.0))
    assert raised.outcome_unknown is unknown


@paths
def test_a_request_that_never_left_was_not_carried_out(path: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    raised = failure(models(f"http://127.0.0.1:{port}/v1", path))
    assert (raised.kind, raised.outcome_unknown) == ("connection", False)


@paths
@pytest.mark.parametrize(("status", "unknown"), [(504, True), (408, True), (502, False)])
def test_a_gateway_that_gave_up_waiting_leaves_it_open(path: str, status: int, unknown: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="no answer in time")

    raised = failure_from(answer, path)
    assert (type(raised), raised.outcome_unknown) == (TransientError, unknown)


@paths
@pytest.mark.parametrize("fault", ["half_json", "wrong_schema", "huge"])
def test_unusable_text_is_handed_over_for_the_engine_to_judge(server: ModelServer, path: str, fault: Fault) -> None:
    server.plan(fault, times=1)
    bad, good = ask(models(server.base_url, path)), ask(models(server.base_url, path))
    assert bad.text != good.text
    assert json.loads(good.text)


@paths
@pytest.mark.parametrize(
    ("status", "body", "error", "kind"),
    [
        (400, {"error": {"message": "The maximum context length is 9 tokens."}}, FinalError, "prompt too long"),
        (400, {"error": {"message": "Invalid schema for response_format"}}, EndpointError, "unsupported request"),
        (400, {"error": {"message": "messages.0: something odd"}}, FinalError, "bad request"),
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, EndpointError, "authentication"),
        (403, {"error": {"message": "no"}}, EndpointError, "authentication"),
        (402, {"error": {"message": "no"}}, EndpointError, "quota"),
        (404, {"detail": "Not Found"}, EndpointError, "unknown model"),
        (502, "<html>Bad gateway</html>", TransientError, "server error"),
    ],
)
def test_what_other_servers_say_has_one_name_on_both_paths(
    path: str, status: int, body: Any, error: type[CallError], kind: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html")
        return web.json_response(body, status=status)

    raised = failure_from(answer, path)
    assert (type(raised), raised.kind) == (error, kind)
    assert KEY not in str(raised)


def _said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


# What each says of a prompt that is longer than its context window: the status, and the body as it was seen. Neither
# the codes nor the types are the same, and some have none, so that the words alone tell.
TOO_LONG: dict[str, tuple[int, Any]] = {
    "OpenAI": (
        400,
        _said(
            "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the "
            "messages, 500 in the completion). Please reduce the length of the messages or completion.",
            type="invalid_request_error",
            param="messages",
            code="context_length_exceeded",
        ),
    ),
    "OpenAI, newer": (
        400,
        _said(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            type="invalid_request_error",
        ),
    ),
    "Azure": (
        400,
        _said(
            "This model's maximum context length is 8192 tokens, however you requested 8238 tokens (8238 in your "
            "prompt; 0 for the completion). Please reduce your prompt; or completion length.",
            code=None,
        ),
    ),
    "llama.cpp": (
        400,
        _said(
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            code=400,
            type="exceed_context_size_error",
            n_prompt_tokens=14429,
            n_ctx=8192,
        ),
    ),
    "llama.cpp, newer": (
        400,
        _said("request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it", code=400),
    ),
    "llama.cpp, 500": (500, _said("Context size has been exceeded.", code=500, type="server_error")),
    "llama.cpp, batch": (
        500,
        _said("input is too large to process. increase the physical batch size", code=500, type="server_error"),
    ),
    "llama-cpp-python": (
        500,
        _said("Requested tokens (2285) exceed context window of 2048", type="internal_server_error"),
    ),
    "Gemini": (
        400,
        [
            _said(
                "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
                code=400,
                status="INVALID_ARGUMENT",
            )
        ],
    ),
    "Anthropic": (
        400,
        {"type": "error", **_said("prompt is too long: 209353 tokens > 199999 maximum", type="invalid_request_error")},
    ),
    "Anthropic, with the answer": (
        400,
        {
            "type": "error",
            **_said(
                "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or "
                "`max_tokens` and try again",
                type="invalid_request_error",
            ),
        },
    ),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "Bedrock, tokens": (
        400,
        {"message": "Too many input tokens. Max input tokens: 8192, request input tokens: 9001"},
    ),
    "vLLM": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 2048 tokens. However, your messages resulted in 2500 "
            "tokens. Please reduce the length of the messages.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "vLLM, prompt": (
        400,
        {
            "object": "error",
            "message": "The decoder prompt (length 9001) is longer than the maximum model length of 8192. Make sure "
            "that `max_model_len` is no smaller than the number of text tokens.",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    "Groq": (
        400,
        _said(
            "Please reduce the length of the messages or completion.",
            type="invalid_request_error",
            param="messages",
            code="context_length_exceeded",
        ),
    ),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_prompt",
            "code": "3051",
        },
    ),
}


@paths
@pytest.mark.parametrize("name", TOO_LONG)
def test_a_prompt_beyond_the_context_is_known_by_what_each_provider_says(path: str, name: str) -> None:
    status, body = TOO_LONG[name]
    asked = []

    async def answer(_: web.Request) -> web.Response:
        asked.append(1)
        return web.json_response(body, status=status)

    raised = failure_from(answer, path)
    assert (type(raised), raised.kind, len(asked)) == (FinalError, "prompt too long", 1)


def test_an_answer_with_headers_as_large_as_gateways_send_is_read() -> None:
    async def answer(_: web.Request) -> web.Response:
        large = {"X-Trace": "x" * 60_000, "Content-Security-Policy": "y" * 12_000}
        many = {f"X-Field-{number}": "1" for number in range(150)}
        return web.json_response(COMPLETION, headers={**large, **many})

    async def run() -> ModelReply:
        async with serving(answer) as base_url:
            return await models(base_url).complete("mine", MESSAGES, SCHEMA)

    assert asyncio.run(run()).text


@paths
@pytest.mark.parametrize("announced", [True, False])
def test_half_a_body_is_worth_asking_again(path: str, announced: bool) -> None:
    half = json.dumps(COMPLETION).encode()[:60]

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(half) + (100 if announced else 0)
        await response.prepare(request)
        await response.write(half)
        assert request.transport is not None
        request.transport.close()
        return response

    raised = failure_from(answer, path)
    assert isinstance(raised, TransientError)
    assert raised.outcome_unknown, "it was carried out, and what it costs was lost with the answer"


def test_an_error_that_comes_with_the_status_of_success_is_one() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": 429, "message": "slow down"}})

    raised = failure_from(answer)
    assert (type(raised), raised.kind, raised.outcome_unknown) == (TransientError, "rate limit", False)


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(server: ModelServer) -> None:
    before = server.calls

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{server.base_url}/chat/completions"})

    raised = failure_from(elsewhere)
    assert (type(raised), raised.kind) == (EndpointError, "redirect")
    assert server.calls == before


def test_no_proxy_and_no_cookie_is_used(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    cookies: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        response = web.json_response(COMPLETION)
        response.set_cookie("session", "1")
        return response

    async def twice() -> None:
        async with serving(answer) as base_url:
            # A name, because cookies of addresses are never kept.
            transport = models(base_url.replace("127.0.0.1", "localhost"))
            for _ in range(2):
                await transport.complete("mine", MESSAGES, SCHEMA)

    asyncio.run(twice())
    assert cookies == [None, None]


def test_an_answer_of_any_size_is_read_to_ten_megabytes_only() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        piece = b"x" * 65_536
        while sent < 10 * ANSWER_LIMIT:
            await response.write(piece)
            sent += len(piece)
        return response

    tracemalloc.start()
    try:
        raised = failure_from(endless, usd_per_million_input=1.0, usd_per_million_output=1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (type(raised), raised.kind, raised.cost) == (MalformedAnswer, "oversized answer", None)
    assert raised.outcome_unknown
    assert sent < 3 * ANSWER_LIMIT
    assert peak < 2.5 * ANSWER_LIMIT


def test_connections_are_kept_for_the_next_request_and_opened_again_in_the_next_loop(
    recwarn: pytest.WarningsRecorder,
) -> None:
    peers: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.json_response(COMPLETION)

    direct: list[DirectModels] = []

    async def five_times(base_url: str) -> None:
        if not direct:
            endpoint = ModelEndpoint(model="openai/loopback", base_url=base_url)
            direct.append(DirectModels({"mine": endpoint}))
        for _ in range(5):
            await direct[0].complete("mine", MESSAGES, SCHEMA)

    with _InAThread(answer) as base_url:
        asyncio.run(five_times(base_url))
        assert len(set(peers)) == 1
        asyncio.run(five_times(base_url))
    assert (len(peers), len(set(peers))) == (10, 2)
    assert not direct[0]._sessions, "an ended loop leaves nothing open"
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]


class _InAThread:
    def __init__(self, handler: Handler) -> None:
        self._handler, self._ready, self._done = handler, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        async with serving(self._handler) as self._base_url:
            self._ready.set()
            await asyncio.get_running_loop().run_in_executor(None, self._done.wait)

    def __enter__(self) -> str:
        self._thread.start()
        self._ready.wait(10)
        return self._base_url

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)


def test_many_requests_at_once_each_get_their_own_answer(server: ModelServer) -> None:
    transport = models(server.base_url)

    async def all_of_them() -> list[str]:
        prompts = [[{"role": "user", "content": f"Text number {n}. It differs \ud800."}] for n in range(100)]
        replies = await asyncio.gather(*(transport.complete("mine", prompt, SCHEMA) for prompt in prompts))
        return [reply.text for reply in replies]

    first = asyncio.run(all_of_them())
    assert len(set(first)) == 100
    assert asyncio.run(all_of_them()) == first


def test_a_key_with_a_line_break_is_named_and_not_shown(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", "first-line-of-it\nsecond")
    raised = failure(models(server.base_url))
    assert (type(raised), raised.kind) == (EndpointError, "authentication")
    assert "first-line" not in str(raised)


@pytest.mark.parametrize("base_url", ["127.0.0.1:1/v1", "ftp://127.0.0.1/v1", "http://"])
def test_an_address_that_is_none_stops_the_phase(base_url: str) -> None:
    assert isinstance(failure(models(base_url)), EndpointError)


def test_listed_prices_count_without_litellm_and_equal_its_own(server: ModelServer) -> None:
    direct = ask(models(server.base_url, model="openai/gpt-4o-mini"))
    assert direct.cost == pytest.approx(ask(models(server.base_url, "litellm", model="openai/gpt-4o-mini")).cost)
    assert ask(models(server.base_url)).cost is None
    assert ask(models(server.base_url, usd_per_million_input=2.0)).cost is None
    assert ask(models(server.base_url, usd_per_million_input=0.0, usd_per_million_output=0.0)).cost == 0


def test_a_model_with_parameters_of_its_own_gets_them_from_litellm(server: ModelServer) -> None:
    ask(models(server.base_url, "auto", model="openai/gpt-5-mini", temperature=None))
    body = server.requests[-1].body
    assert body["model"] == "gpt-5-mini"
    assert body["max_completion_tokens"] == 2000
    assert "max_tokens" not in body


def test_which_endpoints_are_direct() -> None:
    def is_direct(**settings: Any) -> bool:
        return ModelEndpoint.model_validate(settings).is_direct

    own = {"base_url": "http://127.0.0.1:9/v1"}
    assert is_direct(model="openai/llama", **own)
    assert not is_direct(model="openai/llama")
    assert not is_direct(model="anthropic/claude", **own)
    assert not is_direct(model="openai/llama", path="litellm", **own)
    assert not is_direct(model="openai/gpt-5-mini", **own), "it takes other parameters, which litellm knows"
    assert is_direct(model="openai/gpt-5-mini", path="direct", **own)
    with pytest.raises(ValueError, match="base_url"):
        ModelEndpoint(model="openai/llama", path="direct")


def test_a_direct_request_imports_no_litellm(server: ModelServer) -> None:
    code = f"""
import asyncio, sys
from enrich_assets.models.llm import check_model
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
endpoints = {{"mine": ModelEndpoint(model="openai/gpt-4o-mini", base_url={server.base_url!r})}}
check_model("mine", endpoints)
reply = asyncio.run(Models(endpoints).complete("mine", {MESSAGES!r}, {SCHEMA!r}))
assert reply.text and reply.cost
sys.exit("litellm" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_call_costs_a_few_times_the_cpu_time_of_a_bare_one() -> None:
    async def canned(_: web.Request) -> web.Response:
        return web.json_response(COMPLETION)

    async def seconds_a_call(base_url: str) -> tuple[float, float]:
        """Processor time of a call, and of the same one by aiohttp alone."""
        direct = DirectModels({"mine": ModelEndpoint(model="openai/loopback", base_url=base_url)})
        await direct.complete("mine", MESSAGES, SCHEMA)
        begun = time.thread_time()
        for _ in range(300):
            await direct.complete("mine", MESSAGES, SCHEMA)
        own = time.thread_time() - begun
        sent = {"model": "loopback", "messages": MESSAGES}
        async with aiohttp.ClientSession() as session:
            begun = time.thread_time()
            for _ in range(300):
                async with session.post(f"{base_url}/chat/completions", json=sent) as answer:
                    await answer.json()
            return own / 300, (time.thread_time() - begun) / 300

    with _InAThread(canned) as base_url:
        own, bare = asyncio.run(seconds_a_call(base_url))
    assert own < 5 * bare, (own, bare)


def test_an_endpoint_that_lists_its_models_says_whether_it_is_ready() -> None:
    with ModelServer() as server:

        def ready(model: str) -> bool:
            endpoint = ModelEndpoint(model=model, base_url=server.base_url)
            return asyncio.run(DirectModels({"m": endpoint}).is_ready("m"))

        assert ready("openai/loopback")
        assert not ready("openai/another")
        server.plan("invalid_key")
        with pytest.raises(EndpointError, match="refuses the key"):
            ready("openai/loopback")
        assert server.calls == 0
    assert not asyncio.run(
        DirectModels({"m": ModelEndpoint(model="openai/x", base_url="http://127.0.0.1:9/v1")}).is_ready("m")
    )
