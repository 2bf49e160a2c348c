"""`enrich forget`: it shows, asks, removes, lists and lifts; and says what it does not understand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enrich_assets.engine.ledger import Ledger


def names_in(storage: Path) -> list[str]:
    return sorted(
        p.relative_to(storage).as_posix() for p in storage.rglob("*") if p.is_file() and "ledger" not in p.name
    )


@pytest.fixture
def copied(demo_place: Any, tmp_path: Path) -> Any:
    return demo_place.copied_to(tmp_path)


def source_host(place: Any) -> str:
    """Host of the first source of the shared run."""
    from urllib.parse import urlsplit

    [run_id, *_] = place.run_ids()
    with Ledger.for_storage(str(place.storage)) as ledger:
        registered = ledger.registration(run_id)
    assert registered is not None
    return str(urlsplit(registered["settings"]["sources"][0]["url"]).hostname)


def test_it_shows_what_would_go_and_removes_nothing_without_a_yes(copied: Any, call: Any) -> None:
    host, before = source_host(copied), names_in(copied.storage)
    shown = call(copied, "forget", host)
    assert shown.exit_code == 2
    assert f"Of {host} would go: " in shown.stdout and "stored page" in shown.stdout
    assert f"run {copied.run_ids()[0]}: scraped, tier1" in shown.stdout.replace("\n", " ")
    assert "nothing was removed" in shown.stderr and f"enrich forget {host} --yes" in shown.stderr
    assert names_in(copied.storage) == before


def test_with_a_yes_it_removes_lists_resumes_and_lifts(copied: Any, call: Any) -> None:
    host, [run_id] = source_host(copied), copied.run_ids()
    done = call(copied, "forget", host, "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"{host} is forgotten: " in done.stdout and f"next    enrich resume {run_id}" in done.stdout
    assert not (copied.storage / "intelligence" / run_id / "reports").exists()
    assert host in call(copied, "forget", "--list").stdout
    resumed = copied.enrich("resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    report = (copied.storage / "intelligence" / run_id / "reports" / "report.md").read_text(encoding="utf-8")
    assert f"//{host}/" not in report.partition("Sources")[0]
    again = call(copied, "forget", host, "--yes")
    assert again.exit_code == 0 and "nothing of it was stored" in again.stdout
    assert call(copied, "check").exit_code == 0
    assert call(copied, "forget", "--lift", host).exit_code == 0
    assert "lifted" in call(copied, "forget", "--list").stdout
    twice = call(copied, "forget", "--lift", host)
    assert twice.exit_code == 2 and "is not forgotten" in twice.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("com",),
        ("a b",),
        ("example.com/page",),
        ("--list", "example.com"),
        ("--lift",),
        ("x.org", "--yes", "--lift"),
    ],
)
def test_what_it_does_not_understand_is_a_message_and_changes_nothing(
    empty_place: Any, call: Any, arguments: tuple[str, ...]
) -> None:
    refused = call(empty_place, "forget", *arguments)
    assert refused.exit_code == 2 and refused.stderr.startswith("Error: ") and "fix:" in refused.stderr
    assert not empty_place.storage.exists()


def test_an_empty_place_has_nothing_forgotten_and_may_forget_ahead(empty_place: Any, call: Any) -> None:
    assert call(empty_place, "forget", "--list").stdout == "Nothing was forgotten.\n"
    assert not empty_place.storage.exists()
    done = call(empty_place, "forget", "example.com", "--yes")
    assert done.exit_code == 0 and "nothing of it was stored" in done.stdout
    assert "example.com" in call(empty_place, "forget", "--list").stdout


def test_while_a_run_is_worked_on_it_says_so_and_does_nothing(copied: Any, call: Any) -> None:
    host, before = source_host(copied), names_in(copied.storage)
    with Ledger.for_storage(str(copied.storage)) as ledger:
        lease = ledger.lease("20200101_000000/scraped")
        try:
            refused = call(copied, "forget", host, "--yes")
        finally:
            lease.release()
    assert refused.exit_code == 2 and "is being worked on" in refused.stderr
    assert names_in(copied.storage) == before
