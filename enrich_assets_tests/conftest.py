"""What every process that tests does first, and which worker takes what."""

from __future__ import annotations

import signal
from typing import Any

import pytest

TOGETHER = ("cli", "defs", "ui", "service", "reports/compare")
"""Folders whose files share a run or a webserver: one worker takes all of them, and makes it once."""
FIRST = ("cli/", "defs/", "ui/", "test_", "reports/", "service/")
"""What takes longest begins first: at the end, no worker is to wait for another one's longest file."""


def pytest_configure() -> None:
    """Tests send signals: what a background shell made its children ignore is heard again, by their children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the files by `FIRST`; what is not named there comes last, as it was collected."""
    items.sort(key=lambda item: next((n for n, name in enumerate(FIRST) if _below(item.nodeid, name)), len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`: file by file, but the folders of `TOGETHER` as one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return next((name for name in TOGETHER if _below(file, f"{name}/")), file)

    config.option.loadscopereorder = False
    return Together(config, log)


def _below(nodeid: str, name: str) -> bool:
    return nodeid.startswith(f"enrich_assets_tests/{name}")
