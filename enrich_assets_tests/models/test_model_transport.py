"""litellm against the loopback model server: what is sent, what comes back, and how each failure is named."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from enrich_assets.core.errors import (
    CallError,
    EndpointError,
    FinalError,
    MalformedAnswer,
    SettingsError,
    TransientError,
)
from enrich_assets.core.settings import Env
from enrich_assets.engine.clients import ModelReply
from enrich_assets.models.faults import translated
from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.llm import LiteLlm, answer_format, check_model
from enrich_assets.models.schemas import allows_strict
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets_tests.model_server import Fault, ModelServer

KEY = "sk-loopback-0123456789abcdef"
SCHEMA: dict[str, Any] = {
    "title": "Verdict",
    "type": "object",
    "properties": {
        "relevance": {"type": "number", "minimum": 0, "maximum": 10},
        "category": {"enum": ["chips", "robots"]},
        "reason": {"type": "string", "maxLength": 80},
    },
    "required": ["relevance", "category", "reason"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.heal()
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-providers-own-key-000000")


def transport(server: ModelServer, **changes: Any) -> LiteLlm:
    settings = {"model": "openai/loopback", "base_url": server.base_url, "api_key": Env(env="LOOPBACK_KEY")}
    return LiteLlm({"mine": ModelEndpoint.model_validate({**settings, **changes})})


def ask(llm: LiteLlm, text: str = "Helix ships a chip. It is fast.") -> ModelReply:
    messages = [{"role": "system", "content": "Judge."}, {"role": "user", "content": text}]
    return asyncio.run(llm.complete("mine", messages, SCHEMA))


def failure(llm: LiteLlm) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(llm)
    return caught.value


def test_an_answer_comes_back_with_tokens_and_seconds(server: ModelServer) -> None:
    began = time.perf_counter()
    reply = ask(transport(server))
    passed = time.perf_counter() - began
    answer = json.loads(reply.text)
    assert answer.keys() == {"relevance", "category", "reason"}
    assert 0 <= answer["relevance"] <= 10
    assert (reply.tokens_in, reply.tokens_out) == (9, len(reply.text) // 4)
    assert 0 < reply.seconds < passed
    assert ask(transport(server)).text == reply.text


def test_what_is_sent_is_the_schema_the_parameters_and_the_endpoints_own_key(server: ModelServer) -> None:
    llm = transport(server, temperature=0.3, max_output_tokens=321)
    ask(llm)
    seen = server.requests[-1]
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (seen.body["temperature"], seen.body["max_tokens"], seen.body["model"]) == (0.3, 321, "loopback")
    assert llm.parameters("mine") == {"model": "openai/loopback", "temperature": 0.3, "max_output_tokens": 321}
    assert llm.parameters("openai/gpt-4o")["model"] == "openai/gpt-4o"


def test_an_own_endpoint_without_a_key_never_gets_the_providers_key(server: ModelServer) -> None:
    ask(transport(server, api_key=None))
    assert "providers-own-key" not in str(server.requests[-1].headers)


def test_a_model_that_takes_no_schema_gets_it_in_words(server: ModelServer) -> None:
    endpoint = ModelEndpoint(model="mistral/open-mistral-7b")
    assert answer_format(endpoint) in ("json_object", "words")
    assert answer_format(ModelEndpoint(model="openai/unheard-of")) == "json_object"
    reply = ask(transport(server, model="mistral/unheard-of"))
    seen = server.requests[-1].body
    assert seen["response_format"] == {"type": "json_object"}
    assert '"relevance"' in seen["messages"][0]["content"]
    assert 0 <= json.loads(reply.text)["relevance"] <= 10


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("429", TransientError, "rate limit"),
        ("500", TransientError, "server error"),
        ("503", TransientError, "server error"),
        ("reset", TransientError, "connection"),
        ("invalid_key", EndpointError, "authentication"),
        ("unknown_model", EndpointError, "unknown model"),
        ("quota", EndpointError, "quota"),
        ("refusal", FinalError, "refusal"),
        ("filtered", FinalError, "content filter"),
        ("too_long", FinalError, "prompt too long"),
        ("empty", MalformedAnswer, "empty answer"),
        ("cut", MalformedAnswer, "cut off"),
    ],
)
def test_each_failure_has_its_error_and_kind_and_is_tried_once(
    server: ModelServer, fault: Fault, error: type[CallError], kind: str
) -> None:
    server.plan(fault)
    before = server.calls
    raised = failure(transport(server))
    assert (type(raised), raised.kind) == (error, kind)
    assert server.calls == before + 1
    assert KEY not in str(raised)


def test_the_servers_wish_to_wait_is_kept(server: ModelServer) -> None:
    server.plan("429", retry_after=7)
    raised = failure(transport(server))
    assert isinstance(raised, TransientError)
    assert raised.retry_after == 7


def test_a_model_that_hangs_is_given_up_at_its_deadline(server: ModelServer) -> None:
    server.plan("hang")
    raised = failure(transport(server, timeout_seconds=0.5))
    assert (type(raised), raised.kind) == (TransientError, "timeout")


def test_a_server_that_is_not_there_is_a_failed_connection(server: ModelServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    raised = failure(transport(server, base_url=f"http://127.0.0.1:{port}/v1"))
    assert (type(raised), raised.kind) == (TransientError, "connection")


@pytest.mark.parametrize("fault", ["half_json", "wrong_schema", "huge"])
def test_unusable_text_is_handed_over_for_the_engine_to_judge(server: ModelServer, fault: Fault) -> None:
    server.plan(fault, times=1)
    bad, good = ask(transport(server)), ask(transport(server))
    assert bad.text != good.text
    assert json.loads(good.text)


def test_a_cut_answer_still_says_what_it_cost(server: ModelServer) -> None:
    server.plan("cut")
    raised = failure(transport(server, usd_per_million_input=1.0, usd_per_million_output=10.0))
    assert raised.cost == pytest.approx((raised.tokens_in + 10 * raised.tokens_out) / 1e6)
    assert raised.tokens_in == 9


def test_costs_are_own_prices_then_listed_ones_then_unknown(server: ModelServer) -> None:
    own = ask(transport(server, usd_per_million_input=2.0, usd_per_million_output=8.0))
    assert own.cost == pytest.approx((2 * own.tokens_in + 8 * own.tokens_out) / 1e6)
    listed = ask(transport(server, model="openai/gpt-4o-mini"))
    assert listed.cost == pytest.approx((0.15 * listed.tokens_in + 0.6 * listed.tokens_out) / 1e6)
    assert ask(transport(server)).cost is None
    assert ask(transport(server, usd_per_million_input=2.0)).cost is None
    assert ask(transport(server, usd_per_million_input=0.0, usd_per_million_output=0.0)).cost == 0


def test_many_requests_at_once_and_two_loops_in_a_row(server: ModelServer) -> None:
    llm = transport(server)

    async def all_of_them() -> list[ModelReply]:
        prompts = [[{"role": "user", "content": f"Text number {n}. It differs."}] for n in range(40)]
        return await asyncio.gather(*(llm.complete("mine", prompt, SCHEMA) for prompt in prompts))

    first, second = asyncio.run(all_of_them()), asyncio.run(all_of_them())
    assert [reply.text for reply in first] == [reply.text for reply in second]
    assert len({reply.text for reply in first}) == 40


def test_no_connection_but_to_the_endpoint(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Any] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def watched_connect(self: socket.socket, address: Any) -> None:
        reached.append(address)
        connect(self, address)

    def watched_resolve(*arguments: Any, **named: Any) -> Any:
        reached.append(arguments[:2])
        return resolve(*arguments, **named)

    monkeypatch.setattr(socket.socket, "connect", watched_connect)
    monkeypatch.setattr(socket, "getaddrinfo", watched_resolve)
    ask(transport(server, model="openai/gpt-4o-mini"))
    ask(transport(server, model="hosted_vllm/llama-3-8b"))
    check_model("openai/gpt-4o", {})
    assert {address[0] for address in reached} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("name", "arguments", "error", "kind"),
    [
        ("PermissionDeniedError", {"response": None}, EndpointError, "authentication"),
        ("PaymentRequiredError", {}, EndpointError, "quota"),
        ("ContentPolicyViolationError", {}, FinalError, "content filter"),
        ("BadRequestError", {}, FinalError, "bad request"),
        ("UnsupportedParamsError", {}, EndpointError, "unsupported request"),
        ("BadGatewayError", {}, TransientError, "server error"),
        ("Timeout", {}, TransientError, "timeout"),
        ("APIConnectionError", {}, TransientError, "connection"),
    ],
)
def test_litellms_other_exceptions(name: str, arguments: dict[str, Any], error: type[CallError], kind: str) -> None:
    import httpx

    litellm = litellm_offline()
    if "response" in arguments:
        arguments = {"response": httpx.Response(403, request=httpx.Request("POST", "http://127.0.0.1"))}
    original = getattr(litellm, name)(message=f"some {KEY} text", model="m", llm_provider="openai", **arguments)
    raised = translated(original, model="m", key=KEY)
    assert (type(raised), raised.kind) == (error, kind)
    assert KEY not in str(raised)


def test_bad_requests_are_told_apart_by_what_they_say() -> None:
    litellm = litellm_offline()

    def kind_of(message: str) -> str:
        return translated(litellm.BadRequestError(message, model="m", llm_provider="x"), model="m").kind

    assert kind_of("The model `abc` does not exist") == "unknown model"
    assert kind_of("Your credit balance is too low to access the API") == "quota"
    assert kind_of("Invalid schema for response_format 'Verdict'") == "unsupported request"
    assert kind_of("This model's maximum context length is 4096 tokens") == "prompt too long"
    assert kind_of("messages.0: something odd") == "bad request"


def test_a_schema_is_strict_only_when_it_is_closed_and_whole() -> None:
    closed = {**SCHEMA, "properties": {"relevance": {"type": "number"}}, "required": ["relevance"]}
    assert allows_strict(closed)
    assert not allows_strict(SCHEMA), "maxLength is not a keyword of strict decoding"
    assert not allows_strict({**closed, "required": []})
    assert not allows_strict({**closed, "additionalProperties": True})


def test_settings_are_refused_before_anything_is_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("LOOPBACK_KEY")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        check_model("openai/gpt-4o", {})
    with pytest.raises(SettingsError, match="LOOPBACK_KEY"):
        check_model("mine", {"mine": ModelEndpoint(model="openai/x", api_key=Env(env="LOOPBACK_KEY"))})
    with pytest.raises(SettingsError, match=r"no provider.*Did you mean 'extractive'"):
        check_model("extractve", {})
    check_model("mine", {"mine": ModelEndpoint(model="openai/x", base_url="http://127.0.0.1:9/v1")})
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-0123456789")
    check_model("openai/gpt-4o", {})


def test_the_embedded_model_needs_no_litellm() -> None:
    code = (
        "import sys; from enrich_assets.models.llm import check_model; import enrich_assets.models.extractive;"
        "check_model('extractive', {}); sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
