"""Heads and pages that are made to take the square of their length: each is read at once."""

from __future__ import annotations

import pytest

from enrich_assets.web.lenient import _END, repaired
from enrich_assets.web.refresh import sent_on

LONG = 1_000_000
PAGE = {"content-type": "text/html"}


def test_a_head_of_carriage_returns_has_no_end_and_no_lines() -> None:
    head = b"HTTP/1.1 200 OK" + b"\r" * LONG
    assert _END.search(head) is None
    assert repaired(head) == head


@pytest.mark.parametrize("instruction", ["1" * LONG, "1" + "." * LONG, "0" + " " * LONG, " " * LONG])
def test_an_instruction_without_an_address_sends_nowhere_however_long_it_is(instruction: str) -> None:
    assert sent_on("http://a.test/", {"refresh": instruction}, b"") == ""


def test_a_meta_element_of_spaces_sends_nowhere() -> None:
    assert sent_on("http://a.test/", PAGE, b"<meta http-equiv=" + b" " * LONG + b"refresh") == ""


@pytest.mark.parametrize("instruction", ["0;url=/b", " 3 , URL = '/b' ", "0 /b", "0.5; /b", ".5;url=/b", '5;url="/b"x'])
def test_instructions_are_still_read(instruction: str) -> None:
    assert sent_on("http://a.test/", {"refresh": instruction}, b"") == "http://a.test/b"
