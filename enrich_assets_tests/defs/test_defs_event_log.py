"""What Dagster's event log takes for a run does not grow with the run's rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import serialize_value

from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Created
from enrich_assets_tests.defs.conftest import Room

_PHASES = ["initialized", "scraped", "tier1"]
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def articles(count: int, source: str) -> list[dict[str, Any]]:
    """Articles that have nothing in common but their length."""
    found = []
    for number in range(count):
        name = f"{source}-{number}"
        words = " ".join(f"word{(number * 97 + place * 31) % 99991}" for place in range(90))
        found.append(
            {"row_id": name, "url": f"http://site/{name}", "canonical_url": f"http://site/{name}", "source_id": source}
            | {"source_name": source, "source_weight": 1.0, "title": f"Shelf {number} of {source}", "language": "en"}
            | {"text": words, "word_count": 90, "content_hash": name, "page_sha256": "", "http_status": 200}
            | {"published_at": _BEGUN + timedelta(minutes=number), "fetched_at": _BEGUN, "fetch_method": "http"}
        )
    return found


def bytes_of_events(room: Room, graph: Graph) -> tuple[int, int]:
    """Rows that were made, and bytes of the events of a run."""
    run_id = room.begin(graph, preset="demo")
    launched = room.execute(run_id, _PHASES, graph)
    assert launched.succeeded, launched.failure
    (run,) = room.instance.get_runs()[:1]
    size = sum(len(serialize_value(entry)) for entry in room.instance.all_logs(run.run_id))
    return room.envelope("scraped", run_id).counts.rows_out, size


def measured(room: Room, changed: Callable[..., Graph], count: int) -> tuple[int, int]:
    async def scraped(source: Any, clients: Any, settings: Any) -> Any:
        return Created(rows=articles(count, str(source["row_id"])))

    return bytes_of_events(room, changed(scraped=scraped))


def test_the_event_log_of_a_run_does_not_grow_with_its_rows(room: Room, changed: Callable[..., Graph]) -> None:
    few, small = measured(room, changed, 5)
    many, large = measured(room, changed, 400)
    assert many >= 50 * few
    assert large < 1.1 * small
    assert large < 2_000_000
