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


GERMAN = "Krane für größere Häfen. Über die Kräne läuft später alles, sagt der Hafenmeister von Österreich." * 3
RUSSIAN = "Портовые краны будут заменены весной, сообщает управление порта и его начальник." * 3
JAPANESE = "港のクレーンは春までに新しくなると港湾局が発表した。" * 3


@pytest.mark.parametrize("declared", ["", "utf-8", "iso-8859-1", "no-such-charset"])
@pytest.mark.parametrize(
    ("text", "codec"),
    [(GERMAN, "cp1252"), (GERMAN, "utf-8"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (RUSSIAN, "cp866"),
     (RUSSIAN, "utf-8"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp"), (JAPANESE, "iso2022_jp"), (GERMAN, "utf-16-le")],
)  # fmt: skip
def test_a_missing_or_wrong_label_does_not_decide(text, codec, declared):
    assert decoded(text.encode(codec), declared) == text


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE])
@pytest.mark.parametrize("declared", ["", "utf-8", "iso-8859-1"])
def test_one_wrong_byte_costs_one_character(text, declared):
    whole = text.encode()
    at = max(at for at in range(120) if whole[at] >= 0x80 and whole[at + 1] < 0xC0 and whole[at] >= 0xC0)
    got = decoded(whole[:at] + b"\xff" + whole[at:], declared)
    assert got.replace("\ufffd", "") == text and got.count("\ufffd") == 1


@pytest.mark.parametrize("label", ["utf-16", "utf-16le", "iso-8859-1", "windows-1252"])
def test_what_is_utf_8_is_read_as_utf_8_whatever_is_declared(label):
    assert decoded(GERMAN.encode(), label) == GERMAN
    meta = f'<meta charset="{label}">'
    assert decoded(meta.encode() + GERMAN.encode()) == meta + GERMAN


@pytest.mark.parametrize(
    ("text", "label"),
    [("Café", "iso-8859-1"), ("Łódź", "iso-8859-2"), ("Dvořák", "windows-1250"), ("порт", "koi8-r"), ("東", "gbk")],
)
def test_a_right_label_of_a_short_text_is_believed(text, label):
    assert decoded(text.encode(label), label) == text


@settings(deadline=None)  # the guess imports its tables when it is first asked
@given(st.binary(max_size=300), st.text(max_size=20))
def test_no_bytes_and_no_label_break_it(body, declared):
    assert isinstance(decoded(b"<meta " + body, declared), str)
    assert isinstance(decoded(body, declared), str)
