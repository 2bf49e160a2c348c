"""The smallest graph that asks a model: texts, and points for each of them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Row, Selection, ask, table
from enrich_assets.engine.settings import EngineSettings


class Settings(SettingsBase):
    model: str = "m"
    scale: str = "0 to 9"


class Verdict(BaseModel):
    points: int
    why: str


@table(settings=SettingsBase, adds={"title": Column(str, "title"), "text": Column(str, "text")})
def source(settings: Any) -> Selection:
    """Rows."""
    return Selection(kept=[])


@ask(
    reads=["title", "text"],
    prompt="judged.md",
    answer=Verdict,
    without_model=lambda row, settings: Verdict(points=1, why="none"),
    settings=Settings,
    adds={"points": Column(int, "points")},
)
def judged(row: Row, verdict: Verdict, settings: Settings) -> dict[str, object]:
    """Rows with points."""
    return {"points": verdict.points}


GRAPH = Graph("small", [source, judged], shared=EngineSettings)
