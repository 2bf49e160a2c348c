"""Where real test data stands: outside the repository, and never required."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data(*parts: str) -> Path:
    """A path below the shared data, from ENRICH_TEST_DATA or `../shared/data`; skips the test where it is absent."""
    stated = os.environ.get("ENRICH_TEST_DATA")
    root = Path(stated) if stated else _REPOSITORY.parent / "shared" / "data"
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no shared test data at {'/'.join(parts) or 'all'}: set ENRICH_TEST_DATA to its folder")
    return path
