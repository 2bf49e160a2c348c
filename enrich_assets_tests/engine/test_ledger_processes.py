"""One ledger that two processes open and close at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from enrich_assets.engine.ledger import Ledger

READER = """
import sys
from enrich_assets.engine.ledger import Ledger
print("ready", flush=True)
for _ in range(60):
    with Ledger.for_storage(sys.argv[1]) as ledger:
        ledger.runs()
"""


def test_a_process_that_looks_takes_nothing_away_from_one_that_writes(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        run_id = ledger.claim_run("intelligence", {"title": "both"})
        reader = subprocess.Popen([sys.executable, "-c", READER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        written = 0
        while reader.poll() is None:
            with Ledger.for_storage(str(tmp_path)) as second:
                second.phase_started(run_id, "tier1", 3, None)
            ledger.phase_progress(run_id, "tier1", rows_in=written)
            assert ledger.phases(run_id)[0]["rows_in"] == written
            written += 1
        reader.stdout.close()
    assert reader.returncode == 0
    assert written > 5
