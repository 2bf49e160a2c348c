"""Where a ledger may be, and what is said of one that is lost, foreign or only to be read."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from enrich_assets.core.errors import StorageError
from enrich_assets.engine.ledger import Ledger, ledger_url

NAMES = ["a b", "a#b", "a?b=c", "a%41b", "a%20b", "ü (x)", "a@b:c", "a&b=1"]


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_is_in_the_folder_that_was_named_whatever_its_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with Ledger.for_storage(str(folder)) as ledger:
        claimed = ledger.claim_run("g", {"title": "t"})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        assert connection.execute("SELECT run_id FROM enrich_runs").fetchall() == [(claimed,)]
    with Ledger(ledger_url(str(folder))) as again:
        assert again.find_run("latest") == claimed


def test_a_foreign_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("something else")
    with pytest.raises(StorageError) as caught:
        Ledger.for_storage(str(tmp_path))
    assert f"{tmp_path / 'ledger.db'} is no ledger of enrich_assets." in str(caught.value)
    assert "enrich check" in str(caught.value)
    assert (tmp_path / "ledger.db").read_text() == "something else"


# Run as another user, whom file permissions bind: the ledger is imported first, because that user may not see it.
READER = """
import os, sys
from enrich_assets.core.errors import StorageError
from enrich_assets.engine.ledger import Ledger
import sqlalchemy.dialects.sqlite
os.setgid(65534)
os.setuid(65534)
with Ledger.for_storage(sys.argv[1]) as ledger:
    print(*(run["title"] for run in ledger.runs()), flush=True)
    if sys.argv[2:]:
        sys.stdin.readline()
        print(*(run["title"] for run in ledger.runs()), flush=True)
    try:
        ledger.ask_pause("x")
    except StorageError as error:
        print(error.what, flush=True)
"""


def reader(storage: Path, *further: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", READER, str(storage), *further],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip


@pytest.fixture
def storage() -> Iterator[Path]:
    """A folder that everybody may look into and only its owner may write to."""
    if os.getuid() != 0:
        pytest.skip("only root can become the user who may not write")
    # Not below pytest's own folder, from which it takes the rights of others away.
    with tempfile.TemporaryDirectory(prefix="read-only-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_ledger_in_a_storage_that_can_only_be_read_is_read(storage: Path) -> None:
    with Ledger.for_storage(str(storage)) as ledger:
        ledger.claim_run("g", {"title": "first"})
    before = sorted(path.name for path in storage.iterdir())
    said, _ = reader(storage).communicate(timeout=60)
    titles, refused = said.splitlines()
    assert titles == "first" and "readonly database" in refused
    assert sorted(path.name for path in storage.iterdir()) == before


def test_who_may_only_read_sees_what_others_write_meanwhile(storage: Path) -> None:
    with Ledger.for_storage(str(storage)) as ledger:
        ledger.claim_run("g", {"title": "first"})
    process = reader(storage, "wait")
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "first\n"
    with Ledger.for_storage(str(storage)) as ledger:
        ledger.claim_run("g", {"title": "second"})
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "second first\n"
    process.communicate(timeout=60)
