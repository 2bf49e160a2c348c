"""`enrich limits`: a long rest is told with its end, listed, and lifted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from enrich_assets.cli.main import app
from enrich_assets.core.errors import PhaseFailed
from enrich_assets.engine.ledger import Ledger
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.endpoint_server import Answer, EndpointServer, completion
from enrich_assets_tests.engine.small_graph import GRAPH
from enrich_assets_tests.engine_kit import rows_table, run

VERDICT = json.dumps({"points": 3, "why": "it says so"})


def test_a_long_rest_is_told_listed_and_lifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_STORAGE", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # a command enters its home, and leaves this process in it
    is_up: list[bool] = []

    def reply(*_: object) -> Answer:
        if is_up:
            return Answer(completion(VERDICT))
        return Answer({"error": {"message": "Requests per day reached."}}, 429, {"Retry-After": "2400"})

    with EndpointServer(reply) as server, Ledger.for_storage(str(tmp_path)) as ledger:

        def judged() -> object:
            models = Models({"m": ModelEndpoint(model="openai/m", base_url=server.base_url)})
            table = rows_table(*(f"row {number}" for number in range(12)))
            return run(GRAPH, "judged", table, ledger, models).table  # type: ignore[arg-type]

        with pytest.raises(PhaseFailed, match=r"Requests per day|wants no request"):
            judged()
        asked = server.calls
        assert asked == 1, "nobody is asked while it rests"

        (rest,) = json.loads(CliRunner().invoke(app, ["limits", "--json"]).stdout)
        assert rest["endpoint"].startswith(server.base_url) and 2300 < rest["seconds"] <= 2400
        assert "40 min" in CliRunner().invoke(app, ["limits"]).stdout
        assert CliRunner().invoke(app, ["limits", "--lift", "nobody"]).exit_code == 2

        is_up.append(True)
        lifted = CliRunner().invoke(app, ["limits", "--lift", server.base_url])
        assert lifted.stdout == "Lifted: 1 rest.\n" and lifted.exit_code == 0
        assert "No endpoint rests." in CliRunner().invoke(app, ["limits"]).stdout
        assert judged() is not None
        assert server.calls == asked + 12
