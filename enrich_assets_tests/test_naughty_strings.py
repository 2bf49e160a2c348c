"""The big list of naughty strings as titles, ids, addresses and names of sources, from the feed to the report."""

from __future__ import annotations

import io
import json
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from lxml import html as markup

from enrich_assets.defs.instance import open_instance
from enrich_assets_tests import warm
from enrich_assets_tests.many_pages import page
from enrich_assets_tests.real_runs import INTELLIGENCE, House, settings_for
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.test_canaries import Wire

_PATH = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*\Z")


def naughty_strings() -> list[str]:
    """Those of blns that say anything."""
    listed = json.loads(shared_data("security", "blns", "blns.json").read_text(encoding="utf-8"))
    return [string for string in dict.fromkeys(listed) if string.strip()]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    instance = open_instance()
    try:
        yield House(tmp_path / "data", instance)
    finally:
        instance.dispose()


class Feeds:
    """One JSON Feed a string, with the string wherever a feed can carry one and an article that needs no request."""

    def __init__(self, strings: list[str]) -> None:
        self.strings = strings
        self.asked: list[str] = []

    def __call__(self, request: BaseHTTPRequestHandler, _: bytes) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(request.path)
        if not re.fullmatch(r"/\d+/feed", request.path):
            return 404, {}, b""
        number = int(request.path.split("/")[1])
        string = self.strings[number]
        text = [block.text_content() for block in markup.fromstring(page(number)).iter("p")]
        item = {
            "id": string,
            "url": f"http://{request.headers['Host']}/{number}/article?q={string}#{string}",
            "title": string,
            "authors": [{"name": string}],
            "tags": [string],
            "content_text": "\n\n".join([*text, string]),
            "date_published": "2024-01-10T08:00:00Z",
            "language": "en",
        }
        feed = {"version": "https://jsonfeed.org/version/1.1", "title": string, "items": [item]}
        return 200, {"Content-Type": "application/feed+json"}, json.dumps(feed).encode("ascii")


def said(text: str) -> str:
    """What of a text can be seen: no white space, no control and format characters, no noncharacters."""
    seen = (c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf"))
    return "".join(c for c in seen if ord(c) & 0xFFFE != 0xFFFE)


@pytest.mark.parametrize("every", [pytest.param(32, id="short"), pytest.param(1, id="long", marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_naughty_strings_change_no_path_break_no_artifact_and_are_not_lost(
    house: House, tmp_path: Path, every: int
) -> None:
    strings = naughty_strings()[::every]
    with Wire(Feeds(strings)).open() as site:
        host = f"127.0.0.1:{site.port}"
        settings = settings_for(
            _Nothing(),  # type: ignore[arg-type]
            title=strings[0],
            sources=[
                {"id": f"source_{n}", "name": string, "url": f"http://{host}/{n}/feed"}
                for n, string in enumerate(strings)
            ],
            http={"allow_hosts": [host], "seconds_between_requests": 0, "robots": False},
            tier1={"oldest_days": 6000, "least_score": 0, "near_duplicate": 1},
            tier2={"threshold": 0},
            tier3={"threshold": 0, "keep": 600},
            ranked={"keep": 600, "per_source": 600, "per_category": 600},
            enriched={"entities_per_article": 1},
        )
        run_id = house.begin(settings)
        assert house.resume(run_id).succeeded

    # Nothing is lost: each string is a title, an author and the name of a source.
    rows = {int(row["source_id"].split("_")[1]): row for row in house.rows(run_id, "scraped")}
    assert sorted(rows) == list(range(len(strings)))
    lost = [(strings[n], row["title"]) for n, row in rows.items() if said(row["title"]) != said(unescape(strings[n]))]
    assert lost == []
    assert {n for n, row in rows.items() if row["source_name"] != strings[n]} == set()
    assert {n for n, row in rows.items() if said(strings[n]) not in said(row["text"])} == set()
    kept = {row["row_id"] for row in house.rows(run_id, "validated")}
    quarantined = {row["row_id"] for row in house.side(run_id, "validated", "dropped")}
    passed = {row["row_id"] for row in house.rows(run_id, "ranked")}
    print(f"{len(strings)} strings: {len(passed)} ranked, {len(kept)} reported, {len(quarantined)} in quarantine")
    assert kept | quarantined == passed and len(kept) >= 0.9 * len(strings)

    # No artifact is broken.
    for name in INTELLIGENCE.names:
        envelope = house.store.verify("intelligence", run_id, name)
        for file in envelope.files:
            house.store.side_file("intelligence", run_id, name, file)  # raises where its bytes are others
    reports = house.storage / "intelligence" / run_id / "reports"
    _opens_as_a_workbook(reports / "articles.xlsx")
    titles = {said(row["title"]) for row in house.rows(run_id, "validated")}
    shown = said(markup.parse(str(reports / "report.html")).getroot().text_content())
    assert [title for title in titles if title not in shown] == []
    assert not list(etree.parse(str(reports / "report.html"), etree.HTMLParser()).iter("script"))
    assert (reports / "report.md").read_text("utf-8")

    # No path is changed.
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert [path for path in paths if not _PATH.match(path)] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "home"]

    phases = ("scraped", "tier1", "enriched", "validated") if every == 1 else ("scraped",)
    for command in (["check"], ["runs"], ["show", strings[0]], *(["show", run_id, phase] for phase in phases)):
        done = warm.enrich(*command, environment={**os.environ, "ENRICH_STORAGE": str(house.storage)})
        assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-500:])
        # No string moves the cursor, colours the terminal, or rings its bell.
        assert not [c for c in done.stdout if unicodedata.category(c) == "Cc" and c != "\n"], command


class _Nothing:
    """Instead of a site: the sources are given."""

    sources: tuple[Any, ...] = ()
    allow_hosts: tuple[str, ...] = ()


def _opens_as_a_workbook(path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as book:
        assert book.testzip() is None
        for name in book.namelist():
            if name.endswith((".xml", ".rels")):
                root = etree.fromstring(book.read(name))
                # A string that begins like a formula stays a string.
                assert not list(root.iter("{http://schemas.openxmlformats.org/spreadsheetml/2006/main}f")), name
