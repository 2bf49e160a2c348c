"""Forgetting: nothing of a publisher is left anywhere, everything else is, and a resume makes the rest again."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from enrich_assets.defs.forgetting import forget, lift, plan_forgetting
from enrich_assets.defs.instance import open_instance
from enrich_assets.engine.leases import LeaseTaken
from enrich_assets.engine.ledger import utc_now
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.web.forgotten import ForgottenFile, pattern_of
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.press import CANARY, EXPLAINED, GONE, STAYS, Press, press_answer
from enrich_assets_tests.real_runs import KEY, House, settings_for
from enrich_assets_tests.real_site import only_loopback

WIDE: dict[str, Any] = {
    "tier1": {"oldest_days": 6000, "least_score": 0, "near_duplicate": 1.0},
    "tier2": {"threshold": 0},
    "tier3": {"threshold": 0},
}
SAID = (CANARY, EXPLAINED.partition(" for ")[0])
"""What stands in the articles of the gone publisher, and in quotes of them."""


@pytest.fixture(scope="module")
def press() -> Iterator[Press]:
    with only_loopback(), Press() as serving:
        yield serving


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(answers=press_answer) as running:
        yield running


@pytest.fixture(scope="module")
def made(press: Press, server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """A storage with one complete run, which tests copy."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv(KEY, "a-key-of-the-tests")
        instance = open_instance()
        try:
            house = House(tmp_path_factory.mktemp("made"), instance)
            yield house, whole_run(house, press, server)
        finally:
            instance.dispose()


@pytest.fixture
def run_id(made: tuple[House, str]) -> str:
    """The run of the copied storage."""
    return made[1]


@pytest.fixture
def house(made: tuple[House, str], tmp_path: Path) -> House:
    """A copy of the storage."""
    shutil.copytree(made[0].storage, tmp_path / "data", symlinks=True)
    return House(tmp_path / "data", made[0].instance)


def whole_run(house: House, press: Press, server: ModelServer, **further: Any) -> str:
    run_id = house.begin(settings_for(press, server, **{**WIDE, **further}))  # type: ignore[arg-type]
    launched = house.resume(run_id)
    assert launched.succeeded, launched
    return run_id


def forget_it(house: House, text: str) -> dict[str, int]:
    with house.open_ledger() as ledger:
        return forget(pattern_of(text), GRAPHS.values(), house.store, ledger, clock=utc_now)


def would_go(house: House, text: str) -> dict[str, int]:
    with house.open_ledger() as ledger:
        return plan_forgetting(pattern_of(text), GRAPHS.values(), house.store, ledger).counts


def texts_in(storage: Path) -> Iterator[tuple[str, str]]:
    """Everything that stands in a storage, unpacked: name and text, in lower case."""
    for path in sorted(path for path in storage.rglob("*") if path.is_file() and not path.is_symlink()):
        data, name = path.read_bytes(), path.relative_to(storage).as_posix()
        if name.startswith("dagster/"):
            continue
        yield name, data.decode("utf-8", "replace").lower()
        if name.endswith(".gz"):
            yield f"{name} unpacked", gzip.decompress(data).decode("utf-8", "replace").lower()
        elif name.endswith(".parquet"):
            yield f"{name} rows", json.dumps(pq.read_table(path).to_pylist(), default=str).lower()
        elif name == "ledger.db":
            with sqlite3.connect(path) as database:
                for table, column in (("enrich_answers", "content"), ("enrich_runs", "registration")):
                    for number, content in database.execute(f"SELECT rowid, {column} FROM {table}"):
                        text = content if content[:1] == b"{" else zlib.decompress(content)
                        yield f"{table} {number}", text.decode("utf-8", "replace").lower()


def standing_in(storage: Path, *sought: str) -> set[str]:
    """Names of what holds one of the texts; what a person wrote into settings and `forgotten.json` does not count."""
    own = ("forgotten.json", "enrich_runs", "initialized.json", "manifest.json")
    return {
        name
        for name, text in texts_in(storage)
        if any(one.lower() in text for one in sought) and not any(part in name for part in own)
    }


