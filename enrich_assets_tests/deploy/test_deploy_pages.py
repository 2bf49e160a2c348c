"""docs/deploying.md and docs/upgrading.md: their commands exist, and their tables say what the program has."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

import enrich_assets
from enrich_assets.cli.main import app
from enrich_assets.core.envelope import ENVELOPE_FORMAT
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.tables import MINIMUM_READER, SCHEMA_VERSION

PROJECT = Path(__file__).resolve().parents[2]
PAGES = {name: (PROJECT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("deploying", "upgrading")}
COMPOSE = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))


def lines() -> list[list[str]]:
    """The words of every command in the shell blocks of both pages."""
    blocks = [b for page in PAGES.values() for b in re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def test_every_command_of_ours_exists_with_its_options() -> None:
    in_sentences = [
        shlex.split(found) for page in PAGES.values() for found in re.findall(r"`(enrich [a-z][^`]*)`", page)
    ]
    in_containers = [words[words.index("exec") + 2 :] for words in lines() if "exec" in words]
    called = [words for words in [*lines(), *in_sentences, *in_containers] if words[0] == "enrich"]
    assert len(called) > 8
    commands = {command.name: command.callback for command in app.registered_commands}
    for _, name, *words in called:
        assert name in commands, name
        told = subprocess.run(
            [sys.executable, "-m", "enrich_assets.cli.main", name, "--help"],
            env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=60, check=True,
        ).stdout if any(word.startswith("--") for word in words) else ""  # fmt: skip
        for option in [word for word in words if word.startswith("--")]:
            assert re.search(rf"\s{option}\b", told), f"enrich {name} {option}"


def test_commands_of_others_name_files_services_and_secrets_that_are_there() -> None:
    values = yaml.safe_load((PROJECT / "deploy" / "kubernetes.values.yaml").read_text(encoding="utf-8"))
    secrets = {values["global"]["postgresqlSecretName"]} | {
        entry["name"] for d in values["dagster-user-deployments"]["deployments"] for entry in d["envSecrets"]
    }
    made = set()
    for words in lines():
        for flag in ("-f", "--values"):
            if flag in words:
                assert (PROJECT / words[words.index(flag) + 1]).is_file()
        if "exec" in words:
            assert words[words.index("exec") + 1] in COMPOSE["services"]
        if words[:4] == ["kubectl", "create", "secret", "generic"]:
            made.add(words[4])
    assert made == secrets
    for page in PAGES.values():
        for link in re.findall(r"\]\(((?!https?:)[^)#]+)", page):
            assert (PROJECT / "docs" / link).exists(), link


def test_variables_that_compose_needs_are_set_in_the_page() -> None:
    text = (PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    (exported,) = [words[1:] for words in lines() if words[0] == "export" and "POSTGRES_PASSWORD" in words]
    assert needed <= set(exported)
    table = PAGES["deploying"].split("| variable | read by | |")[1].split("\n\n")[0]
    told = set(re.findall(r"`([A-Z_]+)`", table))
    ours = {name for s in COMPOSE["services"].values() if "build" in s for name in s["environment"]}
    assert ours <= told
    assert told <= ours | {"DAGSTER_HOME", "ENRICH_VIEWER_URL"}  # the viewer is no service of compose


def test_the_ledger_is_copied_while_it_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (copying,) = [words for words in lines() if words[0] == "python"]
    with Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}") as ledger:
        claimed = ledger.claim_run("g", {"title": "kept"})
        subprocess.run([sys.executable, *copying[1:]], cwd=tmp_path, check=True, timeout=60)
    with closing(sqlite3.connect(tmp_path / "ledger-copy.db")) as connection:
        assert connection.execute("SELECT run_id FROM enrich_runs").fetchall() == [(claimed,)]
    with Ledger(f"sqlite:///{tmp_path / 'ledger-copy.db'}") as copy:
        assert copy.registration(claimed) == {"title": "kept"}


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("## The ledger", rf"\| {SCHEMA_VERSION} \| [\d.]+ \| {MINIMUM_READER} \|"),
        ("## Artifacts", rf"\| {ENVELOPE_FORMAT} \| [\d.]+ \|"),
        ("## What a new version makes outdated", rf"\| {re.escape(enrich_assets.__version__)} \| "),
    ],
)
def test_the_tables_begin_with_what_this_version_has(heading: str, row: str) -> None:
    section = PAGES["upgrading"].split(f"{heading}\n")[1].split("\n## ")[0]
    first = [line for line in section.splitlines() if line.startswith("| ")][1]
    assert re.match(row, first), first
