"""A small run, kept with its ledger as the version that made it left it: later versions load it and go on for nothing.

`python -m enrich_assets_tests.stored_run FOLDER` makes one with the present version; a version that changes a format
keeps the older ones and adds its own. `unpack` lays one out as a storage folder.
"""

from __future__ import annotations

import io
import lzma
import os
import sqlite3
import sys
import tarfile
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

ARTIFACTS, LEDGER = "storage.tar.xz", "ledger.sql"
TITLE = "Stored"
KEY = "ENRICH_TEST_KEY"
PORT = 47113
"""Where the model was when the run was made; nobody listens there afterwards."""
_SOURCE = "policy_desk"
_ARTICLES = 5
"""Articles that are read: few, because the whole run is kept among the tests."""


def unpack(folder: Path, storage: Path) -> None:
    """Lays the stored run out: its files and its ledger, below `storage`."""
    storage.mkdir(parents=True)
    with tarfile.open(folder / ARTIFACTS) as archive:
        archive.extractall(storage, filter="data")
    with closing(sqlite3.connect(storage / "ledger.db")) as connection:
        connection.executescript((folder / LEDGER).read_text(encoding="utf-8"))


def make(folder: Path) -> str:
    """Makes a run over one source of the demo site with paid answers, and keeps it in `folder`; gives its ID."""
    import dagster as dg

    from enrich_assets.graphs.presets import load_preset
    from enrich_assets_tests.model_server import ModelServer
    from enrich_assets_tests.newsroom import newsroom_answer
    from enrich_assets_tests.real_runs import House

    values = load_preset("intelligence", "demo")
    values["sources"] = [{**s, "max_items": _ARTICLES} for s in values["sources"] if s["id"] == _SOURCE]
    values.update({"preset": "demo", "title": TITLE, "model": "test", "tier3": {"keep": 1}})
    endpoint = {"model": "openai/test-model", "api_key": {"env": KEY}}
    prices = {"usd_per_million_input": 2.0, "usd_per_million_output": 8.0}
    with tempfile.TemporaryDirectory() as home, ModelServer(port=PORT, answers=newsroom_answer) as server:
        Path(home, "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
        os.environ.update({"DAGSTER_HOME": home, KEY: "of no value"})
        values["models"] = {"test": {**endpoint, **prices, "base_url": server.base_url}}
        with dg.DagsterInstance.from_config(home) as instance:
            house = House(Path(home, "data"), instance)
            run_id = house.begin(values)
            launched = house.resume(run_id)
        if not launched.succeeded:
            raise SystemExit(launched.failure)
        _pack(house.storage, folder)
    return run_id


def _pack(storage: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(storage / "ledger.db")) as connection:
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        lines = [f"PRAGMA application_id={mark};", *connection.iterdump()]
    (folder / LEDGER).write_text("\n".join(lines) + "\n", encoding="utf-8")
    bare = io.BytesIO()
    with tarfile.open(fileobj=bare, mode="w") as archive:
        for path in sorted(storage.rglob("*")):
            name = path.relative_to(storage)
            if path.is_file() and not name.name.startswith("ledger.db"):
                entry = tarfile.TarInfo(name.as_posix())
                entry.size = path.stat().st_size
                archive.addfile(entry, io.BytesIO(path.read_bytes()))
    (folder / ARTIFACTS).write_bytes(lzma.compress(bare.getvalue(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(make(Path(sys.argv[1])))
