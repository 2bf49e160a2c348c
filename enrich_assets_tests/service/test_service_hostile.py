"""Text from the web is shown as it is in every page of the viewer, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from bs4 import BeautifulSoup

from enrich_assets.engine.clients import Extracted
from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.store import Store
from enrich_assets.web.page_store import PageStore
from enrich_assets.web.text_store import TextStore
from enrich_assets_tests.service.synthetic import publish
from enrich_assets_tests.service.viewer_kit import Served, served, tab

RUN = "20260101_060000"
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> </bdi></title></style>"
    "{{ 7*7 }} {% raw %} \u202eevil\u202c \x00\x1b[31m javascript:alert(3) &lt;b&gt; ../../etc/passwd ?a=b&c=d#e"
)
LINK = "javascript:alert(4)"
QUOTE = 'It said "<script>alert(5)</script>" & left.'
TEXT = f"{HOSTILE} before. {QUOTE} After {HOSTILE}"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    storage = tmp_path_factory.mktemp("hostile") / "data"
    storage.mkdir()
    key = PageStore(Store(storage).root).put(b"the page")
    found = Extracted(HOSTILE, HOSTILE, None, "en", TEXT, LINK)
    folder = storage / "texts" / key[:2] / key
    folder.mkdir(parents=True)
    _keep(Store(storage), key, found)
    entity = {"name": HOSTILE, "kind": HOSTILE, "background": HOSTILE, "url": LINK, "quote": QUOTE, "grade": HOSTILE}
    entity = {**entity, "page_sha256": key, "quote_start": TEXT.index(QUOTE)}
    lost = {**entity, "page_sha256": "../../../etc/passwd", "quote_start": 0}
    row = {
        "row_id": HOSTILE,
        "title": HOSTILE,
        "url": LINK,
        "text": HOSTILE,
        "source_name": HOSTILE,
        "language": '"><x',
    }
    row |= {"category": HOSTILE, "analysis": HOSTILE, "tier3_score": 5.0, "entities": [entity, lost]}
    gone = {"row_id": HOSTILE + "2", "title": HOSTILE, "url": LINK, "drop_reason": HOSTILE, "drop_value": HOSTILE}
    failed = {
        "row_id": HOSTILE + "3",
        "title": HOSTILE,
        "url": LINK,
        "failure_kind": HOSTILE,
        "failure_message": HOSTILE,
    }
    with Ledger.for_storage(str(storage)) as ledger:
        ledger.claim_run("intelligence", {"title": HOSTILE, "preset": HOSTILE}, run_id=RUN)
        store = Store(storage)
        document = {
            "title": HOSTILE,
            "preset": HOSTILE,
            "settings": {HOSTILE: HOSTILE},
            "as_of": "2026-01-01T06:00:00Z",
        }
        publish(store, ledger, RUN, "initialized", document=document)
        gone |= {"drop_detail": HOSTILE}
        table = pa.Table.from_pylist([row])
        kind = pa.list_(pa.field("element", table.schema.field("entities").type.value_type))
        table = table.set_column(table.column_names.index("entities"), "entities", pa.array([row["entities"]], kind))
        publish(store, ledger, RUN, "enriched", table, dropped=[gone], failed=[failed | {"attempts": 1}])
        ledger.phase_progress(RUN, "enriched", status="failed", message=HOSTILE.replace("\x00", ""))
    with served(storage) as viewer:
        yield viewer


def _keep(store: Store, key: str, found: Extracted) -> None:
    from datetime import UTC, datetime

    from enrich_assets.engine.clients import Page

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    page = Page("http://a.example", "http://a.example", 200, "text/html", "", b"the page", key, moment, "http")
    TextStore(store.root).put(page, None, found)


def paths() -> list[str]:
    base, row = f"/runs/{RUN}", quote(HOSTILE, safe="")
    table = f"{base}/phases/enriched/table"
    return [
        "/runs", f"/runs?text={row}&state={row[:30]}", base, f"{base}/progress", f"{base}/findings", f"{base}/figures",
        f"{base}/phases/initialized", f"{base}/phases/enriched", table, f"{table}?columns=title&columns=text",
        f"{table}?text=script", f"{table}?text={quote(HOSTILE[:200])}", f"{table}?column=title&value={row[:250]}",
        f"{base}/phases/enriched/side/dropped", f"{base}/phases/enriched/side/failed",
        f"{base}/phases/enriched/side/dropped?column=drop_reason&operator=is&value={row[:250]}",
        f"{base}/row?id={row}", f"{base}/row?id={row}2", f"{base}/row?id={row}3", f"{base}/row?id={row}4",
        f"/runs/{row}", f"{base}/phases/{row}", f"{base}/{row}", f"{table}?sort={row[:250]}", "/compare",
        f"/compare?old={RUN}", f"/compare?old={RUN}&new={row[:100]}",
    ]  # fmt: skip


@pytest.mark.parametrize("path", paths(), ids=lambda path: re.sub("%..", "", path)[:60])
def test_nothing_in_a_page_is_alive(hostile: Served, path: str) -> None:
    import httpx

    answer = httpx.get(f"{hostile.url}{path}")
    assert answer.status_code in (200, 400, 404), answer.text[-3000:]
    soup = BeautifulSoup(answer.text, "html.parser")
    assert {str(one.get("src")) for one in soup.find_all("script")} <= {"/static/viewer.js"}
    assert not any(one.string for one in soup.find_all("script"))
    assert not soup.find_all(["iframe", "object", "embed", "style", "base", "x"])
    for element in soup.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")], element
        for name in ("href", "src", "action", "cite"):
            value = str(element.get(name) or "")
            assert value == "" or value.startswith(("/", "#")), f"{name} leads to {value}"
    assert "49" not in re.sub(r"[0-9a-f]{6,}|%\w\w", "", soup.get_text()), "no template was evaluated"
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", answer.text)


def test_the_quote_is_marked_in_the_text_of_the_stored_page_and_stays_text(hostile: Served) -> None:
    page = hostile.get(f"/runs/{RUN}/row?id={quote(HOSTILE, safe='')}").text
    soup = BeautifulSoup(page, "html.parser")
    marked = soup.find_all("mark")
    assert [one.get_text() for one in marked] == [QUOTE, QUOTE]
    around = marked[0].parent
    assert around is not None
    assert "before. It said" in around.get_text()
    assert "After <script>alert(1)</script>" in around.get_text()
    assert "does not say where on the page" in page, "a path is no key of a page"


def test_a_title_of_any_length_is_a_heading_all_the_same(tmp_path: Path) -> None:
    storage = tmp_path / "data"
    storage.mkdir()
    with Ledger.for_storage(str(storage)) as ledger:
        ledger.claim_run("intelligence", {"preset": "demo"}, run_id=RUN)
        table = pa.table({"row_id": ["a"], "title": ["A" * 10_000], "url": ["https://a.example/"]})
        publish(Store(storage), ledger, RUN, "scraped", table)
    with served(storage) as viewer:
        soup = BeautifulSoup(viewer.get(f"/runs/{RUN}/row?id=a").text, "html.parser")
    assert soup.h1 is not None and soup.title is not None
    assert soup.h1.get_text() == "A" * 299 + "…"
    assert len(soup.title.get_text()) < 400


@pytest.mark.browser
def test_chromium_runs_none_of_it(hostile: Served, tmp_path: Path) -> None:
    with tab(hostile.url, width=390) as opened:
        dialogs: list[str] = []
        opened.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        for path in (
            f"/runs/{RUN}",
            f"/runs/{RUN}/row?id={quote(HOSTILE, safe='')}",
            f"/runs/{RUN}/phases/enriched/table",
        ):
            opened.open(path)
            assert opened.width() <= 390
        opened.open("/runs")
        assert (dialogs, opened.said, opened.elsewhere) == ([], [], [])
