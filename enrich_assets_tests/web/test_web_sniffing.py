"""What kind of document it is, by its type and by how it begins."""

from __future__ import annotations

import pytest

from enrich_assets.web.sniffing import is_html_document

PAGE = b"<!doctype html><html><head><title>A</title></head><body><p>b</p></body></html>"


@pytest.mark.parametrize(
    ("type", "body", "expected"),
    [
        ("text/html", b"", True),
        ("application/xhtml+xml", b"", True),
        ("", PAGE, True),
        ("", b"%PDF-1.7", False),
        ("text/plain", PAGE, True),
        ("text/plain", b"\xef\xbb\xbf \n<!-- a --> <HTML>", True),
        ("text/plain", b"An essay about <html> and <body>.", False),
        ("text/plain", b"<p>a list</p>", False),
        ("application/octet-stream", PAGE, True),
        ("application/octet-stream", b"\x00\x01<html>", False),
        ("binary/octet-stream", b"\xff\xfe" + PAGE.decode().encode("utf-16-le"), True),
        ("application/xml", b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html>", True),
        ("text/xml", b"<?xml version='1.0'?><?xml-stylesheet href='a'?><html lang='en'>", True),
        ("text/xml", b"<?xml version='1.0'?><rss><channel><description>&lt;html></description></channel></rss>", False),
        ("application/rss+xml", b"<rss version='2.0'><channel><title>html</title></channel></rss>", False),
        ("application/json", b'{"html": "<html>"}', False),
        ("application/pdf", PAGE, False),
    ],
)  # fmt: skip
def test_a_type_that_says_little_is_not_believed(type, body, expected):
    assert is_html_document(type, body) is expected


@pytest.mark.parametrize("begin", [b"<!---->" * 600, b"<!--" * 1000, b"<? " * 1300, b" " * 4000])
def test_a_beginning_without_end_is_read_once(begin):
    # One pattern over all comments would try them in every combination.
    assert not is_html_document("text/plain", begin + b"<htm")
