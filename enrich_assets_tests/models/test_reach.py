"""Where models may be reached: what is written out, what is allowed, and nothing else inside."""

from __future__ import annotations

import asyncio
import socket

import pytest

from enrich_assets.core.errors import CallError, EndpointError
from enrich_assets.models.reach import check_reach
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.model_server import ModelServer

MESSAGES = [{"role": "user", "content": "Judge."}]
SCHEMA = {"title": "Verdict", "type": "object", "properties": {"relevance": {"type": "number"}}}


@pytest.fixture(scope="module")
def server():
    with ModelServer() as running:
        yield running


@pytest.fixture
def inner_name(monkeypatch):
    """The name models.internal stands for this machine; gives what was looked up."""
    asked, known = [], socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        asked.append(host)
        return known("127.0.0.1" if host == "models.internal" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def ask(base_url, path, **settings):
    endpoint = ModelEndpoint(model="openai/own", base_url=base_url, path=path, **settings)

    async def run():
        return (await Models({"own": endpoint}).complete("own", MESSAGES, SCHEMA)).text

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["direct", "litellm"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_model_server_of_ones_own_needs_no_permission(server, host, path):
    assert ask(server.base_url.replace("127.0.0.1", host), path)


@pytest.mark.parametrize("path", ["direct", "litellm"])
def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(server, inner_name, path):
    before = len(server.requests)
    with pytest.raises(EndpointError) as caught:
        ask(server.base_url.replace("127.0.0.1", "models.internal"), path)
    assert "loopback address" in str(caught.value) and "allow_private: true" in caught.value.fix
    assert len(server.requests) == before


@pytest.mark.parametrize("path", ["direct", "litellm"])
def test_a_name_that_may_lead_inside_does(server, inner_name, path):
    assert ask(server.base_url.replace("127.0.0.1", "models.internal"), path, allow_private=True)


def test_a_name_is_judged_once_for_many_requests(inner_name, monkeypatch):
    asked = []

    def look_up(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    endpoint = ModelEndpoint(model="ollama/own", base_url="http://models.example:11434")

    async def run():
        for _ in range(5):
            await check_reach(endpoint, model="own")

    asyncio.run(run())
    assert asked == ["models.example"]


def test_a_name_that_nobody_knows_is_a_failed_connection(monkeypatch):
    def look_up(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(CallError) as caught:
        ask("http://nowhere.example/v1", "direct")
    assert caught.value.kind == "connection" and not caught.value.outcome_unknown
