"""The embedded index holds what the storage had when the run began, and the same whatever was published since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import RunInfo
from enrich_assets.evidence.documents import documents
from enrich_assets.store.store import Store
from enrich_assets.web.search_index import EmbeddedSearch, IndexedPage

BEGAN = datetime(2026, 5, 10, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRAPH = "intelligence"
ME = RunInfo(GRAPH, "me", "", BEGAN, BEGAN)


def articles(*names: str) -> pa.Table:
    return pa.table(
        {
            "row_id": list(names),
            "canonical_url": [f"http://{name}.example/" for name in names],
            "title": [f"About {name}" for name in names],
            "text": [f"{name} is here." for name in names],
        }
    )


def publish(
    store: Store, run_id: str, names: Sequence[str], *, as_of: datetime, at: datetime, preset: str = ""
) -> None:
    """A run with the two phases that the index reads, published at a moment."""

    none = pa.table({"row_id": pa.array([], pa.string())})

    def result(phase: str, number: int, **content: Any) -> PhaseResult:
        return PhaseResult(
            graph=GRAPH, run_id=run_id, phase=phase, number=number, started_at=at - timedelta(minutes=1),
            duration_seconds=60.0, counts=Counts(), usage=Usage(), settings_fingerprint="s", code_fingerprint="c",
            dropped=none, failed=none, **content,
        )  # fmt: skip

    store.publish(result("initialized", 1, document={"as_of": as_of.isoformat(), "preset": preset, "rows": []}))
    store.publish(result("scraped", 2, table=articles(*names)))


def found(store: Store, run: RunInfo = ME, own: pa.Table | None = None, limit: int = 100, **more: object) -> list[str]:
    pages = documents(store, [GRAPH], run, own, limit=limit, **more)  # type: ignore[arg-type]
    return [page.url.removeprefix("http://").removesuffix(".example/") for page in pages]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_own_articles_come_first_then_those_of_earlier_runs_the_newest_first(store: Store) -> None:
    publish(store, "old", ["a", "b"], as_of=BEGAN - 2 * HOUR, at=BEGAN - 2 * HOUR)
    publish(store, "new", ["c"], as_of=BEGAN - HOUR, at=BEGAN - HOUR)
    publish(store, "me", ["x"], as_of=BEGAN, at=BEGAN + HOUR)
    assert found(store, own=articles("x", "y")) == ["x", "y", "c", "a", "b"]
    assert found(store, own=articles("x", "y"), limit=4) == ["x", "y", "c", "a"]
    assert found(store) == ["c", "a", "b"]


def test_a_run_of_a_later_as_of_is_not_known_however_early_it_was_made(store: Store) -> None:
    publish(store, "later", ["a"], as_of=BEGAN + HOUR, at=BEGAN - HOUR)
    publish(store, "same", ["b"], as_of=BEGAN, at=BEGAN - HOUR)
    assert found(store) == ["b"]


def test_what_was_published_since_changes_nothing(store: Store) -> None:
    publish(store, "old", ["a", "b"], as_of=BEGAN - HOUR, at=BEGAN - HOUR)
    before = found(store)
    publish(store, "other", ["c"], as_of=BEGAN - HOUR, at=BEGAN + HOUR)
    # The old run's failed sources are asked again, and its articles published once more.
    publish(store, "old", ["a", "d", "e"], as_of=BEGAN - HOUR, at=BEGAN + HOUR)
    assert found(store) == before == ["a", "b"]


def test_a_run_like_an_earlier_one_finds_what_that_one_found(store: Store) -> None:
    publish(store, "old", ["a"], as_of=BEGAN - HOUR, at=BEGAN - HOUR)
    publish(store, "between", ["b"], as_of=BEGAN, at=BEGAN + HOUR)
    like_me = RunInfo(GRAPH, "again", "", ME.as_of, ME.fresh_from)
    assert found(store, like_me) == found(store) == ["a"]


def test_removed_and_damaged_articles_are_passed_over(store: Store, tmp_path: Path) -> None:
    for number, run_id in enumerate(("one", "two", "three", "four")):
        publish(store, run_id, [run_id], as_of=BEGAN - HOUR * (number + 1), at=BEGAN - HOUR)
    folder = tmp_path / GRAPH
    (folder / "one" / "scraped.parquet").unlink()
    whole = (folder / "two" / "scraped.parquet").read_bytes()
    (folder / "two" / "scraped.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "three" / "initialized.json").write_text("{", encoding="utf-8")
    (folder / "not_a_run").mkdir()
    assert found(store) == ["four"]


def test_presets_whose_pages_nobody_serves_are_left_out(store: Store) -> None:
    publish(store, "show", ["a"], as_of=BEGAN - HOUR, at=BEGAN - HOUR, preset="demo")
    publish(store, "real", ["b"], as_of=BEGAN - HOUR, at=BEGAN - HOUR, preset="ai_news")
    assert found(store, without_presets={"demo"}) == ["b"]


def test_an_empty_storage_holds_nothing(store: Store) -> None:
    assert found(store) == []


def test_the_index_is_read_when_it_is_first_asked_and_once() -> None:
    read: list[int] = []

    def pages() -> list[IndexedPage]:
        read.append(1)
        return [IndexedPage("http://a.example/", "A", "gate")]

    async def search() -> None:
        index = EmbeddedSearch(pages)
        assert read == []
        hits = await asyncio.gather(*(index.find("gate") for _ in range(8)))
        assert [[hit.url for hit in one] for one in hits] == [["http://a.example/"]] * 8

    asyncio.run(search())
    assert read == [1]
