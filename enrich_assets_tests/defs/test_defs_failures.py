"""What a failure leaves behind: earlier files whole, a sentence that helps, and a run that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.errors import PhaseFailed
from enrich_assets.core.result import PhaseResult
from enrich_assets.defs.build import build_definitions
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Check
from enrich_assets.engine.resume import first_open
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room


def _standing(room: Room, graph: Graph = INTELLIGENCE) -> dict[str, tuple[str, str]]:
    return {s.phase.name: (s.state, s.why) for s in room.standings(graph)}


def test_a_finished_run_is_done_in_every_phase(demo: Room) -> None:
    assert set(_standing(demo).values()) == {("done", "")}


def test_a_failed_phase_leaves_its_earlier_files_as_they_were(demo_copy: Room, changed: Callable[..., Graph]) -> None:
    def paraphrased(article: Any, answer: Any, settings: Any) -> Any:
        raise PhaseFailed("made to fail", where="paraphrased")

    async def scraped(source: Any, clients: Any, settings: Any) -> Any:
        raise RuntimeError("made to fail")

    graph = changed(paraphrased=paraphrased, scraped=scraped)
    for name in ("scraped", "paraphrased"):
        before = demo_copy.files_of(name)
        launched = demo_copy.execute(demo_copy.run_id, [name], graph)

        assert not launched.succeeded
        assert launched.failed_phase == name
        assert "made to fail" in launched.failure
        assert "enrich resume" in launched.failure
        assert any(path.startswith("etl/") for path in before)
        assert demo_copy.files_of(name) == before, name
    with demo_copy.ledger() as ledger:
        view = {phase["phase"]: phase for phase in ledger.phases(demo_copy.run_id)}
    assert view["scraped"]["status"] == "failed"
    assert "made to fail" in view["scraped"]["message"]
    assert set(_standing(demo_copy).values()) == {("done", "")}


def test_a_damaged_byte_is_named_and_mended_without_paying_again(demo_copy: Room) -> None:
    before = demo_copy.hashes()
    artifact = demo_copy.home / "data" / INTELLIGENCE.name / demo_copy.run_id / "tier2.parquet"
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 1
    artifact.write_bytes(bytes(content))

    standing = demo_copy.standings()
    start = first_open(standing)
    assert start is not None
    assert (start.phase.name, start.state) == ("tier2", "damaged")
    assert str(artifact) in start.why

    refused = demo_copy.execute(demo_copy.run_id, ["tier3"])
    assert not refused.succeeded
    assert "tier2.parquet" in refused.failure

    with demo_copy.ledger() as ledger:
        answers = ledger.count_answers()
    mended = demo_copy.execute(demo_copy.run_id, INTELLIGENCE.names[INTELLIGENCE.names.index("tier2") :])
    with demo_copy.ledger() as ledger:
        assert ledger.count_answers() == answers
    assert mended.succeeded, mended.failure
    assert demo_copy.hashes() == before
    assert set(_standing(demo_copy).values()) == {("done", "")}
    for name in ("tier2", "tier3", "paraphrased", "enriched"):
        usage = demo_copy.envelope(name).usage
        assert usage.model_calls + usage.page_requests + usage.search_requests == 0, name


def test_a_blocking_check_that_fails_stops_what_comes_after(demo_copy: Room) -> None:
    phase = INTELLIGENCE.phase("validated")
    original = phase.checks
    report = demo_copy.envelope("report").artifact_id

    def never_well(result: PhaseResult, settings: Any) -> str:
        return "made to fail"

    # The declaration is frozen; the check's outcome is what changes here, not its name.
    object.__setattr__(phase, "checks", (Check(original[0].name, never_well, blocking=True), *original[1:]))
    try:
        launched = demo_copy.execute(demo_copy.run_id, ["validated", "report"])
    finally:
        object.__setattr__(phase, "checks", original)

    envelope = demo_copy.envelope("validated")
    assert not launched.succeeded
    assert launched.failed_phase == "validated"
    assert "made to fail" in launched.failure
    assert envelope.status == "blocked"
    assert [(c.name, c.message) for c in envelope.blocking_failures()] == [(original[0].name, "made to fail")]
    assert demo_copy.envelope("report").artifact_id == report

    alone = demo_copy.execute(demo_copy.run_id, ["report"])
    assert not alone.succeeded
    assert alone.failed_phase == "report"
    assert "made to fail" in alone.failure and "resume" in alone.failure
    assert demo_copy.envelope("report").artifact_id == report

    start = first_open(demo_copy.standings())
    assert start is not None
    assert (start.phase.name, start.state) == ("validated", "blocked")
    assert demo_copy.execute(demo_copy.run_id, ["validated", "report"]).succeeded
    assert set(_standing(demo_copy).values()) == {("done", "")}


def test_a_phase_refuses_an_earlier_one_that_failed_its_check_also_where_it_only_reads_its_record(
    demo_copy: Room,
) -> None:
    phase, original = INTELLIGENCE.phase("tier2"), INTELLIGENCE.phase("tier2").checks
    broken = Check("made_to_fail", lambda result, settings: "made to fail", blocking=True)
    object.__setattr__(phase, "checks", (broken, *original))
    try:
        run_phase_alone = demo_copy.execute(demo_copy.run_id, ["tier2"])
    finally:
        object.__setattr__(phase, "checks", original)
    report = demo_copy.envelope("report").artifact_id

    assert demo_copy.envelope("tier2").status == "blocked", run_phase_alone.failure
    alone = demo_copy.execute(demo_copy.run_id, ["report"])
    assert not alone.succeeded and "made to fail" in alone.failure
    assert f"enrich resume {demo_copy.run_id}" in alone.failure and "materialize from tier2 on" in alone.failure
    assert demo_copy.envelope("report").artifact_id == report


def test_settings_stay_frozen_when_the_preset_changes(demo_copy: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    before = demo_copy.envelope("initialized")
    monkeypatch.setattr("enrich_assets.defs.runs.load_preset", lambda graph, name: {"title": "another"})
    monkeypatch.setattr("enrich_assets.graphs.presets.load_preset", lambda graph, name: {"title": "another"})

    assert demo_copy.execute(demo_copy.run_id, ["initialized"]).succeeded
    after = demo_copy.envelope("initialized")
    assert after.artifact_id != before.artifact_id
    assert after.data_sha256 == before.data_sha256
    assert set(_standing(demo_copy).values()) == {("done", "")}


def test_settings_come_from_the_snapshot_when_the_ledger_is_lost(demo_copy: Room) -> None:
    before = demo_copy.envelope("initialized").data_sha256
    for path in (demo_copy.home / "data").glob("ledger.db*"):
        path.unlink()

    assert demo_copy.execute(demo_copy.run_id, ["initialized"]).succeeded
    assert demo_copy.envelope("initialized").data_sha256 == before


@pytest.mark.parametrize(
    "key", ["a/b", "a,b", "'a'", '"a"', "..", "../../a", " ", "a b", "x" * 300, "a\\b", "a;b", "ümlaut", "-x"]
)
def test_a_key_typed_by_hand_that_is_no_run_id_is_refused_and_nothing_is_written(room: Room, key: str) -> None:
    job = build_definitions().resolve_job_def("intelligence")
    room.instance.add_dynamic_partitions("intelligence_runs", [key])
    before = _tree(room.home.parent)
    result = job.execute_in_process(
        instance=room.instance,
        partition_key=key,
        asset_selection=[dg.AssetKey("initialized")],
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    told = failure.event_specific_data.user_failure_data.description  # type: ignore[union-attr]

    assert not result.success
    assert "is no run ID" in told or "is not a run ID" in told
    assert "letters, digits" in told
    written = {p for p in _tree(room.home.parent) - before if not p.startswith(("home/history", "home/storage"))}
    assert {p for p in written if not p.startswith(("home/schedules", "home/logs"))} == set()


def _refused(room: Room, run_id: str, asset: str) -> str:
    """What the launch of one asset by itself is refused with."""
    result = (
        build_definitions()
        .resolve_job_def("intelligence")
        .execute_in_process(
            instance=room.instance, partition_key=run_id, asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    )  # fmt: skip
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    told = failure.event_specific_data.user_failure_data  # type: ignore[union-attr]
    assert told is not None, failure.message
    return str(told.description)


def test_a_phase_without_its_inputs_names_the_first_phase_that_is_missing(room: Room) -> None:
    run_id = room.begin(preset="demo")
    assert _refused(room, run_id, "tier3") == (
        f"initialized of the run {run_id} is not made yet. To go on: enrich resume {run_id}, or in the UI materialize "
        "from initialized on."
    )
    assert room.execute(run_id, ["initialized"]).succeeded
    assert _refused(room, run_id, "tier3").startswith(f"scraped of the run {run_id} is not made yet.")


def test_a_phase_whose_input_is_damaged_says_which_file_and_how_to_go_on(demo_copy: Room) -> None:
    path = demo_copy.home / "data" / INTELLIGENCE.name / demo_copy.run_id / "tier2.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    told = _refused(demo_copy, demo_copy.run_id, "tier3")
    assert "tier2.parquet" in told and "materialize from tier2 on" in told and "\n" not in told


def test_a_later_phase_of_a_key_that_is_no_run_id_says_so(room: Room) -> None:
    room.instance.add_dynamic_partitions("intelligence_runs", ["-x"])
    told = _refused(room, "-x", "tier1")
    assert "'-x' is not a run ID" in told and "Delete partitions" in told


def test_a_good_key_that_nobody_registered_takes_the_default_preset_and_says_so(room: Room) -> None:
    launched = room.execute("typed-by-hand", ["initialized"])
    document = room.store.load(INTELLIGENCE.name, "typed-by-hand", "initialized").document or {}

    assert launched.succeeded, launched.failure
    assert document["preset"] == "ai_news"
    assert "typed-by-hand" in document["notes"][0] and "ai_news" in document["notes"][0]
    with room.ledger() as ledger:
        assert ledger.registration("typed-by-hand") is not None
    first = room.envelope("initialized", "typed-by-hand").data_sha256
    assert room.execute("typed-by-hand", ["initialized"]).succeeded
    assert room.envelope("initialized", "typed-by-hand").data_sha256 == first


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
