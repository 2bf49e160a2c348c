"""A process that sends as fast as an endpoint's limits let it, and prints when each request left."""

from __future__ import annotations

import asyncio
import sys
import time

from enrich_assets.engine.clients import EndpointLimits
from enrich_assets.engine.database import open_database
from enrich_assets.engine.gate import Gate
from enrich_assets.engine.limits import SharedLimits


async def work(url: str, rate: int, seconds: float) -> list[float]:
    engine = open_database(url)
    shared = SharedLimits(engine, EndpointLimits("e", requests_per_minute=rate), wanted=16)
    gate = Gate(16, shared=shared)
    sent: list[float] = []
    end = time.monotonic() + seconds

    async def sender() -> None:
        while time.monotonic() < end:
            async with gate.admitted(), gate.wire(1):
                sent.append(time.time())
                await asyncio.sleep(0.05)

    await asyncio.gather(*(sender() for _ in range(16)))
    await shared.close()
    engine.dispose()
    return sent


if __name__ == "__main__":
    for moment in asyncio.run(work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))):
        sys.stdout.write(f"{moment!r}\n")
