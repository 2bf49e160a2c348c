"""A real small model in every phase that asks one: poor answers, yet nothing fails that a schema and retries carry.

Needs the dependency group `real-model` of pyproject.toml; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from enrich_assets.core.envelope import Envelope
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store
from enrich_assets_tests.four_articles import ARTICLES, SETTINGS, FourArticles
from enrich_assets_tests.real_model import RealModel, missing

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(missing()), reason=missing() or "installed"),
]
GRAPH = GRAPHS["intelligence"]
ASKS = ("tier2", "tier3", "paraphrased", "enriched")
ENRICH = (sys.executable, "-m", "enrich_assets.cli.main")


@dataclass
class Place:
    """A storage of its own, its settings, and a way to call `enrich` there."""

    folder: Path
    settings: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"ENRICH_STORAGE": str(self.folder / "data"), "DAGSTER_HOME": str(self.folder / "home")}
        return {**os.environ, **own, "NO_COLOR": "1", "COLUMNS": "120"}

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = [*ENRICH, *words]
        return subprocess.Popen(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def call(self, *words: str) -> str:
        process = self.begin(*words)
        output, _ = process.communicate()
        assert process.returncode == 0, f"enrich {' '.join(words)}: {output}"
        return output

    def envelopes(self) -> dict[str, Envelope]:
        store = Store(self.folder / "data")
        (run_id,) = store.runs(GRAPH.name)
        return {name: store.verify(GRAPH.name, run_id, name) for name in store.phases(GRAPH.name, run_id)}

    def log(self, phase: str) -> list[dict[str, Any]]:
        (file,) = (self.folder / "data" / GRAPH.name).glob(f"2*/etl/{phase}/log.jsonl")
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def model() -> Iterator[RealModel]:
    """The model's server, with one slot and one thread."""
    with RealModel() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, model: RealModel) -> Iterator[Place]:
    """A place whose settings name four articles and the model."""
    with FourArticles() as articles:
        host = articles.feed.split("/")[2]
        values = {
            **SETTINGS,
            "title": "Lunden",
            "sources": [{"id": "post", "name": "Lunden Post", "url": articles.feed}],
            "http": {"allow_hosts": [host], "seconds_between_requests": 0.05},
            "model": "small",
            "models": {"small": {"model": f"openai/{model.model}", "base_url": model.base_url}},
            # The judgements of so small a model are worth nothing: whatever category it names goes on.
            "tier2": {"batch": 1, "threshold": 0},
            "tier3": {"threshold": 0},
        }
        settings = tmp_path / "settings.yaml"
        settings.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
        yield Place(tmp_path, settings)


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Waits until it holds, with a bound far above what any machine needs."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.2)


def is_asking(place: Place, model: RealModel) -> Callable[[], bool]:
    """Whether the run has begun to ask the model."""
    return lambda: any((place.folder / "data" / GRAPH.name).glob("2*/tier1.parquet")) and not model.is_idle()


def test_four_articles_go_through_all_ten_phases(place: Place, model: RealModel) -> None:
    running = place.begin("run", "--settings", str(place.settings))
    wait_for(is_asking(place, model))
    watched = place.call("watch", "latest", "--once")
    output, _ = running.communicate()

    assert running.returncode == 0, output
    assert "tier1" in watched and "tier2" in watched, watched
    found = place.envelopes()
    assert tuple(found) == GRAPH.names
    assert found["tier1"].counts.rows_out == len(ARTICLES)
    assert all(found[name].usage.model_calls for name in ASKS), {n: found[n].usage.model_calls for n in ASKS}
    failed = {name: envelope.counts.failed_by_kind for name, envelope in found.items() if envelope.counts.failed}
    assert not failed, failed
    requests = sum(found[name].usage.model_calls for name in ASKS)
    retries = {name: found[name].usage.retries for name in ASKS}
    assert sum(retries.values()) <= 0.5 * requests, retries
    # Strings are bounded, so no answer runs into the limit of its tokens.
    assert not [line for name in ASKS for line in place.log(name) if "cut off" in str(line)]
    print(output, watched, retries, requests)


@pytest.mark.parametrize("way", ["SIGTERM", "pause"])
def test_it_stops_in_the_middle_of_an_answer_and_goes_on(place: Place, model: RealModel, way: str) -> None:
    running = place.begin("run", "--settings", str(place.settings))
    wait_for(is_asking(place, model))
    if way == "pause":
        place.call("pause", "latest")
    else:
        running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=300)

    assert running.returncode != 0, output
    assert "resume" in output, output
    wait_for(model.is_idle)  # what was given up is not computed to its end
    assert "report" not in place.envelopes()
    place.call("resume", "latest")
    found = place.envelopes()
    assert tuple(found) == GRAPH.names
    assert not any(envelope.counts.failed for envelope in found.values())
