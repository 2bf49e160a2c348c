"""Two paid phases in a row: what one change costs, in calls, and nothing more than that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Drop, Row, Selection, ask, table
from enrich_assets.engine.settings import EngineSettings
from enrich_assets_tests.engine_kit import CountingModel, rows_table, run


class Judging(SettingsBase):
    """Settings of the first paid phase."""

    model: str = "m"
    scale: str = "0 to 9"
    threshold: int = 0
    batch: int = 4


class Weighing(Judging):
    """Of the second one; its prompt is another one."""

    scale: str = "light to heavy"


class Verdict(BaseModel):
    points: int
    why: str


@table(settings=SettingsBase, adds={"title": Column(str, "title"), "text": Column(str, "text")})
def source(settings: Any) -> Selection:
    """Rows; the tests put them there."""
    return Selection(kept=[])


def _none(row: Row, settings: Any) -> Verdict:
    return Verdict(points=0, why="none")


@ask(
    reads=["title", "text"],
    prompt="judged.md",
    answer=Verdict,
    batched=True,
    without_model=_none,
    settings=Judging,
    adds={"points": Column(int, "points")},
)
def judged(row: Row, verdict: Verdict, settings: Judging) -> dict[str, object] | Drop:
    """Rows with points, four to a call."""
    return {"points": verdict.points} if verdict.points >= settings.threshold else Drop("below_threshold")


@ask(
    reads=["title", "text", "points"],
    prompt="judged.md",
    answer=Verdict,
    without_model=_none,
    settings=Weighing,
    adds={"weight": Column(int, "weight")},
)
def weighed(row: Row, verdict: Verdict, settings: Weighing) -> dict[str, object] | Drop:
    """Rows with a weight, one to a call."""
    return {"weight": verdict.points} if verdict.points >= settings.threshold else Drop("below_threshold")


GRAPH = Graph("small", [source, judged, weighed], shared=EngineSettings)
TEXTS = [f"points {number % 10}, a text of its own, {number}" for number in range(40)]


class Newsroom:
    """Both phases over some texts, with the calls of each."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: Counter[str] = Counter()

    def work(self, texts: list[str], settings: Mapping[str, Any] | None = None) -> dict[str, PhaseResult]:
        """The results; `calls` are those of this time."""
        self.calls.clear()
        given: Any = rows_table(*texts)
        results = {}
        for phase in ("judged", "weighed"):
            model = CountingModel()
            results[phase] = run(GRAPH, phase, given, self._ledger, model, settings=settings)
            given = results[phase].table
            self.calls[phase] = model.calls
        return results


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ready = Newsroom(ledger)
        ready.work(TEXTS)
        assert ready.calls == {"judged": 10, "weighed": 40}
        yield ready


def test_nothing_changed_costs_no_call(newsroom: Newsroom) -> None:
    newsroom.work(TEXTS)
    assert newsroom.calls == {"judged": 0, "weighed": 0}


def test_one_article_more_costs_one_call_in_each_paid_phase(newsroom: Newsroom) -> None:
    results = newsroom.work([*TEXTS, "points 7, an article that came later"])
    assert newsroom.calls == {"judged": 1, "weighed": 1}
    assert results["weighed"].counts.kept == 41


def test_articles_that_are_gone_cost_no_call(newsroom: Newsroom) -> None:
    newsroom.work(TEXTS[:-3])
    assert newsroom.calls == {"judged": 0, "weighed": 0}


@pytest.mark.parametrize("phase", ["judged", "weighed"])
def test_another_threshold_costs_no_call(newsroom: Newsroom, phase: str) -> None:
    results = newsroom.work(TEXTS, {phase: {"threshold": 5}})
    assert newsroom.calls == {"judged": 0, "weighed": 0}
    assert results["weighed"].counts.kept == 20


def test_one_word_in_the_later_prompt_costs_the_later_phase_alone(newsroom: Newsroom) -> None:
    newsroom.work(TEXTS, {"weighed": {"scale": "0 to nine"}})
    assert newsroom.calls == {"judged": 0, "weighed": 40}


def test_one_word_in_the_earlier_prompt_costs_the_earlier_phase_where_its_answers_stay_as_they_are(
    newsroom: Newsroom,
) -> None:
    newsroom.work(TEXTS, {"judged": {"scale": "0 to nine"}})
    assert newsroom.calls == {"judged": 10, "weighed": 0}


def test_a_changed_text_costs_one_call_in_each_paid_phase(newsroom: Newsroom) -> None:
    newsroom.work([*TEXTS[:-1], "points 3, mended"])
    assert newsroom.calls == {"judged": 1, "weighed": 1}
