"""Runs over the small press that differ from a first one in one thing each: threshold, prompt, model, code, page."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from enrich_assets.defs.instance import open_instance
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Selection
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.intelligence.ranked import Settings as RankedSettings
from enrich_assets.reading import Run
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.press import Press, press_answer
from enrich_assets_tests.real_runs import KEY, House, settings_for
from enrich_assets_tests.real_site import only_loopback

INTELLIGENCE = GRAPHS["intelligence"]
STRICT = "Be strict: halve every relevance."


def answer(body: Mapping[str, Any]) -> str:
    """As the press's model answers, but it heeds STRICT, and the model `other` is half a point kinder in tier3."""
    found = json.loads(press_answer(body))
    system = str(body["messages"][0]["content"])
    for item in [row["answer"] for row in found.get("rows", ())] if "rows" in found else [found]:
        if STRICT in system and "category" in item:
            item["relevance"] /= 2
        if "other" in body["model"] and "impact" in item:
            item["impact"] = min(10.0, item["impact"] + 0.5)
    return json.dumps(found, ensure_ascii=False)


def ranked_by_length(articles: list[dict[str, Any]], settings: RankedSettings) -> Selection:
    """The final order of somebody else: the longest text first."""
    ordered = sorted(articles, key=lambda a: (-len(a["text"]), a["row_id"]))
    return Selection(
        kept=[
            {"row_id": a["row_id"], "rank": n, "final_score": a["tier3_score"], "rank_reason": "its length"}
            for n, a in enumerate(ordered, 1)
        ]
    )


def graph_with(name: str, **changes: Any) -> Graph:
    """The intelligence graph with one phase declared otherwise."""

    def copied(phase: Any) -> Callable[..., Any]:
        @functools.wraps(phase.function)
        def function(*args: Any, **named: Any) -> Any:
            return phase.function(*args, **named)

        function.phase = phase  # type: ignore[attr-defined]
        return function

    phases = [copied(replace(p, **changes) if p.name == name else p) for p in INTELLIGENCE.phases]
    return Graph("intelligence", phases, shared=INTELLIGENCE.shared, prefixed=False, sites=INTELLIGENCE.sites)  # type: ignore[arg-type]


@dataclass
class Runs:
    """The house with the first run, and how to make another one."""

    house: House
    press: Press
    server: ModelServer
    first: Run

    def another(self, *, graph: Graph = INTELLIGENCE, like: bool = True, **changes: Any) -> Run:
        """A run like the first, or a fresh one, with changes of its settings (`tier2__threshold=6`)."""
        overrides = [f"{name.replace('__', '.')}={json.dumps(value)}" for name, value in changes.items()]
        if like:
            run_id = self.house.begin(graph=graph, like=self.first.run_id, overrides=overrides)
        else:
            run_id = self.house.begin(settings(self.press, self.server), graph=graph, overrides=overrides)
        return finished(self.house, run_id, graph)


def settings(press: Press, server: ModelServer) -> dict[str, Any]:
    site: Any = press
    found = settings_for(
        site,
        server,
        tier1={"oldest_days": 6000, "least_score": 0, "near_duplicate": 1.0},
        tier2={"threshold": 2},
        tier3={"threshold": 0},
    )
    found["models"]["kinder"] = {**found["models"]["test"], "model": "openai/other-model"}
    return found


def finished(house: House, run_id: str, graph: Graph = INTELLIGENCE) -> Run:
    launched = house.resume(run_id, graph=graph, up_to="validated")
    assert launched.succeeded, launched.failure
    return Run(house.store, graph, run_id)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with (
        pytest.MonkeyPatch.context() as patch,
        only_loopback(),
        Press() as press,
        ModelServer(answers=answer) as server,
    ):
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv(KEY, "a-key-of-the-tests")
        instance = open_instance()
        try:
            house = House(tmp_path_factory.mktemp("compared"), instance)
            first = finished(house, house.begin(settings(press, server)))
            yield Runs(house, press, server, first)
        finally:
            instance.dispose()


@pytest.fixture(scope="session")
def stricter(runs: Runs) -> Run:
    """A higher threshold of tier2."""
    return runs.another(tier2__threshold=6)


@pytest.fixture(scope="session")
def reworded(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another prompt of tier2."""
    declared = INTELLIGENCE.phase("tier2").prompt
    assert declared is not None
    prompt = tmp_path_factory.mktemp("prompts") / "tier2_strict.md"
    prompt.write_text(f"{STRICT}\n{declared.read_text(encoding='utf-8')}", encoding="utf-8")
    return runs.another(graph=graph_with("tier2", prompt=prompt))


@pytest.fixture(scope="session")
def kinder(runs: Runs) -> Run:
    """Another model in tier3."""
    return runs.another(tier3__model="kinder")


@pytest.fixture(scope="session")
def recoded(runs: Runs) -> Run:
    """Other code of ranked."""
    return runs.another(graph=graph_with("ranked", function=ranked_by_length))


@pytest.fixture(scope="session")
def republished(runs: Runs) -> tuple[Run, str]:
    """A fresh run after one page was rewritten, and that page's URL."""
    url = max(runs.first.table("validated").to_dict("records"), key=lambda row: row["rank"])["url"]
    content_type, body = runs.press.documents[url]
    news = b"<p>The government and the court said late on Friday that the election will be held again.</p></article>"
    runs.press.documents[url] = (content_type, body.replace(b"</article>", news))
    try:
        return runs.another(like=False), url
    finally:
        runs.press.documents[url] = (content_type, body)


def kinds(causes: Sequence[Any]) -> set[str]:
    return {cause.kind for cause in causes}
