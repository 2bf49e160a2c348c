"""One measurement of `benchmarks.throughput` in a process of its own: asks for every row in one way, and tells what
that took. That benchmark starts it, with its setting as JSON."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks import judged
from enrich_assets.engine.answer_schema import schema_of
from enrich_assets.engine.job import Job
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.engine.runner import run_phase
from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.schemas import response_format
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models

SAMPLE_SECONDS = 0.02


class Memory:
    """The most memory that the process held while this was open, above what it held before, sampled, in MB."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._before = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        gc.collect()
        self._before = _resident_mb()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, _resident_mb() - self._before)


def _resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def messages_of(rows: int) -> list[list[dict[str, str]]]:
    """The messages that the engine sends for each row."""
    template = load_prompt(judged.PROMPT)
    settings = judged.JudgedSettings()
    prompts = (template.render(row=row, settings=settings) for row in judged.rows(rows).to_pylist())
    return [[{"role": "system", "content": one.system}, {"role": "user", "content": one.user}] for one in prompts]


async def by_aiohttp(asked: dict[str, Any], all_messages: list[list[dict[str, str]]], batch: int = 0) -> int:
    """Asks over aiohttp, in batches or through a semaphore; gives the number of answers."""
    form = response_format(schema_of(judged.Verdict))
    places = asyncio.Semaphore(asked["in_flight"])
    url = f"{asked['base_url']}/chat/completions"
    answers: list[dict[str, Any]] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(messages: list[dict[str, str]]) -> None:
            body = {"model": "loopback", "messages": messages, "max_tokens": 2000, "response_format": form}
            async with places, session.post(url, json=body) as response:
                found = await response.json()
                answers.append(json.loads(found["choices"][0]["message"]["content"]))

        for begin in range(0, asked["rows"], batch or asked["rows"]):
            part = all_messages[begin : begin + (batch or asked["rows"])]
            await asyncio.gather(*(one(messages) for messages in part))
    return len(answers)


async def by_litellm(asked: dict[str, Any], all_messages: list[list[dict[str, str]]]) -> int:
    """Asks with litellm.acompletion, gather and a semaphore; gives the number of answers."""
    litellm = litellm_offline()
    form = response_format(schema_of(judged.Verdict))
    places = asyncio.Semaphore(asked["in_flight"])
    answers: list[dict[str, Any]] = []

    async def one(messages: list[dict[str, str]]) -> None:
        async with places:
            found = await litellm.acompletion(
                model="openai/loopback", api_base=asked["base_url"], api_key="none", messages=messages,
                max_tokens=2000, response_format=form, num_retries=0, max_retries=0,
            )  # fmt: skip
            answers.append(json.loads(found.choices[0].message.content))

    await asyncio.gather(*(one(messages) for messages in all_messages))
    return len(answers)


def by_engine(asked: dict[str, Any], job: Job, ledger: Ledger) -> int:
    """Runs the phase under its lease; gives the number of answers that are durable."""
    lease = ledger.lease_phase(job.run.run_id, job.phase.name)
    result = run_phase(job)
    lease.release()
    if result.counts.kept != asked["rows"]:
        raise SystemExit(f"{result.counts.failed_by_kind}")
    return ledger.count_answers(phase="judged")


def transport_of(asked: dict[str, Any]) -> Models:
    """The engine's transport, direct or through litellm."""
    path = "litellm" if asked["way"] == "engine-lite" else "direct"
    endpoint = {"model": "openai/loopback", "base_url": asked["base_url"], "path": path}
    prices = {"usd_per_million_input": 0.15, "usd_per_million_output": 0.6}
    return Models({judged.MODEL: ModelEndpoint.model_validate({**endpoint, **prices})})


def main() -> None:
    """Measures what the setting in the first argument asks for, and prints the result as JSON."""
    asked = json.loads(sys.argv[1])
    way = str(asked["way"])
    if "lite" in way:
        litellm_offline()
    # The engine renders its prompts within the time that is measured; the others find them rendered.
    ready = [] if way.startswith("engine") else messages_of(asked["rows"])
    with Ledger(f"sqlite:///{Path(asked['folder']) / 'ledger.db'}") as ledger:
        job = judged.job(asked["rows"], asked["in_flight"], ledger, transport_of(asked))
        ways: dict[str, Callable[[], int]] = {
            "bare": lambda: asyncio.run(by_aiohttp(asked, ready)),
            "barrier-10": lambda: asyncio.run(by_aiohttp(asked, ready, 10)),
            "barrier-64": lambda: asyncio.run(by_aiohttp(asked, ready, 64)),
            "litellm": lambda: asyncio.run(by_litellm(asked, ready)),
            "engine": lambda: by_engine(asked, job, ledger),
            "engine-lite": lambda: by_engine(asked, job, ledger),
        }
        found = measured(asked, ways[way])
    print(json.dumps(found))


def measured(asked: dict[str, Any], work: Callable[[], int]) -> dict[str, float]:
    """Seconds, CPU milliseconds a row, and the peak of memory in MB of one piece of work."""
    profiler = cProfile.Profile() if asked["profile"] else None
    with Memory() as memory:
        begun, cpu = time.perf_counter(), time.process_time()
        answers = work() if profiler is None else profiler.runcall(work)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if profiler is not None:
        profiler.dump_stats(asked["profile"])
    if answers != asked["rows"]:
        raise SystemExit(f"{answers} answers to {asked['rows']} rows")
    return {"seconds": seconds, "client_cpu_ms": cpu * 1000 / asked["rows"], "memory_mb": memory.peak_mb}


if __name__ == "__main__":
    main()
