"""A server of `kill_driver`: each line of its input is one piece of work, done in a process that it forks.

It has imported everything already, so that a process begins in a few milliseconds. It tells the process's ID at once,
and its exit status later, as lines of JSON.
"""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas  # noqa: F401  (pyarrow imports it when it makes its first array, which takes longer than all the rest)

from enrich_assets_tests.engine.kill_driver import Work, do


def tell(told: dict[str, int]) -> None:
    print(json.dumps(told), flush=True)


def _in_a_child(line: str, to_close: Sequence[int]) -> int:
    """Forks a process that does one piece of work and leaves its outcome in `PID.json` of the folder for outcomes."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for handle in to_close:
            os.close(handle)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work = Work(**json.loads(line))
        outcome = do(work)
        text = json.dumps(asdict(outcome), default=str)
        Path(work.outcomes, f"{os.getpid()}.json").write_text(text, encoding="utf-8")
        code = 0 if outcome.ended == "published" else 2
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def serve() -> None:
    """Serves until the input ends."""
    ended, ends = os.pipe()
    os.set_blocking(ends, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ends, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waiting = b""
    while True:
        readable, _, _ = select.select([0, ended], [], [])
        if ended in readable:
            os.read(ended, 1000)
            while True:
                try:
                    child, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if not child:
                    break
                tell({"pid": child, "code": os.waitstatus_to_exitcode(status)})
        if 0 in readable:
            read = os.read(0, 65536)
            if not read:
                return
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                tell({"started": _in_a_child(line.decode(), (ended, ends))})


if __name__ == "__main__":
    serve()
