"""A site that is crawled again: what did not change costs no body, no extraction, no call, and changes no artifact.

As a program, `python -m enrich_assets_tests.test_second_crawl RUN_ID` resumes a run in a process of its own and prints
how many pages it extracted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.defs.instance import open_instance
from enrich_assets.web.texts import ExtractedTexts
from enrich_assets_tests.many_pages import BYTES, ManyPages, company, page
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.newsroom import newsroom_answer
from enrich_assets_tests.real_runs import KEY, House, settings_for

CHANGED = 7
ASKS = ("tier2", "tier3", "paraphrased", "enriched")


@dataclass
class Extractions:
    """Pages that were extracted while it was watched, and those whose result was kept from before."""

    extracted: int = 0
    reused: int = 0


@contextmanager
def extractions() -> Iterator[Extractions]:
    """Counts what the texts clients of all phases did, as each of them is closed."""
    found = Extractions()
    closing = ExtractedTexts.__aexit__

    async def counted(texts: ExtractedTexts, *raised: object) -> None:
        found.extracted += texts.extracted
        found.reused += texts.reused
        await closing(texts, *raised)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExtractedTexts, "__aexit__", counted)
        yield found


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A storage and a Dagster instance of their own."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv(KEY, "a-key-of-the-tests")
    instance = open_instance()
    try:
        yield House(tmp_path / "data", instance)
    finally:
        instance.dispose()


def crawl_settings(site: Any, server: ModelServer, pages: int) -> dict[str, Any]:
    """A run in which every article reaches the report, each with the one company that it is about."""
    return settings_for(
        site,
        server,
        http={"allow_hosts": site.allow_hosts, "seconds_between_requests": 0},
        tier2={"threshold": 0},
        tier3={"threshold": 0, "keep": pages},
        ranked={"keep": pages, "per_source": pages, "per_category": pages},
        enriched={"entities_per_article": 1},
    )


def hashes(house: House, run_id: str) -> dict[str, str]:
    """The data hash of every phase between the settings and the report, which name their run."""
    found = {name: envelope.data_sha256 for name, envelope in house.envelopes(run_id).items()}
    return {name: sha for name, sha in found.items() if name not in ("initialized", "report")}


def calls_by_phase(house: House, run_id: str) -> dict[str, int]:
    """Model calls of each phase that asked."""
    used = {name: envelope.usage.model_calls for name, envelope in house.envelopes(run_id).items()}
    return {name: count for name, count in used.items() if count}


@pytest.mark.parametrize("pages", [pytest.param(20, id="short"), pytest.param(500, id="long", marks=pytest.mark.long)])
@pytest.mark.timeout(1200)
def test_a_second_crawl_costs_what_changed(house: House, pages: int) -> None:
    with ManyPages(pages) as site, ModelServer(answers=newsroom_answer) as server:
        settings = crawl_settings(site, server, pages)
        first = house.begin(settings)
        with extractions() as before:
            assert house.resume(first).succeeded
        assert before.extracted == pages
        assert all(calls_by_phase(house, first)[name] for name in ASKS)
        assert house.envelopes(first)["report"].counts.kept == pages

        # Nothing changed.
        site.forget_counts()
        calls = server.calls
        again = house.begin(settings)
        with extractions() as second:
            assert house.resume(again, up_to="validated").succeeded
        assert len(site.asked) >= pages and site.bodies.total() == 0
        assert (second.extracted, server.calls - calls, calls_by_phase(house, again)) == (0, 0, {})
        assert hashes(house, again) == hashes(house, first)
        assert {row["fetch_method"] for row in house.rows(again, "scraped")} == {"not_modified"}
        print(f"unchanged: {site.asked.total()} requests, 0 bodies, 0 of {pages} extracted, 0 model calls")

        # One page changed.
        site.change(CHANGED)
        site.forget_counts()
        server.requests.clear()
        calls = server.calls
        third = house.begin(settings)
        with extractions() as one:
            assert house.resume(third, up_to="validated").succeeded
        assert dict(site.bodies) == {site.url(CHANGED): 1}
        assert one.extracted == 1
        asked = [str(seen.body["messages"][1]["content"]) for seen in list(server.requests)]
        assert all(company(CHANGED) in text for text in asked)
        used = calls_by_phase(house, third)
        assert sum(used.values()) == server.calls - calls
        assert (used["tier2"], used["tier3"]) == (1, 1)
        rows, old = ({row["url"]: row for row in house.rows(run, "scraped")} for run in (third, first))
        assert {url for url in rows if rows[url]["content_hash"] != old[url]["content_hash"]} == {site.url(CHANGED)}
        print(f"one changed: {site.bodies.total()} body, {one.extracted} extracted, calls {used}")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_another_process_extracts_nothing_again(house: House) -> None:
    with ManyPages(9, validator="last-modified") as site, ModelServer(answers=newsroom_answer) as server:
        settings = crawl_settings(site, server, 9)
        first = house.begin(settings)
        assert house.resume(first, up_to="validated").succeeded
        site.forget_counts()
        calls = server.calls
        again = house.begin(settings)
        environment = {**os.environ, "ENRICH_STORAGE": str(house.storage)}
        command = [sys.executable, "-m", "enrich_assets_tests.test_second_crawl", again]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.splitlines()[-1] == "extracted 0"
        assert (site.bodies.total(), server.calls - calls) == (0, 0)
        assert hashes(house, again) == hashes(house, first)


@pytest.mark.timeout(300)
def test_a_server_without_validators_sends_bodies_and_nothing_else_happens(house: House) -> None:
    with ManyPages(9, validator="none") as site, ModelServer(answers=newsroom_answer) as server:
        settings = crawl_settings(site, server, 9)
        first = house.begin(settings)
        assert house.resume(first, up_to="validated").succeeded
        site.forget_counts()
        calls = server.calls
        again = house.begin(settings)
        with extractions() as second:
            assert house.resume(again, up_to="validated").succeeded
        assert {site.bodies[site.url(number)] for number in range(9)} == {1}
        assert (second.extracted, server.calls - calls) == (0, 0)
        assert hashes(house, again) == hashes(house, first)


def test_pages_are_as_large_as_they_claim_and_each_has_a_company_of_its_own() -> None:
    assert {len(page(number)) for number in range(500)} == {BYTES}
    assert len({company(number) for number in range(500)}) == 500


def main() -> int:
    """Resumes the run that the command line names, and says how many pages were extracted."""
    warnings.simplefilter("ignore")
    house = House(Path(os.environ["ENRICH_STORAGE"]), open_instance())
    with extractions() as found:
        launched = house.resume(sys.argv[1], up_to="validated")
    print(f"extracted {found.extracted}", flush=True)
    return 0 if launched.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
