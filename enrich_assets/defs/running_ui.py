"""The note of the UI that `enrich ui` runs in a home: where it answers, and on which storage and ledger it works.

The note is a locked file. The lock goes with the processes that hold it, however they end, so that a note which is
left over is never believed. No Dagster here.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from enrich_assets.core.errors import UserError
from enrich_assets.core.settings import without_secrets

NOTE = ".enrich_ui.json"
_LOOK_SECONDS = 1.0
"""So long a lock may be that of somebody who only reads the note."""


@dataclass(frozen=True)
class RunningUI:
    """A UI that is running. `processes`: the command's, and the one that it started."""

    url: str = ""
    storage: str = ""
    ledger: str = ""
    processes: tuple[int, ...] = ()


class Note:
    """The note of this process, whose file `handle` has the lock and is given on to what it starts."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def write(self, ui: RunningUI) -> None:
        """Says where the UI is."""
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, json.dumps(asdict(ui)).encode(), 0)


@contextmanager
def only_ui(home: Path) -> Iterator[Note]:
    """The note of the one UI of a home; raises UserError that says where another one is running."""
    try:
        handle = os.open(home / NOTE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            f"nothing can be written there: {error.strerror}.",
            where=str(home / NOTE),
            fix="The UI keeps a note and Dagster its logs in DAGSTER_HOME: name a folder that you may write to.",
        ) from None
    try:
        if not _is_locked_now(handle):
            raise _runs_already(home, _read(handle))
        yield Note(handle)
        with suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def running_ui() -> RunningUI | None:
    """The UI of DAGSTER_HOME that `enrich ui` started and that is running; None where there is none."""
    named = os.environ.get("DAGSTER_HOME", "").strip()
    if not named:
        return None
    try:
        handle = os.open(Path(named).expanduser() / NOTE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it
    except BlockingIOError:
        return _read(handle)
    finally:
        os.close(handle)


def storage_and_ledger() -> tuple[str, str]:
    """The storage and the ledger that the environment names, as two processes can compare them; without secrets."""
    storage = os.environ.get("ENRICH_STORAGE", "").strip()
    if "://" not in storage:
        storage = str(Path(storage).expanduser().resolve())
    return without_secrets(storage.rstrip("/")), without_secrets(os.environ.get("ENRICH_LEDGER_URL", "").strip())


def _is_locked_now(handle: int) -> bool:
    deadline = time.monotonic() + _LOOK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def _read(handle: int) -> RunningUI:
    try:
        found = json.loads(os.pread(handle, 10_000, 0))
        return RunningUI(**{**found, "processes": tuple(found["processes"])})
    except (ValueError, TypeError, KeyError):
        return RunningUI()  # it is just being written


def _runs_already(home: Path, ui: RunningUI) -> UserError:
    alive = [number for number in ui.processes if Path(f"/proc/{number}").exists()] or list(ui.processes)
    process = f", process {alive[0]}" if alive else ""
    stop = f"or end it: kill -INT {alive[0]}" if alive else "or end it with Ctrl-C"
    return UserError(
        f"the UI of this instance runs already{f' at {ui.url}' if ui.url else ''}{process}.",
        where=str(home),
        fix=f"Open that one, {stop}. Two on one instance would execute every launch twice.",
    )
