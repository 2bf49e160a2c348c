"""Settings that would fail only later are refused when they are read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.settings import Settings, validated_settings
from enrich_assets.engine.phase import Drop
from enrich_assets.graphs.intelligence.settings import SharedSettings
from enrich_assets.graphs.intelligence.tier1 import Settings as Tier1
from enrich_assets.graphs.intelligence.tier3 import DIMENSIONS, Assessment, tier3
from enrich_assets.graphs.intelligence.tier3 import Settings as Tier3

SOURCE = {"id": "s", "name": "S", "url": "http://site.example/", "kind": "listing"}


@pytest.mark.parametrize(
    ("model", "values", "named"),
    [
        (Tier1, {"oldest_days": 1e9}, "oldest_days"),
        (Tier3, {"weights": {"impact": 1e308}}, r"weights\.impact"),
        (SharedSettings, {"as_of": "9999-12-31T23:59:59-05:00"}, "as_of: .*1970 to 2200"),
        (SharedSettings, {"as_of": "0001-01-01T00:00:00+05:00"}, "as_of: .*1970 to 2200"),
        (SharedSettings, {"sources": [{**SOURCE, "link_pattern": "(("}]}, r"sources\.0\.link_pattern: .*missing \)"),
        (SharedSettings, {"http": {"user_agent": "a\nb"}}, r"http\.user_agent"),
        (SharedSettings, {"search": {"max_age_hours": 1e300}}, r"search\.max_age_hours"),
        (SharedSettings, {"models": {"m": {"model": "openai/x", "timeout_seconds": 1e300}}}, "timeout_seconds"),
    ],
)
def test_it_is_refused_with_its_path(model: type[Settings], values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        validated_settings(model, values, where="settings")


def test_a_total_that_is_no_number_is_not_kept() -> None:
    spoilt = Assessment.model_construct(**dict.fromkeys(DIMENSIONS, math.nan), rationale="None.")
    assert isinstance(tier3({}, spoilt, Tier3(threshold=0)), Drop)
    with pytest.raises(ValidationError):
        Assessment.model_validate({**dict.fromkeys(DIMENSIONS, math.nan), "rationale": "None."})
