"""The command in a process of its own that need not import anything: forked from one that has.

Importing Dagster, pyarrow and pandas takes longer than most commands do. What a command costs before it does anything,
and what it makes of signals, is no matter for this module: those tests start Python themselves.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

IMPORTED = (
    "enrich_assets.cli.main", "enrich_assets.cli.execution", "enrich_assets.definitions", "enrich_assets.reading",
    "enrich_assets.defs.instance", "enrich_assets.reports.render", "enrich_assets.reports.workbook", "PIL.Image",
    "alembic.command", "dagster._daemon", "dagster._grpc", "feedparser", "httpx", "pandas", "protego",
    "pyarrow.compute", "pyarrow.parquet", "regex", "rensa", "sqlalchemy.dialects.sqlite", "trafilatura", "xlsxwriter",
)  # fmt: skip


def enrich(*arguments: str, environment: Mapping[str, str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Calls the command with this environment; gives its exit code and what it said."""
    import subprocess

    return subprocess.run(
        [*client(), *arguments], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=seconds,
        check=False,
    )  # fmt: skip


@cache
def client() -> tuple[str, ...]:
    """The words that, with a command's arguments behind them, call it: `python warm.py SOCKET`."""
    import atexit
    import shutil
    import subprocess
    import tempfile

    folder = tempfile.mkdtemp(prefix="warm-")
    address = str(Path(folder, "socket"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "DAGSTER_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "enrich_assets_tests.warm", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        # Threads do not survive a fork: numpy and pyarrow are to make none.
        env={**kept, "OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"},
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None

    def end() -> None:
        process.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    assert process.stdout.readline() == b"ready\n"
    return sys.executable, "-I", "-S", __file__, address


def _call(address: str, arguments: list[str]) -> int:
    """The client: hands over what makes a process, and waits for the exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"f"], [0, 1, 2])
        server.sendall(json.dumps([arguments, dict(os.environ), str(Path.cwd())]).encode())
        server.shutdown(socket.SHUT_WR)
        return int(server.recv(16) or b"70")


def _serve(address: str) -> list[str]:
    """Waits for clients until stdin ends; returns, with a command's arguments, in each process that is to run one."""
    import gc
    import importlib
    import select
    import signal
    import threading
    import types

    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    assert threading.active_count() == 1
    usual = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            if 0 in select.select([0, listener], [], [])[0]:
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, usual)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = b"".join(iter(lambda: connection.recv(65536), b""))
    command = os.fork()
    if command:
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    arguments, environment, folder = json.loads(request)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["enrich", *arguments]
    # Processes that this one spawns look up how it began: as `python -m enrich_assets.cli.main`.
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules["__main__"].__spec__ = sys.modules["enrich_assets.cli.main"].__spec__
    return arguments


if __name__ == "__main__":
    if __spec__ is None:
        sys.exit(_call(sys.argv[1], sys.argv[2:]))
    _serve(sys.argv[1])
    from enrich_assets.cli.main import main

    main()
