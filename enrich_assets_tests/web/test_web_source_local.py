"""Local files and folders as sources, and that nothing outside of them is read."""

from __future__ import annotations

import asyncio
import os

import pytest

from enrich_assets.core.errors import FinalError
from enrich_assets.web.sources import entries, folder, local_files
from enrich_assets_tests.web.source_kit import WrittenPages, listing_of, source

MARKDOWN = """---
draft: false
---
# The *first* note

A paragraph with **bold** words
and a [link](http://a.example/x "t").

## Part

- one
- two

```
x = 1
```
"""


def listed(kind, path, **more):
    pages = WrittenPages({})
    return asyncio.run(entries(source(kind, url=str(path), **more), pages)), pages


@pytest.fixture
def notes(tmp_path):
    root = tmp_path / "notes"
    (root / "deep").mkdir(parents=True)
    (root / "a.md").write_text(MARKDOWN, "utf-8")
    (root / "b.html").write_text("<html><body><p>Page</p></body></html>", "utf-8")
    (root / "deep" / "c.txt").write_text("Title\n\nFirst\nparagraph.\n\nSecond.\n", "utf-8")
    (root / "photo.jpg").write_bytes(b"\xff\xd8")
    (root / ".hidden.md").write_text("# Hidden", "utf-8")
    for age, name in enumerate(("a.md", "b.html", "deep/c.txt")):
        os.utime(root / name, (1_790_000_000 - age, 1_790_000_000 - age))
    return root


def test_a_folder_lists_its_files_newest_first_without_a_request(notes):
    found, pages = listed("folder", notes)
    assert [entry.url for entry in found.entries] == [
        (notes / name).as_uri() for name in ("a.md", "b.html", "deep/c.txt")
    ]
    assert pages.asked == [] and [page.url for page in found.documents] == [entry.url for entry in found.entries]
    assert found.title == "notes" and found.warnings == ()


def test_markdown_and_text_carry_their_text_and_html_its_page(notes):
    markdown, html, text = listed("folder", notes)[0].entries
    assert (markdown.title, markdown.full_text) == (
        "The first note", "A paragraph with bold words and a link.\nPart\none\ntwo\nx = 1",
    )  # fmt: skip
    assert html.full_text is None and html.page is not None and html.page.content_type == "text/html"
    assert (text.title, text.full_text) == ("Title", "First paragraph.\nSecond.")


def test_a_file_is_its_only_entry(notes):
    [entry] = listed("file", notes / "a.md")[0].entries
    assert entry.url == (notes / "a.md").as_uri() and entry.title == "The first note"
    assert listed("file", (notes / "a.md").as_uri())[0].entries[0].url == entry.url


def test_the_newest_files_and_those_of_a_pattern_are_chosen(notes):
    assert [entry.url[-4:] for entry in listed("folder", notes, max_items=1)[0].entries] == ["a.md"]
    assert [entry.url[-5:] for entry in listed("folder", notes, link_pattern="^deep/")[0].entries] == ["c.txt"]
    empty = listed("folder", notes, link_pattern="nothing")[0]
    assert empty.entries == () and "no file" in empty.warnings[0]


def test_a_symbolic_link_out_of_the_folder_is_refused(notes, tmp_path):
    (tmp_path / "secret.txt").write_text("The secret.", "utf-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "d.md").write_text("# Other", "utf-8")
    (notes / "link.txt").symlink_to(tmp_path / "secret.txt")
    (notes / "linked").symlink_to(tmp_path / "other")
    found, pages = listed("folder", notes)
    assert len(found.entries) == 3 and not any(b"secret" in page.body for page in pages.kept.values())
    assert found.warnings == ("link.txt leads out of the folder.",)


def test_a_pipe_does_not_stop_the_reading(notes):
    os.mkfifo(notes / "pipe.txt")
    found, _ = listed("folder", notes)
    assert len(found.entries) == 3 and found.warnings == ("pipe.txt is no regular file.",)


def test_size_number_and_depth_are_bounded(notes, monkeypatch):
    monkeypatch.setattr(local_files, "LARGEST_BYTES", 50)
    found, _ = listed("folder", notes)
    assert len(found.entries) == 2 and "a.md is larger than 50 bytes." in found.warnings
    monkeypatch.setattr(folder, "MOST_FILES", 1)
    assert "only 1 of its files are looked at." in listed("folder", notes)[0].warnings
    monkeypatch.setattr(folder, "MOST_FILES", 100)
    monkeypatch.setattr(folder, "DEEPEST", 0)
    assert not any("deep" in entry.url for entry in listed("folder", notes)[0].entries)


@pytest.mark.parametrize(
    ("kind", "path", "error"),
    [
        ("file", "absent.md", "not_found"),
        ("folder", "absent", "not_found"),
        ("folder", "a.md", "not_a_folder"),
        ("file", "photo.jpg", "not_text"),
        ("file", "", "not_text"),
    ],
)
def test_what_cannot_be_read_says_why(notes, kind, path, error):
    with pytest.raises(FinalError) as caught:
        listed(kind, notes / path)
    assert caught.value.kind == error and "source s" in str(caught.value)


@pytest.mark.parametrize("url", ["http://site.example/a.md", "ftp://x/a.md", "file://host/etc/passwd", "", "a\x00b"])
def test_a_url_is_no_local_path(url):
    with pytest.raises(FinalError) as caught:
        listed("file", url)
    assert caught.value.kind == "not_local"


def test_links_of_pages_to_local_files_are_no_entries(notes):
    uri = (notes / "a.md").as_uri()
    feed = f"<rss version='2.0'><channel><item><link>{uri}</link></item></channel></rss>"
    assert listing_of(feed).entries == ()
    assert listing_of(f'<a href="{uri}">x</a>', "listing", type="text/html", link_pattern="md").entries == ()
    assert listing_of(f"<urlset><url><loc>{uri}</loc></url></urlset>", "sitemap", link_pattern="md").entries == ()


@pytest.mark.parametrize(
    "body", [bytes(range(256)) * 20, b"word \x00 word " * 100, b"\x89PNG\r\n\x1a\n" + b"\x01\xff" * 99]
)
@pytest.mark.parametrize("name", ["x.txt", "x.md", "x.html"])
def test_what_is_not_text_is_refused_whatever_its_name_says(tmp_path, body, name):
    (tmp_path / name).write_bytes(body)
    with pytest.raises(FinalError) as caught:
        listed("file", tmp_path / name)
    assert caught.value.kind == "not_text" and name in caught.value.what
    found, _ = listed("folder", tmp_path)
    assert found.entries == () and "is not text" in found.warnings[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_in_a_usual_encoding_is_text(tmp_path, encoding):
    (tmp_path / "x.txt").write_bytes("Größe\n\nEin Absatz über Äpfel.\n".encode(encoding))
    [entry] = listed("file", tmp_path / "x.txt")[0].entries
    assert entry.page is not None and "Ein Absatz" in (entry.full_text or "")
    assert encoding == "latin-1" or entry.title == "Größe"
