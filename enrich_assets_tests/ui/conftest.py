"""One Dagster with its webserver for the whole folder; it ends when the last test of the folder did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from enrich_assets_tests.ui.dagster_kit import Dagster, running_dagster


@pytest.fixture(scope="package")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    """`enrich ui`, running; tests begin runs of their own on it."""
    # People's folders have such names, and all that `enrich ui` starts has to find its way there.
    with running_dagster(tmp_path_factory.mktemp("My UI (ü) #1")) as running:
        yield running
