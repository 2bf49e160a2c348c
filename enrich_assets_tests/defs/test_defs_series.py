"""Series: runs of one preset or settings file have their own latest, their own history and their own counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.errors import SettingsError, UnknownRun
from enrich_assets.defs.earlier import earlier
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.series import known_series, series_named, series_of, series_of_file
from enrich_assets.graphs.finding import find_run, latest_complete
from enrich_assets.graphs.presets import load_preset
from enrich_assets.store.retention import Limits
from enrich_assets_tests.defs.conftest import Room
from enrich_assets_tests.runs_kit import GRAPH, Made, Street

CHIPS, PORTS = "chips/weekly", "ports/weekly"


@pytest.fixture
def street(tmp_path: Path) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        made = Street(tmp_path / "data", instance)
        made.make(
            [Made(5, series=PORTS), Made(4, series=PORTS), Made(3, series=CHIPS), Made(2, series=CHIPS, phases=2)]
        )
        yield made


def test_a_file_is_named_after_its_folder_and_a_run_of_before_after_its_preset_or_title(tmp_path: Path) -> None:
    assert series_of_file(tmp_path / "ports" / ".." / "chips" / "weekly.yaml") == "chips/weekly"
    assert series_of_file(Path("/weekly.v2.yml")) == "weekly.v2"
    assert series_of({"preset": "demo", "title": "t"}) == "demo"
    assert series_of({"preset": "", "title": "t"}) == "t"
    assert series_of({"series": "chips/weekly", "preset": "demo"}) == "chips/weekly"
    assert [series_named(one) for one in ("latest", "latest:a:b", "title: x")] == ["", "a:b", ""]


def test_the_name_of_a_file_alone_is_enough_where_no_other_is_called_so() -> None:
    known = ["demo", CHIPS, "ports/daily", ""]
    assert known_series("weekly", known) == known_series("weekly.yaml", known) == known_series(CHIPS, known) == CHIPS
    with pytest.raises(UnknownRun, match="2 series are called 'weekly'"):
        known_series("weekly", [CHIPS, PORTS])
    with pytest.raises(UnknownRun, match="no run belongs to a series 'nobody'"):
        known_series("nobody", known)


def test_each_series_has_its_own_latest_and_the_graph_has_the_newest_of_all(street: Street) -> None:
    store = street.store
    assert latest_complete(store, GRAPH) == store.latest(GRAPH.name) == Made(3).run_id
    assert latest_complete(store, GRAPH, PORTS) == Made(4).run_id
    assert latest_complete(store, GRAPH, CHIPS) == latest_complete(store, GRAPH, "chips/weekly.yaml") == Made(3).run_id
    with Ledger.for_storage(str(street.root)) as ledger:
        assert ledger.series() == [CHIPS, PORTS]
        assert [run["run_id"] for run in ledger.runs(series=PORTS)] == [Made(4).run_id, Made(5).run_id]
        # As on the command line, where a run that is still going is the one that is meant.
        assert find_run(store, ledger, "latest")[1] == find_run(store, ledger, f"latest:{CHIPS}")[1] == Made(2).run_id
        assert find_run(store, ledger, f"latest:{PORTS}")[1] == Made(4).run_id


def test_without_latest_json_the_newest_complete_run_is_found_all_the_same(street: Street) -> None:
    (street.root / GRAPH.name / "latest.json").unlink()
    assert latest_complete(street.store, GRAPH) == Made(3).run_id


def test_going_back_within_a_series_lasts_until_a_later_one_of_it_is_complete(street: Street) -> None:
    with street.keeper() as keeper:
        assert keeper.go_back(GRAPH, Made(5).run_id) == Made(3).run_id
    store = street.store
    assert store.latest(GRAPH.name) == latest_complete(store, GRAPH, PORTS) == Made(5).run_id
    street.make([Made(1, series=CHIPS)])
    assert (store.latest(GRAPH.name), latest_complete(store, GRAPH, PORTS)) == (Made(1).run_id, Made(5).run_id)
    with Ledger.for_storage(str(street.root)) as ledger:
        assert find_run(store, ledger, f"latest:{PORTS}")[1] == Made(5).run_id
    with street.keeper() as keeper:
        kept = {d.run.run_id: d.why for d in keeper.plan(Limits(complete=1, archived=1))}
        assert kept[Made(5).run_id] == "it is the latest"
    street.make([Made(0.5, series=PORTS)])
    assert latest_complete(store, GRAPH, PORTS) == Made(0.5).run_id


def test_runs_are_kept_by_their_place_in_their_series(street: Street) -> None:
    with street.keeper() as keeper:
        actions = {d.run.run_id: (d.run.series, d.action) for d in keeper.plan(Limits(complete=1, archived=2))}
    assert actions == {
        Made(5).run_id: (PORTS, "archive"),
        Made(4).run_id: (PORTS, "keep"),
        Made(3).run_id: (CHIPS, "keep"),
        Made(2).run_id: (CHIPS, "keep"),
    }


def test_the_history_of_a_run_is_that_of_its_series(room: Room) -> None:
    values = {**load_preset("intelligence", "demo"), "title": "own"}
    ran = room.begin(values=values, series="a/own")
    assert room.execute(ran).succeeded
    assert room.store.latest("intelligence") == ran  # executed without the command line
    assert json.loads((room.home / "data/intelligence/latest/manifest.json").read_text())["run_id"] == ran
    with room.ledger() as ledger:
        registered = ledger.registration(ran) or {}
        same, other = (earlier(_graph(), room.store, ledger, {**registered, "series": s}) for s in ("a/own", "b/own"))
        again = ledger.registration(room.begin(like=ran)) or {}
        # Articles of the demo site are no news to anybody, so its sources alone are told of.
        assert {before["run_id"] for before in same["sources_before"].values()} == {ran}
        assert other == {"earlier": [], "sources_before": {}}
        assert again["series"] == registered["series"] == "a/own"


def test_a_name_that_would_name_another_run_or_hide_something_is_refused(room: Room) -> None:
    for given in ({"title": "latest:demo"}, {"series": "two\nlines"}, {"series": "x" * 201}):
        with pytest.raises(SettingsError, match=r"series|title"):
            room.begin(preset="demo", **given)


def _graph() -> Any:
    from enrich_assets.graphs.intelligence import INTELLIGENCE

    return INTELLIGENCE
