"""`enrich ui`: the Dagster UI of this project, webserver and daemon together, on the instance of all commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enrich_assets.cli.output import say
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.defs.running_ui import Note

_USUAL_PORT = 3000
_GRACE_SECONDS = 20.0
_GROUP_GRACE_SECONDS = 5.0


def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes 3000, or a free one if it is taken.")
    ] = 0,
) -> None:
    """Start the Dagster UI and its daemon. Ctrl-C ends both."""
    from enrich_assets.defs.home import enter_home, shipped
    from enrich_assets.defs.running_ui import only_ui

    home = enter_home(say, settles=True)
    with only_ui(home) as note:
        raise typer.Exit(_serve(home, shipped("workspace.yaml"), port, note))


def _serve(home: Path, workspace: Path, port: int, note: Note) -> int:
    if port and not _is_free(port):
        raise UserError(f"port {port} is taken.", fix="Name another, or leave --port out to take a free one.")
    chosen = port or (_USUAL_PORT if _is_free(_USUAL_PORT) else _free_port())
    project = ["-w", str(workspace)] if workspace.is_file() else ["-m", "enrich_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *project, "-h", "127.0.0.1", "-p", str(chosen)]
    url = f"http://127.0.0.1:{chosen}"
    print(f"The UI starts at {url} on the instance in {home}. Ctrl-C ends it.", flush=True)
    return _until_ended(command, home, url, note)


def _until_ended(command: list[str], home: Path, url: str, note: Note) -> int:
    # Only a signal that this process hears may end it: what is ignored here (nohup ignores SIGHUP, `&` in a script
    # SIGINT) stays ignored. The child is another matter: it ends its own children on SIGINT alone.
    heard = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _is_heard(number)]
    previous = {number: signal.signal(number, _interrupt) for number in heard}
    process: subprocess.Popen[bytes] | None = None
    try:
        _tell(note, url)
        process = _started(command, home, url, note)
        _tell(note, url, process.pid)
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        if process is not None:
            _end(process)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _tell(note: Note, url: str, *started: int) -> None:
    from enrich_assets.defs.running_ui import RunningUI, storage_and_ledger

    storage, ledger = storage_and_ledger()
    note.write(RunningUI(url, storage, ledger, (os.getpid(), *started)))


def _started(command: list[str], home: Path, url: str, note: Note) -> subprocess.Popen[bytes]:
    from enrich_assets.defs.webhook import UI_URL

    # A handler becomes the default in a new program, while what is ignored stays ignored there.
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        # In a session of its own a terminal's Ctrl-C reaches it once, from here, and all it started can be ended.
        # Links in notices lead here unless people reach it by another address.
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        environment[UI_URL] = os.environ.get(UI_URL, "").strip() or url
        # With the lock: if this process is killed, the daemon goes on, and a second one is still refused.
        return subprocess.Popen(command, cwd=home, env=environment, start_new_session=True, pass_fds=(note.handle,))
    finally:
        signal.signal(signal.SIGINT, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all it started: asks it, then asks its group, then kills the group.

    Another signal to this process shortens a wait.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        _wait(lambda: process.poll() is not None, _GRACE_SECONDS)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
            _wait(lambda: process.poll() is not None and not _has_members(process.pid), _GROUP_GRACE_SECONDS)


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt):
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.05)


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_heard(number: signal.Signals) -> bool:
    return number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
