"""One viewer over the stored run, for all tests that only look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enrich_assets_tests.service.viewer_kit import Served, served
from enrich_assets_tests.stored_run import unpack

STORED = Path(__file__).parents[1] / "fixtures" / "run_0_1"


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The viewer over a complete run of ten phases."""
    storage = tmp_path_factory.mktemp("viewer") / "data"
    unpack(STORED, storage)
    with served(storage) as viewer:
        yield viewer


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A viewer over a copy of it that a test may damage."""
    unpack(STORED, tmp_path / "data")
    with served(tmp_path / "data") as viewer:
        yield viewer
