"""The note of the UI that runs in a home: one at a time, believed while its process lives, left over without harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from enrich_assets.core.errors import UserError
from enrich_assets.defs.running_ui import NOTE, RunningUI, only_ui, running_ui, storage_and_ledger

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from enrich_assets.defs.running_ui import RunningUI, only_ui
with only_ui(Path(sys.argv[1])) as note:
    words = [sys.executable, "-c", "import time; print('held', flush=True); time.sleep(60)"]
    child = subprocess.Popen(words, pass_fds=(note.handle,))
    note.write(RunningUI("http://127.0.0.1:4711", "/storage", "", (child.pid,)))
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_a_second_one_is_refused_with_the_address_of_the_first(home: Path) -> None:
    with only_ui(home) as note:
        note.write(RunningUI("http://127.0.0.1:4711", "/storage", "", (os.getpid(),)))
        assert running_ui() == RunningUI("http://127.0.0.1:4711", "/storage", "", (os.getpid(),))
        with pytest.raises(UserError) as told, only_ui(home):
            pass
    assert told.value.what == f"the UI of this instance runs already at http://127.0.0.1:4711, process {os.getpid()}."
    assert f"kill -INT {os.getpid()}" in told.value.fix
    assert running_ui() is None
    with only_ui(home):
        pass


def test_a_note_that_is_left_over_or_damaged_is_not_believed(home: Path) -> None:
    (home / NOTE).write_text('{"url": "http://127.0.0.1:1", "processes": [1]}', encoding="utf-8")
    assert running_ui() is None
    with only_ui(home):
        (home / NOTE).write_text("half a no", encoding="utf-8")
        assert running_ui() == RunningUI()
        with pytest.raises(UserError, match="runs already"), only_ui(home):
            pass


def test_it_is_held_by_what_the_command_started_after_the_command_was_killed(home: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    said = {holder.stdout.readline().strip(), holder.stdout.readline().strip()}
    child = int(next(word for word in said if word.isdigit()))
    holder.kill()
    holder.wait()
    try:
        with pytest.raises(UserError, match=f"http://127.0.0.1:4711, process {child}"), only_ui(home):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    with only_ui(home):  # nobody is left
        pass
    holder.stdout.close()


def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    (home / NOTE).mkdir()
    with pytest.raises(UserError, match="nothing can be written there"), only_ui(home):
        pass


def test_storage_and_ledger_can_be_compared_and_hold_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "link").symlink_to(home)
    monkeypatch.setenv("ENRICH_STORAGE", str(home / "link" / "data"))
    monkeypatch.setenv("ENRICH_LEDGER_URL", "postgresql+psycopg2://me:hidden@host:5432/enrich")
    storage, ledger = storage_and_ledger()
    assert storage == str(home / "data")
    assert "hidden" not in ledger and "host:5432/enrich" in ledger
