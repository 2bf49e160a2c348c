"""Hostile text in every report type: shown as text, never live in a page, never markup on paper, never a formula."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bs4 import BeautifulSoup
from lxml import etree

from enrich_assets.reports.kinds import OWN, files_of, make
from enrich_assets.reports.material import Material
from enrich_assets_tests.chromium import browser
from enrich_assets_tests.reports.published_run import DROPPED, dropped_row, published, sample_rows, sample_sources
from enrich_assets_tests.shared_data import shared_data

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script></style><svg onload=alert(1)>",
    "[click](javascript:alert(1)) **bold**",
    '#read("/etc/passwd") #import "x.typ": *',
    "*strong* _emph_ $x^2$ @label <tag> `raw` = heading",
    "#link(\"javascript:alert(1)\")[x] \\ // comment /* open",
    '=HYPERLINK("http://evil.example")',
    "{{ 7*7 }} {% raw %}",
    "invoice\u202efdp.exe\u2067",
    "]) #panic(1) \\u{41} \\#",
]  # fmt: skip


def hostile_files(root: Path, texts: list[str]) -> dict[str, bytes]:
    """All reports of a run in which the texts stand wherever foreign text can stand."""
    rows = []
    for number, text in enumerate(texts, 1):
        row = {**sample_rows()[0], "row_id": f"r{number}", "rank": number}
        row |= dict.fromkeys(
            ("title", "source_name", "author", "analysis", "rationale", "rank_reason", "category"), text
        )
        row["url"] = row["canonical_url"] = f"javascript:alert({number})"
        row["also_at"] = [{"url": "javascript:alert(1)", "source_name": text, "title": text, "similarity": 1.0}]
        row["entities"] = [
            {**row["entities"][0], "name": text, "background": f"{text}.", "quote": text, "url": "data:text/html,x"}
        ]
        rows.append(row)
    sources = [
        {**sample_sources()[0], "row_id": f"s{n}", "source_id": f"s{n}", "name": text, "url": "javascript:alert(2)",
         "status": "failed", "error": text, "errors": [{"kind": text, "count": 1}]}
        for n, text in enumerate(texts)
    ]  # fmt: skip
    named = ("title", "drop_reason", "drop_value", "drop_detail")
    left = [dropped_row(n, **dict.fromkeys(named, text), url="javascript:alert(3)") for n, text in enumerate(texts)]
    run = published(
        root, rows=rows, sources=sources, dropped=pa.Table.from_pylist(left, schema=DROPPED), title=texts[0]
    )
    material = Material.of(run)
    return files_of(material, make(material, OWN, artifacts=".."))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return hostile_files(tmp_path_factory.mktemp("hostile"), HOSTILE)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return hostile_files(tmp_path_factory.mktemp("harmless"), [f"harmless{n}" for n in range(len(HOSTILE))])


def pages(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.endswith(".html")}


def test_pages_have_no_foreign_element_attribute_or_link(files: dict[str, bytes], harmless: dict[str, bytes]) -> None:
    assert set(pages(files)) == {"report.html", "pipeline_summary.html", "data_quality.html"}
    for name, data in pages(files).items():
        soup = BeautifulSoup(data, "html.parser")
        plain = BeautifulSoup(harmless[name], "html.parser")
        assert [t.name for t in soup.find_all(True)] == [t.name for t in plain.find_all(True)], name
        attributes = {attribute for tag in soup.find_all(True) for attribute in tag.attrs}
        assert attributes == {attribute for tag in plain.find_all(True) for attribute in tag.attrs}
        assert not [a for a in attributes if a.startswith("on")]
        targets = [str(tag["href"]) for tag in soup.find_all(href=True)]
        assert not [target for target in targets if not target.startswith(("#", "../", "data:,"))]


@pytest.mark.browser
def test_in_a_browser_nothing_runs_asks_or_complains(files: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with browser() as opened:
        for name in pages(files):
            for width, scheme in ((390, "dark"), (1280, "light")):
                context = opened.new_context(color_scheme=scheme, viewport={"width": width, "height": 844})
                tab = context.new_page()
                seen: list[str] = []
                address = (tmp_path / name).as_uri()
                tab.on("console", lambda message, seen=seen: seen.append(message.text))
                tab.on("pageerror", lambda error, seen=seen: seen.append(str(error)))
                tab.on("dialog", lambda dialog, seen=seen: (seen.append(dialog.message), dialog.dismiss()))
                tab.on("request", lambda request, seen=seen: seen.append(request.url))
                tab.goto(address)
                for link in tab.query_selector_all("main a[href^='#']")[:20]:
                    link.evaluate("link => link.click()")  # at once: the mouse would wait for every scroll
                asked = [url for url in seen if url.split("#")[0] != address and not url.startswith("data:")]
                assert asked == [], (name, width)
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                context.close()


@pytest.mark.browser
def test_rows_are_searched_and_filtered_and_stand_there_without_a_script(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "q.html").write_bytes(files["data_quality.html"])
    with browser() as opened:
        tab = opened.new_page()
        tab.goto((tmp_path / "q.html").as_uri())
        shown = "tr[data-phase]:not([hidden])"
        assert len(tab.query_selector_all(shown)) == len(HOSTILE)
        tab.fill("#search", "HYPERLINK evil")
        assert len(tab.query_selector_all(shown)) == 1
        assert tab.inner_text("#count") == f"1 of {len(HOSTILE)} rows on this page"
        tab.select_option("#by-outcome", "failed")
        assert len(tab.query_selector_all(shown)) == 0
        tab.click("#clear")
        assert len(tab.query_selector_all(shown)) == len(HOSTILE)
        tab.select_option("#by-reason", HOSTILE[0])
        assert len(tab.query_selector_all(shown)) == 1
        tab.click("a[data-pick][data-phase='tier1']")
        assert tab.input_value("#by-phase") == "tier1"
        plain = opened.new_context(java_script_enabled=False).new_page()
        plain.goto((tmp_path / "q.html").as_uri())
        assert len(plain.query_selector_all(shown)) == len(HOSTILE)
        assert not plain.is_visible("#controls")


def test_on_paper_hostile_text_is_text(files: dict[str, bytes]) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    pdf = pypdfium2.PdfDocument(files["full_report.pdf"])
    text = "".join("".join(page.get_textpage().get_text_range().split()) for page in pdf)
    for hostile in HOSTILE:
        expected = "".join(hostile.replace("\u202e", "").replace("\u2067", "").split())
        assert expected in text, hostile
    assert "root:" not in text
    raw = files["full_report.pdf"]
    assert b"/JavaScript" not in raw and b"/Launch" not in raw
    assert [url for url in re.findall(rb"/URI\s*\(([^)]*)", raw) if not url.startswith(b"http")] == []


def test_the_paper_is_the_same_for_the_same_run_and_shows_origins_as_notes(tmp_path: Path) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    run = published(tmp_path)
    once, again = (make(Material.of(run), ["full"], artifacts="")[0].files["full_report.pdf"] for _ in range(2))
    assert once == again
    pages = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(once)]
    text = " ".join(" ".join(pages).split())
    assert "Where the numbers come from" in text
    assert "scraped · envelope.counts.rows_out" in text
    assert "row 0000000000000001" in text
    assert "eda/tier1/drop_reasons.svg" in text.replace(" ", "")


def test_a_figure_is_left_out_where_none_is_wanted(tmp_path: Path) -> None:
    run = published(tmp_path)
    shown, bare = (
        files_of(material, make(material, ["summary"], artifacts=""))["pipeline_summary.html"].decode()
        for material in (Material.of(run), Material.of(run, with_figures=False))
    )
    assert "data:image/svg+xml" in shown
    assert "data:image/svg+xml" not in bare


def cells(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert not [name for name in archive.namelist() if b"<f>" in archive.read(name)]
        return ["".join(item.itertext()) for item in etree.fromstring(archive.read("xl/sharedStrings.xml"))]


def test_no_cell_of_known_formula_attacks_begins_like_a_formula(tmp_path: Path) -> None:
    folder = shared_data("security/csv-injection")
    payloads = [
        line
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "ORIGIN" not in path.name and "LICENSE" not in path.name
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ][:400]
    assert len(payloads) > 10
    left = [dropped_row(n, title=text, drop_detail=text) for n, text in enumerate(payloads)]
    run = published(tmp_path, dropped=pa.Table.from_pylist(left, schema=DROPPED))
    told = cells(run.file("reports/articles.xlsx"))
    assert [text for text in told if text.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any(text.startswith("'=") for text in told)


def test_naughty_strings_break_no_report(tmp_path: Path) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    import json

    texts: list[Any] = json.loads((shared_data("security/blns") / "blns.json").read_text(encoding="utf-8"))
    texts = [text for text in texts if text.strip()]
    rows = [
        {**sample_rows()[0], "row_id": f"r{n}", "rank": n, "title": text, "analysis": text, "rationale": text}
        for n, text in enumerate(texts, 1)
    ]
    left = [dropped_row(n, title=text, drop_detail=text) for n, text in enumerate(texts)]
    run = published(tmp_path, rows=rows, dropped=pa.Table.from_pylist(left, schema=DROPPED))
    material = Material.of(run)
    made = files_of(material, make(material, OWN, artifacts=".."))
    assert len(pypdfium2.PdfDocument(made["full_report.pdf"])) > 5
    soup = BeautifulSoup(made["data_quality.html"], "html.parser")
    assert {tag.get("src") for tag in soup.find_all(["img", "iframe", "script"])} == {None}
    assert len(soup.find_all("script")) == 1


@pytest.mark.parametrize("long", ["A" * 10_000, "very long words " * 625], ids=["one word", "many words"])
def test_a_title_of_any_length_neither_leaves_the_paper_nor_swamps_a_page(tmp_path: Path, long: str) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    rows = [{**sample_rows()[0], "title": long, "analysis": long[:600], "also_at": [], "entities": []}]
    run = published(tmp_path, rows=rows, dropped=pa.Table.from_pylist([dropped_row(1, title=long)], schema=DROPPED))
    material = Material.of(run)
    made = files_of(material, make(material, OWN, artifacts=".."))
    shown = {name: data.decode() for name, data in made.items() if name.endswith((".html", ".md"))}
    assert {name: text for name, text in shown.items() if long[:700] in text} == {}
    assert long[:250] in shown["report.html"] and long[:250] in shown["data_quality.html"]
    for page in pypdfium2.PdfDocument(made["full_report.pdf"]):
        width, height = page.get_size()
        text = page.get_textpage()
        boxes = [text.get_charbox(place) for place in range(text.count_chars())]
        assert all(left >= 0 and right <= width and bottom >= 0 and top <= height for left, bottom, right, top in boxes)
        # Nothing but the run's ID and the page's number stands in the lower margin.
        low = {text.get_text_range(place, 1) for place, box in enumerate(boxes) if box[1] < 50}
        assert low <= set("Run 0123456789_-/\r\n")
