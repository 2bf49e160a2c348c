"""An archived run reads like its folder, comes back with the same bytes, and a damaged archive is named."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, UserError
from enrich_assets.core.result import PhaseResult
from enrich_assets.store.archive import ArchivedRun, archive_path, clear_folder, pack, unpack
from enrich_assets.store.layout import RunFolder
from enrich_assets.store.run_files import run_files
from enrich_assets.store.store import Store

GRAPH, RUN = "intelligence", "20260131_093000"
MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
EMPTY = pa.table({"row_id": pa.array([], pa.string())})


def result_of(phase: str, number: int, **content: Any) -> PhaseResult:
    return PhaseResult(
        graph=GRAPH, run_id=RUN, phase=phase, number=number, started_at=MOMENT, duration_seconds=1.0, counts=Counts(),
        usage=Usage(), settings_fingerprint="s", code_fingerprint="c", dropped=EMPTY, failed=EMPTY, **content,
    )  # fmt: skip


def published(root: Path | UPath | str) -> Store:
    store = Store(root)
    store.publish(result_of("initialized", 1, document={"title": "Stored"}))
    for value in (1, 2, 3):
        table = pa.table({"row_id": ["a", "b"], "value": [value, -value]})
        store.publish(result_of("scraped", 2, table=table, sides={"sources": pa.table({"value": [value]})}))
    store.publish(result_of("report", 3, document={"articles": []}), reports={"report.md": b"# News\n"})
    store.mark_latest(GRAPH, RUN)
    return store


def archive(store: Store) -> ArchivedRun:
    folder = RunFolder(store.root, GRAPH, RUN)
    found = run_files(folder, ("initialized", "scraped", "report"))
    assert (found.foreign, found.leftovers) == ((), ())
    pack(folder, found.own, pages=["f" * 64], now=MOMENT)
    archived = ArchivedRun(store.root, GRAPH, RUN)
    assert clear_folder(folder, archived) == []
    return archived


def all_of(store: Store) -> dict[str, Any]:
    """Everything that a reader gets of the run."""
    phases = store.phases(GRAPH, RUN)
    loaded = {phase: store.load(GRAPH, RUN, phase) for phase in phases}
    versions = store.versions(GRAPH, RUN, "scraped")
    return {
        "phases": phases,
        "loaded": {
            name: (one.envelope, one.document, one.table and one.table.to_pylist()) for name, one in loaded.items()
        },
        "envelopes": [store.envelope(GRAPH, RUN, phase) for phase in phases],
        "verified": [store.verify(GRAPH, RUN, phase) for phase in phases],
        "side": store.side(GRAPH, RUN, "scraped", "sources").to_pylist(),
        "report": store.side_file(GRAPH, RUN, "report", "reports/report.md"),
        "versions": versions,
        "old": [store.load_version(GRAPH, RUN, "scraped", v.artifact_id).table.to_pylist() for v in versions],  # type: ignore[union-attr]
        "manifest": store.manifest(GRAPH, RUN),
        "listed": store.listed(GRAPH, RUN),
        "rebuilt": store.rebuild_manifest(GRAPH, RUN),
        "runs": store.runs(GRAPH),
        "latest": store.latest(GRAPH),
    }


def snapshot(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_an_archived_run_reads_like_its_folder_and_comes_back_with_the_same_bytes(tmp_path: Path) -> None:
    store = published(tmp_path)
    before, files = all_of(store), snapshot(tmp_path)
    archived = archive(store)
    assert not (tmp_path / GRAPH / RUN).exists()
    assert all_of(Store(tmp_path)) == before
    assert archived.check()["pages"] == ["f" * 64]
    with pytest.raises(ArtifactMissing):
        store.load(GRAPH, RUN, "tier1")
    with pytest.raises(UserError, match="archived") as error:
        store.publish(result_of("tier1", 3, document={}))
    assert f"enrich keep --restore {RUN}" in error.value.fix
    assert unpack(archived) > 10
    assert snapshot(tmp_path) == files
    assert all_of(store) == before


def test_what_is_unpublished_of_an_archived_run_is_gone_for_good(tmp_path: Path) -> None:
    store = published(tmp_path)
    archive(store)
    assert store.unpublish(GRAPH, RUN, "scraped") > 5
    assert store.phases(GRAPH, RUN) == ["initialized", "report"]
    assert not archive_path(UPath(tmp_path), GRAPH, RUN).exists()


def test_an_archive_cut_short_is_named_wherever_it_is_cut(tmp_path: Path) -> None:
    store = published(tmp_path)
    archived = archive(store)
    path = Path(archived.path.path)
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 3, len(whole) // 2, len(whole) - 65, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactDamaged, match="archive") as error:
            ArchivedRun(store.root, GRAPH, RUN).check()
        assert error.value.where == str(path)
        with pytest.raises(ArtifactDamaged):
            unpack(archived)
        try:
            assert store.load(GRAPH, RUN, "scraped").table is not None
        except ArtifactDamaged as told:
            assert path.name in str(told)
    assert not (tmp_path / GRAPH / RUN).exists()


def test_a_flipped_byte_is_found_and_never_gives_other_rows(tmp_path: Path) -> None:
    store = published(tmp_path)
    archived = archive(store)
    path, chance = Path(archived.path.path), random.Random(7)
    rows = store.load(GRAPH, RUN, "scraped").table
    assert rows is not None
    whole = path.read_bytes()
    places = [0, 10, 14, len(whole) - 1, len(whole) - 66, len(whole) - 86]
    for place in [*places, *(chance.randrange(len(whole)) for _ in range(150))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :])
        with pytest.raises(ArtifactDamaged):
            ArchivedRun(store.root, GRAPH, RUN).check()
        try:
            found = store.load(GRAPH, RUN, "scraped").table
        except ArtifactDamaged as error:
            assert path.name in str(error)
        else:
            assert found == rows


def test_another_runs_archive_is_not_taken_for_this_one(tmp_path: Path) -> None:
    store = published(tmp_path)
    path = Path(archive(store).path.path)
    path.rename(path.with_name("20260201_093000.zip"))
    with pytest.raises(ArtifactDamaged, match="copied here"):
        store.load(GRAPH, "20260201_093000", "scraped")


def test_a_file_that_stands_where_one_comes_back_is_refused_and_kept(tmp_path: Path) -> None:
    archived = archive(published(tmp_path))
    own = tmp_path / GRAPH / RUN / "reports" / "report.md"
    own.parent.mkdir(parents=True)
    own.write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="another file stands"):
        unpack(archived)
    assert own.read_text(encoding="utf-8") == "mine" and archived.check()


def test_an_earlier_version_of_a_phase_becomes_the_present_one_and_back(tmp_path: Path) -> None:
    store = published(tmp_path)
    ids = [
        store.envelope(GRAPH, RUN, "scraped").artifact_id,
        *(v.artifact_id for v in store.versions(GRAPH, RUN, "scraped")),
    ]
    before, now = store.roll_back(GRAPH, RUN, "scraped")
    assert (before.artifact_id, now.artifact_id) == (ids[0], ids[1])
    assert all_of(store)["side"] == [{"value": 2}]
    assert store.roll_back(GRAPH, RUN, "scraped")[1].artifact_id == ids[2]
    assert all_of(store)["side"] == [{"value": 1}]
    with pytest.raises(ArtifactMissing, match="no older version"):
        store.roll_back(GRAPH, RUN, "scraped")
    with pytest.raises(ArtifactMissing, match="no version nowhere"):
        store.roll_back(GRAPH, RUN, "scraped", "nowhere")
    assert store.roll_back(GRAPH, RUN, "scraped", ids[0])[1].artifact_id == ids[0]
    assert all_of(store)["side"] == [{"value": 3}]
    assert {v.artifact_id for v in store.versions(GRAPH, RUN, "scraped")} == set(ids[1:])
