"""The job of a graph executed where an event loop is running: a notebook's cell, an async test, a web handler."""

from __future__ import annotations

import asyncio

import pytest

from enrich_assets.reading import open_run
from enrich_assets_tests.defs.conftest import Room


# Dagster, whose clean-up makes a coroutine that it cannot run in a running loop.
@pytest.mark.filterwarnings("ignore:.*shutdown_asyncgens.*")
def test_phases_execute_and_a_run_is_begun_and_read_within_a_running_loop(demo_copy: Room) -> None:
    before = demo_copy.hashes()

    async def cell() -> tuple[bool, str, int]:
        launched = demo_copy.execute(demo_copy.run_id, ["scraped", "tier1", "tier2"])
        begun = demo_copy.begin(preset="demo")  # freezes an estimate, which looks for known answers
        return launched.succeeded, begun, len(open_run(demo_copy.run_id).table("tier2"))

    succeeded, begun, rows = asyncio.run(cell())
    assert succeeded and begun != demo_copy.run_id and rows
    assert demo_copy.hashes() == before
