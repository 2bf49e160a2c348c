"""Hostile text from the web is shown as it is in all three files, and does nothing."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from markdown_it import MarkdownIt

from enrich_assets.reports.markdown import escaped
from enrich_assets.reports.render import ReportTables, render_reports
from enrich_assets.reports.text import clean, one_line

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "![x](http://evil.example/p.png)",
    "a | b | c",
    "`code` **bold** _it_ ~~gone~~ $x$",
    "{{ 7*7 }} {% raw %}",
    "# heading",
    "- item",
    "1. item",
    "---",
    "===",
    "> quote",
    "&lt;b&gt; &#60;i&#62;",
    "<!-- comment",
    "]]> </style></title>",
    "\\",
    "https://evil.example/ and www.evil.example",
    '=HYPERLINK("http://evil.example")',
    "[ref]: http://evil.example",
    "line\n\n# heading\n\n<b>x</b>",
    "    indented code",
]


Build = Callable[..., dict[str, Any]]


def _poisoned(text: str, rank: int, plain: dict[str, Any]) -> dict[str, Any]:
    named = ("title", "source_name", "category", "analysis", "rationale", "rank_reason", "author", "language")
    entities = [
        {"name": text, "kind": text, "background": text + ".", "url": "javascript:alert(2)", "quote": text,
         "grade": "supported", "domains": 1},
        {"name": text, "kind": "company", "background": "", "url": "", "quote": "", "grade": text, "domains": rank},
    ]  # fmt: skip
    return plain | dict.fromkeys(named, text) | {"rank": rank, "url": "javascript:alert(1)", "entities": entities}


def _rendered(build: Build, plain: dict[str, Any], texts: list[str]) -> dict[str, bytes]:
    """A report in which each of the texts stands wherever foreign text can stand."""
    rows = [_poisoned(text, rank, plain) for rank, text in enumerate(texts, 1)]
    sources = [
        {"source_id": text, "name": text, "url": "javascript:alert(3)", "status": "failed", "error": text}
        for text in texts
    ]
    content = build(rows=rows, title=texts[0], sources=sources, initialized={"notes": texts, "preset": texts[0]})
    return render_reports(content, tables=ReportTables(kept=rows))


@pytest.fixture
def hostile_files(build: Build, sample: SimpleNamespace) -> dict[str, bytes]:
    return _rendered(build, sample.article_row(1), HOSTILE)


@pytest.fixture
def harmless_files(build: Build, sample: SimpleNamespace) -> dict[str, bytes]:
    return _rendered(build, sample.article_row(1), [f"harmless{number}" for number in range(len(HOSTILE))])


def _elements(html: str) -> list[str]:
    return [tag.name for tag in BeautifulSoup(html, "html.parser").find_all(True)]


def test_the_page_has_no_foreign_element_attribute_or_link(
    hostile_files: dict[str, bytes], harmless_files: dict[str, bytes]
) -> None:
    page = hostile_files["report.html"].decode()
    assert _elements(page) == _elements(harmless_files["report.html"].decode())
    soup = BeautifulSoup(page, "html.parser")
    assert not [name for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")]
    assert {str(tag["href"])[:4] for tag in soup.find_all(href=True)} <= {"data", "#art"}
    shown = " ".join(soup.get_text().split())
    assert [text for text in HOSTILE if " ".join(text.split()) not in shown] == []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(hostile: str) -> None:
    for parser in (MarkdownIt("commonmark"), MarkdownIt("gfm-like", {"linkify": False})):
        html = parser.render(f"before {escaped(hostile)}") + parser.render(escaped(hostile))
        soup = BeautifulSoup(html, "html.parser")
        assert {tag.name for tag in soup.find_all(True)} == {"p"}
        assert [p.get_text() for p in soup.find_all("p")][1] == " ".join(hostile.split())


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_stays_one_paragraph_of_that_text(text: str) -> None:
    shown = one_line(clean(text))
    soup = BeautifulSoup(MarkdownIt("gfm-like", {"linkify": False}).render(escaped(text)), "html.parser")
    assert [tag.name for tag in soup.find_all(True)] == (["p"] if shown else [])
    assert soup.get_text().strip() == shown


def test_the_markdown_report_keeps_its_structure(
    hostile_files: dict[str, bytes], harmless_files: dict[str, bytes]
) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False})
    hostile, harmless = (parser.render(files["report.md"].decode()) for files in (hostile_files, harmless_files))
    assert _elements(hostile) == _elements(harmless)
    assert "<a " not in hostile


def test_no_cell_is_a_formula_or_a_link(hostile_files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(hostile_files["articles.xlsx"])) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                root = etree.fromstring(archive.read(name))
                assert not root.findall(".//{*}f")
                assert not root.findall(".//{*}hyperlink")
        shared = archive.read("xl/sharedStrings.xml")
    texts = ["".join(item.itertext()) for item in etree.fromstring(shared)]
    assert not [text for text in texts if re.match(r"\s*[=+\-@]", text)]


def test_a_direction_override_does_not_reach_any_file(build: Build, sample: SimpleNamespace) -> None:
    files = _rendered(build, sample.article_row(1), ["invoice\u202efdp.exe\u2067x"])
    with zipfile.ZipFile(io.BytesIO(files["articles.xlsx"])) as archive:
        sheet = archive.read("xl/sharedStrings.xml")
    for content in (files["report.md"], files["report.html"], sheet):
        assert "invoicefdp.exex" in content.decode()
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", content.decode())


def test_no_text_can_leave_the_style_or_reach_the_network(build: Build, sample: SimpleNamespace) -> None:
    text = "</style><link rel=stylesheet href=http://evil.example/x.css>"
    page = _rendered(build, sample.article_row(1), [text])["report.html"].decode()
    assert page.count("</style>") == 1
    assert not re.search(r"<(script|iframe|img|object|embed|form)\b", page)
    assert "default-src 'none'" in page
