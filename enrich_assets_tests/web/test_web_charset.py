"""The bytes of a page are read as a browser reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich_assets.web.charset import codec_of, decoded, stated_codec
from enrich_assets_tests.shared_data import shared_data


def _cases(data):
    for part in data.split(b"#data\n")[1:]:
        document, _, expected = part.partition(b"\n#encoding\n")
        yield document, expected.split(b"\n")[0].strip().decode("ascii")


def test_the_sniffing_cases_of_html5lib_are_met():
    folder = shared_data("charset", "html5lib", "encoding")
    for name, at_least in (("tests1.dat", 59), ("tests2.dat", 22), ("test-yahoo-jp.dat", 1)):
        cases = list(_cases((folder / name).read_bytes()))
        # Their default is Windows-1252; ours looks at the bytes, which is another question.
        agreed = [codec_of(label) == (stated_codec(body) or "cp1252") for body, label in cases]
        print(f"{name}: {sum(agreed)} of {len(agreed)} agree")
        assert len(agreed) == at_least and all(agreed)


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("iso-8859-1", "cp1252"),
        (" Latin1 ", "cp1252"),
        ("US-ASCII", "cp1252"),
        ("iso-8859-9", "cp1254"),
        ("gb2312", "gb18030"),
        ("Shift_JIS", "cp932"),
        ("x-sjis", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("UTF8", "utf-8"),
        ("utf-16", "utf-16-le"),
        ("koi8-r", "koi8-r"),
        ("utf-7", ""),
        ("zlib", ""),
        ("rot13", ""),
        ("cp037", ""),
        ("idna", ""),
        ("no-such", ""),
        ("", ""),
        ("utf-8\x00", ""),
        ("x" * 1000, ""),
    ],
)
def test_a_label_means_what_a_browser_reads_under_it(label, codec):
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("body", "declared", "expected"),
    [
        ("<p>Größe €</p>".encode(), "", "Größe €"),
        ("<p>Größe €</p>".encode("cp1252"), "iso-8859-1", "Größe €"),
        (b'<meta charset="iso-8859-2">' + "Dvořák".encode("iso-8859-2"), "", "Dvořák"),
        (b'<meta charset="iso-8859-2">' + "Größe".encode(), "utf-8", "Größe"),
        (b"\xef\xbb\xbf" + "Größe".encode(), "iso-8859-1", "Größe"),
        (b"\xff\xfe" + "Größe".encode("utf-16-le"), "", "Größe"),
        ("<?xml version='1.0' encoding='windows-1251'?><p>Привет</p>".encode("cp1251"), "", "Привет"),
        (b'<!-- <meta charset="koi8-r"> --><meta charset=utf-8>' + "Größe".encode(), "", "Größe"),
        (b'<meta charset="utf-16">' + "Größe".encode(), "", "Größe"),
        (b'<meta charset="iso-8859-2">' + "Größe".encode() + b"\xff", "utf-8", "Größe\ufffd"),
        ("日本語のページ".encode("euc-jp"), "euc-jp", "日本語のページ"),
    ],
)
def test_the_text_is_read_in_what_is_stated(body, declared, expected):
    assert expected in decoded(body, declared)


@settings(deadline=None)  # the guess imports its tables when it is first asked
@given(st.binary(max_size=300), st.text(max_size=20))
def test_no_bytes_and_no_label_break_it(body, declared):
    assert isinstance(decoded(b"<meta " + body, declared), str)
    assert isinstance(decoded(body, declared), str)
