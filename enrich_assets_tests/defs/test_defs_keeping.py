"""Keeping many runs: exactly the expected ones stay, become archives, go; and what was cut short is finished."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from enrich_assets.core.errors import UnknownRun, UserError
from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.retention import Limits
from enrich_assets.web.page_store import PageStore
from enrich_assets_tests.runs_kit import GRAPH, PARTITIONS, Made, Street, page_key

USUAL = Limits()
SMALL = Limits(complete=2, archived=4, days=90, incomplete_days=30)
WHERE = GRAPH.name


def say(_: str) -> None:
    return None


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tmp_path / "dagster").mkdir()
        with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as opened:
            yield opened


def test_of_120_runs_of_mixed_age_exactly_the_expected_ones_stay_become_archives_and_go(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    street = Street(tmp_path / "data", instance)
    whole = [Made(days_ago=day) for day in range(1, 109)]  # 108 complete, one a day
    old = [Made(days_ago=150 + n) for n in range(4)]  # 112 complete
    broken = [Made(days_ago=day + 0.5, phases=phases) for day, phases in [(2, 1), (29, 2), (31, 2), (60, 0), (200, 1)]]
    like = Made(days_ago=3.5, like=old[0].run_id, earlier=(whole[30].run_id,))
    told = Made(days_ago=50.5, inputs=(old[1].run_id,), sources_before=(broken[4].run_id,))
    going = Made(days_ago=151.5, pages=("quoted by a deleted run alone", "quoted by two runs"))
    quoting = Made(days_ago=1.5, pages=("quoted by two runs",))
    runs = [*whole, *old, *broken[:3], broken[4], like, told, going, quoting]
    assert len({run.run_id for run in runs}) == 120
    street.make(runs)
    street.add_partitions()
    order = sorted((r.run_id for r in [*whole, *old, like, told, going, quoting]), reverse=True)
    launched = whole[40].run_id
    street.launch(launched, dg.DagsterRunStatus.STARTED)
    gone_launch = street.launch(going.run_id)
    with street.keeper() as keeper:
        keeper.pin(GRAPH, whole[50].run_id, wanted=True)
        keeper.pin(GRAPH, old[3].run_id, wanted=True)
        lease = keeper.ledger.lease(f"{whole[60].run_id}/scraped")
        done = keeper.apply(USUAL, say)
        lease.release()

        stay = {*order[:10], launched, whole[50].run_id, old[3].run_id, whole[60].run_id}
        stay |= {old[0].run_id, whole[30].run_id}  # a run that stays is like it; or was told of its articles
        stay |= {broken[0].run_id, broken[1].run_id}  # young
        stay |= {broken[4].run_id}  # an archived run was told of its sources, and an incomplete one is no archive
        deleted = {run_id for run_id in order[100:] if run_id < "20260401"} - {
            old[0].run_id,
            old[1].run_id,
            old[3].run_id,
        }
        deleted |= {broken[2].run_id}
        archived = set(order) - stay - deleted
        assert old[1].run_id in archived  # an archived run was made of its artifacts
        assert done.failures == ()
        assert set(done.deleted) == deleted
        assert set(done.archived) == archived
        assert street.state() == dict.fromkeys(stay, "folder") | dict.fromkeys(archived, "archive")
        assert set(street.store.runs(WHERE)) == stay | archived

        again = keeper.apply(USUAL, say)
        assert (again.archived, again.deleted) == ((whole[60].run_id,), ())

        pages = PageStore(street.store.root)
        assert done.pages == 1
        assert not pages.verify(page_key("quoted by a deleted run alone")) and pages.verify(
            page_key("quoted by two runs")
        )
        known = set(instance.get_dynamic_partitions(PARTITIONS))
        assert known == stay | archived
        assert instance.get_run_by_id(gone_launch) is None
        assert instance.all_logs(gone_launch) == []
        assert {run["run_id"] for run in keeper.ledger.runs(limit=1000)} == stay | archived
        with pytest.raises(UserError, match="taken"):
            keeper.ledger.claim_run(WHERE, {}, run_id=going.run_id)


FEW = [
    Made(1), Made(2, like=""), Made(3, pages=("p3", "shared")), Made(4, pages=("p4",)), Made(5, versions=1),
    Made(95, pages=("p95", "shared")), Made(96, pages=("p96",)), Made(40, phases=2),
]  # fmt: skip


class Killed(BaseException):
    """What a kill would be: nothing that is written after it counts."""


class Dying:
    """From the nth change of the storage, the ledger or Dagster on, nothing happens any more."""

    def __init__(self, patch: pytest.MonkeyPatch, allowed: int | None) -> None:
        self.allowed, self.done = allowed, 0
        for owner, names in {Path: ("replace", "unlink", "rmdir"), Ledger: ("remove_run", "remove_answers")}.items():
            for name in names:
                patch.setattr(owner, name, self._counted(getattr(owner, name)))
        for name in ("delete_run", "delete_dynamic_partition"):
            patch.setattr(dg.DagsterInstance, name, self._counted(getattr(dg.DagsterInstance, name)))

    def _counted(self, real):  # type: ignore[no-untyped-def]
        def counted(*arguments, **named):  # type: ignore[no-untyped-def]
            if self.allowed is not None and self.done >= self.allowed:
                raise Killed
            self.done += 1
            return real(*arguments, **named)

        return counted


def ended(street: Street) -> dict[str, object]:
    """Everything that must be the same in the end, however often it was cut short."""
    store = street.store
    tables = {run_id: store.load(WHERE, run_id, "scraped").table for run_id in sorted(street.state())}
    for run_id in tables:
        for phase in store.phases(WHERE, run_id):
            store.verify(WHERE, run_id, phase)
    with street.keeper() as keeper:
        listed = sorted(str(run["run_id"]) for run in keeper.ledger.runs())
        answers = sorted(answer.content["sha256"] for answer in keeper.ledger.answers("page"))
    left = [p.name for p in street.root.rglob("*.tmp")]
    pages = sorted(PageStore(store.root).hashes())
    partitions = sorted(street.instance.get_dynamic_partitions(PARTITIONS))
    launches = sorted(run.run_id for run in street.instance.get_runs())
    return {
        "state": street.state(), "tables": {k: t.to_pylist() for k, t in tables.items() if t}, "listed": listed,
        "answers": answers, "left": left, "pages": pages, "partitions": partitions, "launches": launches,
    }  # fmt: skip


def trial(first: Path, root: Path, number: int | None) -> tuple[dict[str, object], int]:
    """What is there when keeping was killed at a step (or not) and called again; and how many steps there were."""
    shutil.copytree(first, root, symlinks=True)
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as quick:
        quick.setattr(os, "fsync", lambda _: None)
        street = Street(root, instance)
        street.add_partitions()
        for run in FEW:
            street.launch(run.run_id)
        with pytest.MonkeyPatch.context() as patch:
            dying = Dying(patch, number)
            try:
                with street.keeper() as keeper:
                    keeper.apply(SMALL, say)
            except Killed:
                assert number is not None
        with street.keeper() as keeper:
            for run in FEW[:5]:  # of those that are not deleted nothing is ever half there
                for phase in GRAPH.names:
                    street.store.verify(WHERE, run.run_id, phase)
            assert keeper.apply(SMALL, say).failures == ()
        found = ended(street)
    shutil.rmtree(root)
    return found, dying.done


def killed_at(tmp_path: Path, every: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with dg.DagsterInstance.ephemeral() as unused:
            Street(tmp_path / "first", unused).make(FEW)
        whole, steps = trial(tmp_path / "first", tmp_path / "whole", None)
        stay = dict.fromkeys([FEW[0].run_id, FEW[1].run_id], "folder")
        assert whole["state"] == stay | dict.fromkeys([FEW[n].run_id for n in (2, 3, 4)], "archive")
        assert whole["left"] == [] and whole["pages"] == sorted(map(page_key, ("p3", "shared", "p4")))
        assert steps > 60
        for number in range(0, steps, every):
            found, _ = trial(tmp_path / "first", tmp_path / str(number), number)
            assert found == whole, number


@pytest.mark.timeout(200)
def test_killed_at_some_step_a_second_call_finishes(tmp_path: Path) -> None:
    killed_at(tmp_path, 23)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_any_step_a_second_call_finishes(tmp_path: Path) -> None:
    killed_at(tmp_path, 1)


def test_what_is_archived_refuses_to_be_made_again_and_comes_back_with_the_same_bytes(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    street = Street(tmp_path / "data", instance)
    street.make(FEW)
    run_id = FEW[4].run_id
    before = street.files(run_id)
    with street.keeper() as keeper:
        keeper.apply(SMALL, say)
        assert street.state()[run_id] == "archive"
        with pytest.raises(UserError, match="archived") as error:
            street.store.refuse_archived(WHERE, run_id)
        assert f"enrich keep --restore {run_id}" in error.value.fix
        with pytest.raises(UserError, match="archived"):
            keeper.go_back(GRAPH, run_id)
        with pytest.raises(UserError, match="archived"):
            keeper.roll_back(GRAPH, run_id, "scraped")
        assert keeper.restore(GRAPH, run_id) == len(before)
        assert street.files(run_id) == before
        with pytest.raises(UserError, match="not archived"):
            keeper.restore(GRAPH, run_id)
        keeper.apply(SMALL, say)
        assert street.state()[run_id] == "folder"  # pinned by restoring it
        assert keeper.pin(GRAPH, run_id, wanted=False)
        keeper.apply(SMALL, say)
        assert street.state()[run_id] == "archive"


def test_foreign_files_are_named_and_kept(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    street = Street(tmp_path / "data", instance)
    street.make(FEW)
    third, oldest = (street.root / WHERE / FEW[n].run_id for n in (2, 6))
    (third / "notes.txt").write_text("mine", encoding="utf-8")
    (oldest / "eda").mkdir(exist_ok=True)
    (oldest / "eda" / "linked").symlink_to("/etc")
    half = street.root / WHERE / FEW[3].run_id / ".scraped.parquet.0a0a0a0a.tmp"
    half.write_bytes(b"half")
    with street.keeper() as keeper:
        told = {d.run.run_id: d.why for d in keeper.plan(SMALL)}
        assert "notes.txt" in told[FEW[2].run_id] and "eda/linked" in told[FEW[6].run_id]
        assert half.name in told[FEW[3].run_id]  # somebody may be writing it at this moment
        keeper.apply(SMALL, say)
        assert {street.state()[FEW[n].run_id] for n in (2, 3, 6)} == {"folder"}
        assert (third / "notes.txt").read_text(encoding="utf-8") == "mine"
        os.utime(half, (1, 1))  # half-written, and its writer is gone
        keeper.apply(SMALL, say)
        assert street.state()[FEW[3].run_id] == "archive" and not half.exists()


def test_a_damaged_archive_is_named_and_never_deleted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    street = Street(tmp_path / "data", instance)
    street.make(FEW)
    with street.keeper() as keeper:
        keeper.apply(SMALL, say)
        path = street.root / WHERE / "archive" / f"{FEW[3].run_id}.zip"
        path.write_bytes(path.read_bytes()[:-200])
        strict = Limits(complete=1, archived=1, days=0, incomplete_days=0)
        (found,) = [d for d in keeper.plan(strict) if d.run.run_id == FEW[3].run_id]
        assert found.action == "keep" and path.name in found.why and "damaged" in found.why
        keeper.apply(strict, say)
        assert path.exists()


def test_going_back_to_an_earlier_run_lasts_until_a_later_one_is_complete(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    street = Street(tmp_path / "data", instance)
    street.make([Made(5), Made(6), Made(7), Made(8, phases=2)])
    store = street.store
    with street.keeper() as keeper:
        assert keeper.go_back(GRAPH, Made(6).run_id) == Made(5).run_id
        assert store.latest(WHERE) == Made(6).run_id
        assert (street.root / WHERE / "latest").resolve().name == Made(6).run_id
        store.mark_latest(WHERE, Made(5).run_id)  # resumed: it is the one that somebody left
        store.mark_latest(WHERE, Made(7).run_id)
        assert store.latest(WHERE) == Made(6).run_id
        with pytest.raises(UserError, match="not complete"):
            keeper.go_back(GRAPH, Made(8, phases=2).run_id)
        keeper.apply(Limits(complete=1, archived=5), say)
        assert street.state()[Made(6).run_id] == "folder"  # the latest is never archived
    street.make([Made(1)])
    assert store.latest(WHERE) == Made(1).run_id


def test_a_full_disk_while_archiving_loses_nothing(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    import errno
    import zipfile

    street = Street(tmp_path / "data", instance)
    street.make(FEW)
    before = {run.run_id: street.files(run.run_id) for run in FEW}
    real = zipfile.ZipFile.writestr
    with street.keeper() as keeper, pytest.MonkeyPatch.context() as patch:

        def full(self, info, *rest):  # type: ignore[no-untyped-def]
            if info.filename.startswith("reports/"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(self, info, *rest)

        patch.setattr(zipfile.ZipFile, "writestr", full)
        done = keeper.apply(SMALL, say)
        assert done.archived == () and len(done.failures) >= 3
        assert all("Free some space" in failure for failure in done.failures)
        left = {run.run_id: street.files(run.run_id) for run in FEW if run.run_id not in done.deleted}
        assert left == {run_id: files for run_id, files in before.items() if run_id in left}
        assert not list(street.root.rglob("*.zip")) and not list(street.root.rglob("*.tmp"))
        patch.undo()
        assert keeper.apply(SMALL, say).failures == ()


def test_a_run_that_was_deleted_is_unknown(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    street = Street(tmp_path / "data", instance)
    street.make([Made(100), Made(1), Made(2)])
    with street.keeper() as keeper:
        keeper.apply(Limits(complete=1, archived=1), say)
        with pytest.raises(UnknownRun):
            keeper.ledger.find_run(Made(100).run_id)


def test_the_job_of_the_schedule_keeps_by_the_numbers_of_the_environment(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from enrich_assets.defs.keep_schedule import keeping
    from enrich_assets.defs.resources import resources

    street = Street(tmp_path / "data", instance)
    street.make([Made(day) for day in (1, 2, 3)])
    monkeypatch.setenv("ENRICH_STORAGE", str(street.root))
    monkeypatch.setenv("ENRICH_KEEP_COMPLETE", "2")
    job, schedule = keeping("keep", [GRAPH])
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    result = job.execute_in_process(instance=instance, resources=resources())
    assert result.success
    assert sorted(street.state().values()) == ["archive", "folder", "folder"]
    monkeypatch.setenv("ENRICH_KEEP_COMPLETE", "none")
    with pytest.raises(dg.Failure, match="ENRICH_KEEP_COMPLETE"):
        job.execute_in_process(instance=instance, resources=resources())


def test_compute_logs_of_a_deleted_run_go_and_those_of_another_stay(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    from dagster._core.storage.compute_log_manager import ComputeIOType

    from enrich_assets.defs.keeping import forget_launches

    street = Street(tmp_path / "data", instance)
    logs = instance.compute_log_manager
    keys = [[street.launch(run_id), "compute_logs", "step"] for run_id in ("20260101_093000", "20260102_093000")]
    for key in keys:
        with logs.open_log_stream(key, ComputeIOType.STDERR) as stream:
            assert stream is not None
            stream.write("said")
    assert forget_launches(instance, WHERE, "20260101_093000") == 1
    assert [logs.get_log_data(key).stderr for key in keys] == [None, b"said"]
    assert forget_launches(instance, WHERE, "20260101_093000") == 0
