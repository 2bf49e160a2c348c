"""Who is answered, to what, and with which headers."""

from __future__ import annotations

import httpx
import pytest

from enrich_assets_tests.service.viewer_kit import Served


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:3100", "[::1]", "[::1]:80"])
def test_the_names_of_this_machine_are_answered(stored: Served, host: str) -> None:
    stored.get("/runs", headers={"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3100",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[::2]",
        "",
        "127.0.0.1:x",
    ],
)
def test_a_name_that_was_led_here_from_elsewhere_is_refused(stored: Served, host: str) -> None:
    for path in ("/runs", "/static/viewer.css"):
        assert "127.0.0.1 and localhost alone" in stored.get(path, 400, headers={"host": host}).text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_answered(stored: Served, method: str) -> None:
    answer = httpx.request(method, f"{stored.url}/runs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_and_no_body(stored: Served) -> None:
    answer = httpx.head(f"{stored.url}/runs")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path", ["/runs", "/compare", "/runs/Stored/reports/report.html", "/static/viewer.js", "/nothing"]
)
def test_every_answer_has_the_strict_headers(stored: Served, path: str) -> None:
    headers = httpx.get(f"{stored.url}{path}").headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_own_pages_allow_no_script_of_their_own(stored: Served) -> None:
    policy = stored.get("/runs").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http:" not in policy
