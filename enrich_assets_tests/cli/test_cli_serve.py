"""`enrich serve`: where it listens, what it says when it cannot, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest


def started(place: Any, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The viewer as a process of its own, and where it says that it is."""
    process = subprocess.Popen(
        place.command("serve", *arguments), env=place.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    return process, found.group()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Its exit code after a signal."""
    process.send_signal(number)
    process.communicate(timeout=20)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_where_it_says_and_ends_when_told(demo_place: Any, number: signal.Signals) -> None:
    process, url = started(demo_place)
    try:
        assert httpx.get(f"{url}/runs", timeout=30).status_code == 200
    finally:
        code = ended(process, number)
    assert code in (130, -number)


def test_a_port_that_is_taken_is_said_and_without_one_another_is_found(demo_place: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo_place.enrich("serve", "--port", str(port))
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert "leave --port out" in done.stderr
    first, one = started(demo_place)
    second, other = started(demo_place)
    for process in (first, second):
        ended(process, signal.SIGINT)
    assert one != other


def test_a_place_without_runs_is_said_and_stays_without_a_folder(empty_place: Any) -> None:
    done = empty_place.enrich("serve")
    assert done.returncode == 2
    assert "there is no run yet" in done.stderr
    assert "enrich demo" in done.stderr
    assert not empty_place.storage.exists()


def test_without_its_libraries_it_names_the_extra(demo_place: Any) -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['enrich', 'serve'];"
        "from enrich_assets.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=demo_place.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "enrich-assets[service]" in done.stderr
