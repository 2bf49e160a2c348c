"""Keeps one Chromium for a process that may be killed at any time: a script of its own, standard library only.

    python -I -S chromium_keeper.py PARENT_PID FOLDER COMMAND …

It starts the command in a process group of its own and waits until its standard input ends, its parent is another
process, or the command ends. Then it kills the whole group and removes the folder. Who finds and uses the browser
belongs to `web.chromium`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def keep(parent: int, folder: Path, command: list[str]) -> None:
    """Runs `command` no longer than `parent` lives; `folder` is gone at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        browser = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_keeper,
        )
        try:
            # The end of the input says at once that the parent is gone, but a child that the parent forked may hold
            # the other end open; who the parent is says it without fail.
            while os.getppid() == parent and browser.poll() is None:
                if select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
                    break
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    finally:
        for _ in range(40):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.05)  # a killed process may still be writing


def _die_with_keeper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    keep(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
