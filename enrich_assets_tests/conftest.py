"""What every process that tests does first."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Tests send signals: what a background shell made its children ignore is heard again, by their children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