def test_nothing_of_a_forgotten_domain_is_left_and_a_resume_makes_the_rest_again(
    house: House, run_id: str, press: Press, server: ModelServer
) -> None:
    before = {row["url"]: row["text"] for row in house.rows(run_id, "scraped")}
    assert {GONE in url for url in before} == {True, False}
    held = standing_in(house.storage, *SAID)
    for part in ("pages/", "enrich_answers", "scraped.parquet", "enriched.parquet", "report.json", "reports/report.md"):
        assert any(part in name for name in held), (part, sorted(held))
    told = would_go(house, GONE)
    assert told["pages"] == 5 and told["page_answers"] == 5 and told["runs"] == 1 and told["phases"] == 9
    assert told["model_answers"] > 8
    assert standing_in(house.storage, *SAID) == held, "showing what would go changes nothing"

    removed = forget_it(house, GONE)

    assert removed == told
    assert standing_in(house.storage, *SAID) == set()
    assert standing_in(house.storage, GONE) == set()
    assert house.stands_at(run_id) == "scraped"
    with house.open_ledger() as ledger:
        assert {row["status"] for row in ledger.phases(run_id) if row["phase"] != "initialized"} == {"stopped"}
    [entry] = ForgottenFile(house.store.root).entries()
    assert (entry.pattern, entry.removed) == (GONE, removed) and entry.finished_at is not None
    asked, fetched = server.calls, press.fetched.copy()

    launched = house.resume(run_id)

    assert launched.succeeded, launched
    assert press.fetched == fetched, "pages that stayed are replayed, the others are not asked for"
    assert server.calls - asked <= 12, "answers about the articles that stayed are known; those that quoted are not"
    after = {row["url"]: row["text"] for row in house.rows(run_id, "scraped")}
    assert after == {url: text for url, text in before.items() if STAYS in url}
    assert [row["drop_reason"] for row in house.side(run_id, "scraped", "dropped")] == ["forgotten"]
    assert standing_in(house.storage, *SAID) == set()
    report = (house.storage / "intelligence" / run_id / "reports" / "report.md").read_text(encoding="utf-8")
    assert "valleys" in report and "Lanterns" not in report
    assert not any(would_go(house, GONE).values()), "what was refused is no trace"


def test_a_later_run_does_not_bring_it_back_and_a_lifted_one_does(
    house: House, press: Press, server: ModelServer
) -> None:
    forget_it(house, GONE)
    later = whole_run(house, press, server)
    assert all(STAYS in row["url"] for row in house.rows(later, "scraped"))
    assert standing_in(house.storage, CANARY) == set()
    with house.open_ledger() as ledger:
        assert lift(pattern_of(GONE), house.store, ledger, clock=utc_now)
        assert not lift(pattern_of(GONE), house.store, ledger, clock=utc_now)
    lifted = whole_run(house, press, server)
    assert any(GONE in row["url"] for row in house.rows(lifted, "scraped"))


def test_one_url_is_forgotten_and_its_publishers_other_articles_stay(house: House, run_id: str, press: Press) -> None:
    url = press.url(STAYS, 2)
    removed = forget_it(house, f"{url}#part")
    assert (removed["pages"], removed["page_answers"]) == (1, 1)
    assert house.resume(run_id).succeeded
    found = {row["url"] for row in house.rows(run_id, "scraped")}
    assert found == {press.url(host, number) for host in (GONE, STAYS) for number in range(4)} - {url}
    [dropped] = house.side(run_id, "scraped", "dropped")
    assert (dropped["drop_reason"], dropped["url"], dropped["title"]) == ("forgotten", url, "")


def test_articles_of_earlier_reports_leave_the_settings_of_later_runs_too(
    house: House, press: Press, server: ModelServer
) -> None:
    later = whole_run(house, press, server, compare_with=1)
    with house.open_ledger() as ledger:
        known = ledger.registration(later)
        assert known is not None and any(GONE in article["canonical_url"] for article in known["earlier"])
    forget_it(house, GONE)
    with house.open_ledger() as ledger:
        known = ledger.registration(later)
        assert known is not None and known["earlier"]
        assert not any(GONE in article["canonical_url"] for article in known["earlier"])
    assert not any("lanterns" in text for _, text in texts_in(house.storage))
    assert house.stands_at(later) == "initialized"
    assert house.resume(later).succeeded


def test_a_run_that_is_worked_on_is_a_clear_error_and_nothing_is_done(house: House) -> None:
    held = standing_in(house.storage, CANARY)
    with house.open_ledger() as ledger:
        lease = ledger.lease("20200101_000000/scraped")
        try:
            with pytest.raises(LeaseTaken, match="20200101_000000/scraped"):
                forget_it(house, GONE)
        finally:
            lease.release()
    assert standing_in(house.storage, CANARY) == held
    assert ForgottenFile(house.store.root).entries() == []


@pytest.mark.parametrize(
    "step", ["_remove_answers", "_take_back", "_set_latest_right", "_remove_pages", "unpublish-half", "truncate"]
)
def test_what_was_killed_in_the_middle_is_finished_by_the_same_command(
    house: House, run_id: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    import enrich_assets.defs.forgetting as forgetting
    from enrich_assets.engine.ledger import Ledger
    from enrich_assets.store.store import Store

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    half = Store.unpublish

    def killed_at_tier3(store: Store, graph: str, run_id: str, phase: str) -> int:
        if phase == "tier3":
            raise KeyboardInterrupt
        return half(store, graph, run_id, phase)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if step == "unpublish-half":
            patch.setattr(Store, "unpublish", killed_at_tier3)
        elif step == "truncate":
            patch.setattr(Ledger, "truncate_log", killed)
        else:
            patch.setattr(forgetting, step, killed)
        forget_it(house, GONE)
    [entry] = ForgottenFile(house.store.root).entries()
    assert entry.finished_at is None and entry.removed["pages"] == 5
    forget_it(house, GONE)
    [entry] = ForgottenFile(house.store.root).entries()
    assert entry.finished_at is not None and entry.removed["pages"] == 5
    assert standing_in(house.storage, *SAID, GONE) == set()
    assert house.stands_at(run_id) == "scraped"
