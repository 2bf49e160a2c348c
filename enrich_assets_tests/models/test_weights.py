"""What requests can take at most, prompts beyond the context window, and what endpoints allow."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich_assets.core.errors import FinalError
from enrich_assets.core.settings import Env
from enrich_assets.engine.clients import ModelReply, Weight
from enrich_assets.models.prices import listed, listed_cost, most_cost
from enrich_assets.models.schemas import format_text, response_format
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets.models.weights import least_tokens
from enrich_assets_tests.model_server import ModelServer

SCHEMA: dict[str, Any] = {
    "title": "Verdict",
    "type": "object",
    "properties": {"reason": {"type": "string", "description": "warum – auf Deutsch, höchstens ein Satz"}},
    "required": ["reason"],
    "additionalProperties": False,
}
PRICES = {"usd_per_million_input": 2.0, "usd_per_million_output": 8.0}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Judge."}, {"role": "user", "content": text}]


def models(base_url: str | None = "http://127.0.0.1:9/v1", **changes: Any) -> Models:
    return Models({"mine": ModelEndpoint.model_validate({"model": "openai/loopback", "base_url": base_url, **changes})})


def tokens_by(name: str, *texts: str) -> int:
    from tiktoken import get_encoding

    least_tokens("openai/gpt-4o", [""])  # so that the files are found where litellm keeps them
    return sum(len(get_encoding(name).encode_ordinary(text)) for text in texts)


@pytest.mark.parametrize("path", ["direct", "litellm"])
@pytest.mark.parametrize(
    "text", ["Helix ships a chip. " * 200, "芯片很快。" * 300, "ўзбек тили 🙂 " * 100, "\x00\ud800"]
)
def test_no_request_takes_more_than_was_said_before(server: ModelServer, path: str, text: str) -> None:
    transport = models(server.base_url, path=path, **PRICES)
    weight = transport.weigh("mine", messages(text), SCHEMA)
    reply: ModelReply = asyncio.run(transport.complete("mine", messages(text), SCHEMA))
    assert reply.tokens_in + reply.tokens_out <= weight.tokens
    assert reply.cost is not None
    assert weight.usd is not None
    assert reply.cost <= weight.usd
    body = server.requests[-1].body
    sent = json.dumps([body["messages"], body["response_format"]], ensure_ascii=False).replace("\ud800", "")
    for tokenizer in ("cl100k_base", "o200k_base"):
        assert tokens_by(tokenizer, sent) + body["max_tokens"] <= weight.tokens


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_a_bound_holds_for_any_text_and_is_not_much_wider_than_its_bytes(text: str) -> None:
    bare = models().weigh("mine", messages(""), SCHEMA).tokens
    more = models().weigh("mine", messages(text), SCHEMA).tokens - bare
    assert more == len(text.encode("utf-8", "surrogatepass"))
    for tokenizer in ("cl100k_base", "o200k_base"):
        assert tokens_by(tokenizer, text) <= more


def test_the_longest_answer_is_part_of_the_weight() -> None:
    short, long = models(max_output_tokens=100, **PRICES), models(max_output_tokens=1100, **PRICES)
    weights = [one.weigh("mine", messages("Text."), SCHEMA) for one in (short, long)]
    assert weights[1].tokens - weights[0].tokens == 1000
    assert weights[1].usd is not None
    assert weights[0].usd is not None
    assert weights[1].usd - weights[0].usd == pytest.approx(0.008)


def test_prices_are_own_then_listed_then_unknown_and_never_zero_for_that() -> None:
    def usd(**changes: Any) -> float | None:
        return models(**changes).weigh("mine", messages("Text."), SCHEMA).usd

    assert usd(usd_per_million_input=0.0, usd_per_million_output=0.0) == 0.0
    assert usd() is None
    assert usd(usd_per_million_input=2.0) is None
    known = usd(model="openai/gpt-4o-mini")
    assert known is not None
    assert known > 0
    assert Models({}).weigh(EXTRACTIVE, messages("Text."), SCHEMA) == Weight(0, 0.0)


def test_the_dearest_tier_that_can_be_billed_is_reserved() -> None:
    mini = ModelEndpoint(model="openai/gpt-4o-mini")
    entry = listed("openai/gpt-4o-mini")
    most = most_cost(mini, 1000, 100)
    assert most == pytest.approx(
        1000 * entry["input_cost_per_token_priority"] + 100 * entry["output_cost_per_token_priority"]
    )
    # From 200,000 tokens on this one costs twice as much.
    long = ModelEndpoint(model="gemini/gemini-2.5-pro")
    below, above = most_cost(long, 200_000, 0), most_cost(long, 200_001, 0)
    assert below is not None
    assert above is not None
    assert above > 1.5 * below
    for name in ("openai/gpt-4o-mini", "gpt-4o", "anthropic/claude-sonnet-4-5", "mistral/mistral-small-latest"):
        cost, most = listed_cost(name, 5000, 500), most_cost(ModelEndpoint(model=name), 5000, 500)
        assert cost
        assert most
        assert most >= cost
    assert listed("anthropic/gpt-4o") == {}, "another provider's model of that name has another price"


def test_the_list_is_the_one_that_litellm_reads() -> None:
    from enrich_assets.models.lite import litellm_offline

    litellm = litellm_offline()
    for name in ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"):
        cost_in, cost_out = litellm.cost_per_token(model=name, prompt_tokens=4000, completion_tokens=300)
        assert listed_cost(name, 4000, 300) == pytest.approx(cost_in + cost_out)


def test_a_prompt_beyond_the_window_is_refused_before_it_is_sent(server: ModelServer) -> None:
    before = server.calls
    transport = models(server.base_url, context_tokens=1000)
    with pytest.raises(FinalError, match="1,000") as caught:
        transport.weigh("mine", messages("word " * 1001), SCHEMA)
    assert caught.value.kind == "prompt too long"
    assert not caught.value.outcome_unknown
    assert server.calls == before


def test_a_prompt_that_may_fit_is_not_refused() -> None:
    inside, unknown = models(context_tokens=1000), models()
    inside.weigh("mine", messages("word " * 900), SCHEMA)
    inside.weigh("mine", messages("unsplittable" * 100), SCHEMA)
    unknown.weigh("mine", messages("word " * 500_000), SCHEMA)


def test_openais_prompts_are_counted_exactly_and_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
import socket, sys
def refuse(*_): raise SystemExit("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from enrich_assets.core.errors import FinalError
from enrich_assets.models.transport import Models
from enrich_assets.models.weights import least_tokens
text = "word " * 127_990
assert least_tokens("openai/gpt-4o-mini", ["Hello, world! 你好"]) == 6
Models({{}}).weigh("openai/gpt-4o-mini", [{{"role": "user", "content": text}}], {SCHEMA!r})
try:
    Models({{}}).weigh("openai/gpt-4o-mini", [{{"role": "user", "content": text + "word " * 20}}], {SCHEMA!r})
except FinalError as error:
    sys.exit("litellm" in sys.modules)
sys.exit("not refused")
"""
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "text",
    [
        "plain English words, and a few more of them",
        "ਗੁਰਮੁਖੀ ਵਿੱਚ ਲਿਖਿਆ",
        "ગુજરાતી લખાણ અહીં",
        "中文没有空格",
        "x=1;\ty=[2]\n\n\n",
    ],
)
def test_the_least_that_is_counted_is_no_more_than_other_tokenizers_make(text: str) -> None:
    assert least_tokens("openai/loopback", [text * 50]) <= tokens_by("o200k_base", text * 50)
    assert least_tokens("openai/loopback", [text * 50]) <= tokens_by("cl100k_base", text * 50)


