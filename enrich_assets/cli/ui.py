"""`enrich ui`: the Dagster UI of this project, webserver and daemon together, on the instance of all commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from enrich_assets.cli.output import say
from enrich_assets.core.errors import UserError

_USUAL_PORT = 3000
_GRACE_SECONDS = 20


def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes 3000, or a free one if it is taken.")
    ] = 0,
) -> None:
    """Start the Dagster UI and its daemon. Ctrl-C ends both."""
    from enrich_assets.defs.home import PROJECT, enter_home

    home = enter_home(say)
    if port and not _is_free(port):
        raise UserError(f"port {port} is taken.", fix="Name another, or leave --port out to take a free one.")
    chosen = port or (_USUAL_PORT if _is_free(_USUAL_PORT) else _free_port())
    workspace = PROJECT / "workspace.yaml"
    project = ["-w", str(workspace)] if workspace.is_file() else ["-m", "enrich_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *project, "-h", "127.0.0.1", "-p", str(chosen)]
    print(f"The UI starts at http://127.0.0.1:{chosen} on the instance in {home}. Ctrl-C ends it.", flush=True)
    raise typer.Exit(_until_ended(command, home))


def _until_ended(command: list[str], home: Path) -> int:
    process = subprocess.Popen(command, cwd=home, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal has told the child already; a signal to this process alone has not.
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        _end(process)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
