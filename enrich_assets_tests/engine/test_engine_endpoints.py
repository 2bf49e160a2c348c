"""Endpoints as they are, asked for eight rows: what they wrap, refuse, limit and hide costs no call too many."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import PhaseFailed
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.progress import unknown_outcomes
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.endpoint_server import Answer, EndpointServer, completion
from enrich_assets_tests.engine.small_graph import GRAPH
from enrich_assets_tests.engine_kit import rows_table, run

ROWS = 8
VERDICT = json.dumps({"points": 3, "why": "it says so {really}"})
paths = pytest.mark.parametrize("path", ["direct", "litellm"])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def row_of(request: dict[str, Any]) -> int:
    """Which row is asked for."""
    found = re.search(r"row number (\d+)", json.dumps(request["messages"]))
    assert found is not None
    return int(found[1])


def judged(server: EndpointServer, ledger: Ledger, path: str = "direct", **endpoint: Any) -> PhaseResult:
    """Eight rows, judged one by one."""
    values = {"model": "openai/m", "base_url": server.base_url, "path": path, **endpoint}
    models = Models({"m": ModelEndpoint.model_validate(values)})
    table = rows_table(*(f"row number {number}" for number in range(ROWS)))
    settings = {"first_delay_seconds": 0.01}
    return run(GRAPH, "judged", table, ledger, models, settings=settings)  # type: ignore[arg-type]


def is_whole(result: PhaseResult) -> bool:
    """Whether every row has its points."""
    return result.table is not None and result.table.column("points").to_pylist() == [3] * ROWS


WRAPPINGS: dict[str, dict[str, Any]] = {
    "think": completion(f'<think>\nA draft: {{"points": 9, "why": "no"}}\n</think>\n\n{VERDICT}'),
    "only closed": completion(f'A draft {{"points": 9, "why": "no"}}.\n</think>\n{VERDICT}'),
    "magistral": completion(f'[THINK]Perhaps {{"points": 9, "why": "no"}}[/THINK]{VERDICT}'),
    "prose and fence": completion(f"Here it is:\n\n```JSON\r\n{VERDICT}\r\n```\n\nLet me know!"),
    "trailing comma": completion(f"{VERDICT[:-1]},\n}}"),
    "reasoning": completion(None, reasoning_content=VERDICT),
    "tool call": completion(
        None, tool_calls=[{"id": "1", "type": "function", "function": {"name": "a", "arguments": VERDICT}}]
    ),
    "parts": completion([{"type": "text", "text": VERDICT[:9]}, {"type": "text", "text": VERDICT[9:]}]),  # type: ignore[arg-type]
}


@paths
def test_eight_wrappings_of_valid_json_take_eight_calls(ledger: Ledger, path: str) -> None:
    wrappings = list(WRAPPINGS.values())
    if path == "litellm":
        wrappings[-1] = completion(f"<thinking>{VERDICT}")  # litellm reads no content in parts, and says so
    with EndpointServer(lambda request, _: Answer(wrappings[row_of(request)])) as server:
        result = judged(server, ledger, path)
        assert is_whole(result) and result.usage.retries == 0
        assert server.calls == ROWS
        thinks = [line for line in result.log if line["event"] == "thinks_aloud"]
        assert len(thinks) == 1 and "thinks before it answers" in thinks[0]["message"]


def test_what_cannot_be_used_is_asked_again_once_with_the_reason(ledger: Ledger) -> None:
    with EndpointServer(lambda *_: Answer(completion("I would rather not say."))) as server:
        with pytest.raises(PhaseFailed):
            judged(server, ledger)
        assert server.calls == 2 * ROWS
        assert "could not be used" in json.dumps(server.seen[-1])


def _limited(seconds: float, **answer: Any) -> Answer:
    body = answer.pop("body", {"error": {"message": "Too many requests", "type": "requests"}})
    return Answer(body, 429, answer.get("headers", {}))


GROQ = (
    "Rate limit reached for model `m` in organization `o` on tokens per minute (TPM): Limit 6000, Used 5100, Requested "
    "1400. Please try again in 300ms. Need more tokens? Upgrade to Dev Tier today at https://llm.example/billing"
)
GEMINI = [
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing details.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s"}],
        }
    }
]


def waits() -> dict[str, Answer]:
    """429 with each form of a wait of about a third of a second."""
    later = time.time() + 0.3
    return {
        "seconds": _limited(0.3, headers={"Retry-After": "0.3"}),
        "date": _limited(0.3, headers={"Retry-After": formatdate(time.time() + 1, usegmt=True)}),
        "milliseconds": _limited(0.3, headers={"retry-after-ms": "300"}),
        "duration": _limited(
            0.3, headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
        ),
        "epoch in ms": _limited(0.3, headers={"X-RateLimit-Reset": f"{later * 1000:.0f}"}),
        "epoch": _limited(0.3, headers={"X-RateLimit-Reset": f"{later + 1:.0f}"}),
        "words and billing": _limited(0.3, body={"error": {"message": GROQ, "code": "rate_limit_exceeded"}}),
        "retry info in a list": _limited(0.3, body=GEMINI),
    }


@paths
@pytest.mark.parametrize("form", list(waits()))
def test_a_429_with_a_wait_stops_no_phase(ledger: Ledger, path: str, form: str) -> None:
    def reply(_: dict[str, Any], number: int) -> Answer:
        return waits()[form] if number <= 2 else Answer(completion(VERDICT))

    with EndpointServer(reply) as server:
        result = judged(server, ledger, path)
        assert is_whole(result)
        assert result.usage.model_calls == server.calls, "who waits for another's answer has sent nothing"
        assert result.usage.retries <= 2
        assert {line["kind"] for line in result.log if line["event"] == "endpoint_rests"} == {"rate limit"}


def test_a_limit_that_lets_one_request_through_at_a_time_fails_no_row(ledger: Ledger) -> None:
    lock, answered = threading.Lock(), [0.0]

    def reply(_: dict[str, Any], __: int) -> Answer:
        with lock:
            if time.monotonic() < answered[0] + 0.2:
                return Answer({"error": {"message": "Requests per minute reached."}}, 429)
            answered[0] = time.monotonic()
        return Answer(completion(VERDICT))

    with EndpointServer(reply) as server:
        assert is_whole(judged(server, ledger))


def test_credit_that_is_used_up_stops_the_phase_after_one_call(ledger: Ledger) -> None:
    error = {"message": "You exceeded your current quota, please check your plan.", "code": "insufficient_quota"}
    with EndpointServer(lambda *_: Answer({"error": error}, 429)) as server:
        with pytest.raises(PhaseFailed, match="quota or credit is used up"):
            judged(server, ledger)
        assert server.calls == 1, "the others wait for what the first one learns"


def inside(error: Any, text: str = "") -> dict[str, Any]:
    """An error of the upstream inside a choice, as OpenRouter sends it."""
    choice = {"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": text}, "error": error}
    return {"id": "g", "choices": [choice], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}


INSIDE: dict[str, Answer] = {
    "choice": Answer(inside({"code": 502, "message": "Provider returned error"})),
    "half": Answer(inside({"code": 504, "message": "upstream timed out"}, VERDICT[:9])),
    "no choices": Answer({"id": "g", "choices": [], "usage": None}),
    "object": Answer({"error": {"code": 503, "message": "Provider returned error"}}),
    "text": Answer({"error": "model is loading"}),
    "page": Answer("<html><head><title>Sign in</title></head></html>", content_type="text/html"),
    "finish": Answer(completion(VERDICT[:9], finish="error", usage={"prompt_tokens": 0, "completion_tokens": 0})),
}


@paths
@pytest.mark.parametrize("form", list(INSIDE))
def test_an_error_inside_a_200_is_over_when_the_endpoint_is_up_again(ledger: Ledger, path: str, form: str) -> None:
    is_up = threading.Event()
    with EndpointServer(lambda *_: Answer(completion(VERDICT)) if is_up.is_set() else INSIDE[form]) as server:
        with pytest.raises(PhaseFailed) as failed:
            judged(server, ledger, path)
        assert "502" not in str(failed.value) or form == "choice", "no status is made up"
        assert ledger.spent("r", "judged").total == 0.0, "nobody says that it cost anything"
        is_up.set()
        before = server.calls
        assert is_whole(judged(server, ledger, path)), "a plain resume asks all of them again"
        assert server.calls - before == ROWS


def test_an_error_inside_a_200_costs_what_its_usage_says(ledger: Ledger) -> None:
    failed = inside({"code": 502, "message": "Provider returned error"})
    failed["usage"] = {"prompt_tokens": 400, "completion_tokens": 0}
    rows: Counter[int] = Counter()

    def reply(request: dict[str, Any], _: int) -> Answer:
        rows[row_of(request)] += 1
        return Answer(failed if rows[row_of(request)] == 1 else completion(VERDICT))

    with EndpointServer(reply) as server:
        assert is_whole(judged(server, ledger, usd_per_million_input=1, usd_per_million_output=1))
        assert server.calls == 2 * ROWS
        assert ledger.spent("r", "judged").total == pytest.approx(ROWS * (400 + 60) / 1e6)


@paths
def test_a_stream_that_nobody_asked_for_is_read(ledger: Ledger, path: str) -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": VERDICT[i : i + 7]}}]} for i in range(0, len(VERDICT), 7)]
    last = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6},
    }
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*chunks, last]) + "data: [DONE]\n\n"
    with EndpointServer(lambda *_: Answer(stream, content_type="text/event-stream")) as server:
        result = judged(server, ledger, path)
        assert is_whole(result) and server.calls == ROWS
        assert result.usage.tokens_out == 6 * ROWS


def refusing(*parameters: str) -> Any:
    """An endpoint that refuses each of these, with the words of those who do."""
    said = {
        "max_tokens": (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "unsupported_parameter",
        ),
        "max_completion_tokens": (
            "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not "
            "permitted'}]",
            None,
        ),
        "temperature": (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported.",
            "unsupported_value",
        ),
        "json_schema": ("This response_format type is unavailable now", "invalid_request_error"),
        "json_object": ("'response_format.type' must be 'text'", None),
    }

    def reply(request: dict[str, Any], _: int) -> Answer:
        sent = {*request, (request.get("response_format") or {}).get("type")}
        for name in parameters:
            if name in sent:
                message, code = said[name]
                return Answer({"error": {"message": message, "type": "invalid_request_error", "code": code}}, 400)
        return Answer(completion(VERDICT))

    return reply


@paths
@pytest.mark.parametrize(
    ("refused", "adapted"),
    [
        (("json_schema",), {"response_format": "json_object"}),
        (("temperature",), {"temperature": "left out"}),
        (("max_tokens", "temperature"), {"token_parameter": "max_completion_tokens", "temperature": "left out"}),
    ],
)
def test_a_refused_parameter_takes_one_call_more_for_the_whole_endpoint(
    ledger: Ledger, path: str, refused: tuple[str, ...], adapted: dict[str, str]
) -> None:
    with EndpointServer(refusing(*refused)) as server:
        result = judged(server, ledger, path)
        assert is_whole(result)
        assert result.usage.model_calls == server.calls == ROWS + 1
        noted = [line for line in result.log if line["event"] == "request_adapted"]
        assert len(noted) == 1 and adapted.items() <= noted[0].items()
        # Asked again with everything learnt and nothing of it in the request's hash: all of it is in the ledger.
        assert is_whole(judged(server, ledger, path)) and server.calls == ROWS + 1


def test_an_endpoint_that_knows_no_format_is_asked_in_words(ledger: Ledger) -> None:
    with EndpointServer(refusing("json_schema", "json_object")) as server:
        assert is_whole(judged(server, ledger))
        assert server.calls == ROWS + 2
        assert "JSON schema" in server.seen[-1]["messages"][0]["content"] and "response_format" not in server.seen[-1]


def test_settings_name_the_form_and_nothing_has_to_be_learnt(ledger: Ledger) -> None:
    named = {"response_format": "json_object", "token_parameter": "max_completion_tokens", "temperature": None}
    with EndpointServer(refusing("max_tokens", "temperature", "json_schema")) as server:
        assert is_whole(judged(server, ledger, **named))
        assert server.calls == ROWS


def test_a_form_that_the_settings_name_is_not_changed(ledger: Ledger) -> None:
    with EndpointServer(refusing("json_schema")) as server:
        with pytest.raises(PhaseFailed, match="response_format"):
            judged(server, ledger, response_format="json_schema")
        assert server.calls == 1


def test_a_usage_that_cannot_be_right_stops_the_endpoint_and_the_budget_holds(ledger: Ledger) -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 300_000}
    prices = {"usd_per_million_input": 1, "usd_per_million_output": 10}
    with EndpointServer(lambda *_: Answer(completion(VERDICT, usage=usage))) as server:
        with pytest.raises(PhaseFailed, match=r"300,000 tokens for an answer that was limited to 2,000.*150 times"):
            judged(server, ledger, **prices)
        assert server.calls == 1
    spent = ledger.spent("r", "judged")
    assert spent.unsettled == 1 and spent.total is not None and 0.02 < spent.total < 0.1


def test_an_answer_that_litellm_cannot_read_is_paid_once(ledger: Ledger) -> None:
    with EndpointServer(lambda *_: Answer(WRAPPINGS["parts"])) as server:
        with pytest.raises(PhaseFailed, match="path: direct"):
            judged(server, ledger, "litellm")
        assert server.calls == 1


def test_answers_without_a_usage_cost_at_most_what_they_can_have_cost(ledger: Ledger) -> None:
    answer = {name: value for name, value in completion(VERDICT).items() if name != "usage"}
    with EndpointServer(lambda *_: Answer(answer)) as server:
        result = judged(server, ledger, usd_per_million_input=1, usd_per_million_output=10)
        assert is_whole(result) and server.calls == ROWS
        spent = ledger.spent("r", "judged")
        assert spent.unsettled == result.usage.unsettled == ROWS
        assert spent.spent == 0.0 and spent.total == result.usage.spent
        assert unknown_outcomes(spent.unsettled).startswith("at most: 8 requests of unknown outcome or usage")
        assert is_whole(judged(server, ledger)) and server.calls == ROWS