def test_a_schema_is_written_once_and_another_one_anew() -> None:
    first, second = dict(SCHEMA), {**SCHEMA, "title": "Other"}
    assert format_text(first) is format_text(first)
    assert json.loads(format_text(first)) == response_format(first)
    assert json.loads(format_text(second)) == response_format(second)
    for number in range(600):
        assert json.loads(format_text({"title": f"T{number}"}))["json_schema"]["name"] == f"T{number}"


def test_limits_are_the_settings() -> None:
    allowed = models(requests_per_minute=60, tokens_per_minute=9000, concurrency=4).limits("mine")
    assert (allowed.requests_per_minute, allowed.tokens_per_minute, allowed.concurrency) == (60, 9000, 4)
    free = models().limits("mine")
    assert (free.requests_per_minute, free.tokens_per_minute, free.concurrency) == (None, None, None)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        models(concurrency=0)


def test_the_same_endpoint_has_one_key_and_the_key_to_it_is_no_part_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "sk-secret-0123456789")

    def key(model: str = "openai/qwen", base_url: str | None = "http://Models.example:80/v1/", env: str = "") -> str:
        endpoint = {"model": model, "base_url": base_url, "api_key": Env(env=env) if env else None}
        return Models({"a name": ModelEndpoint.model_validate(endpoint)}).limits("a name").key

    assert key() == key(base_url="http://models.example/v1")
    assert len({key(), key(base_url="http://models.example:8000/v1"), key(base_url="https://models.example/v1")}) == 3
    assert len({key(), key(env="OWN_KEY"), key(env="OTHER_KEY"), key(model="openai/llama")}) == 4
    assert "sk-secret" not in key(env="OWN_KEY")
    assert "OWN_KEY" not in key(env="OWN_KEY")
    assert key("gpt-4o", None) == key("openai/gpt-4o", None) == key("openai/gpt-4o", None, "OPENAI_API_KEY")
    assert Models({}).limits("openai/gpt-4o").key == key("openai/gpt-4o", None)
    assert key("openai/gpt-4o", None) != key("azure/gpt-4o", None)
