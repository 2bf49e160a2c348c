"""Runs that lose pages, or keep nothing: the phase, the last lines, the findings and the exit code say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Response

from enrich_assets_tests.cli.small_runs import TEXTS, article, feed_of, settings_file

QUICK = {"first_delay_seconds": 0, "attempts": 2, "compare_with": 0}


def page(number: int) -> str:
    """An article as a page."""
    paragraphs = "".join(f"<p>{sentence}</p>" for sentence in TEXTS[number] * 3)
    return f"<html><head><title>Port {number}</title></head><body><article>{paragraphs}</article></body></html>"


def serve_pages(server: HTTPServer, *, status: dict[int, int]) -> None:
    """Serves the three articles' pages, some with an error instead; `status` may change while it serves."""

    def answer(number: int) -> Callable[[Any], Response]:
        return lambda _: Response(page(number), status=status.get(number, 200), mimetype="text/html")

    for number in TEXTS:
        server.expect_request(f"/article/{number}").respond_with_handler(answer(number))


def test_a_phase_fails_when_most_pages_failed_and_resume_takes_them_all(
    empty_place: Any, call: Callable[..., Any], tmp_path: Path
) -> None:
    status = {1: 503, 2: 503}
    with feed_of([article(n, content_text="") for n in TEXTS]) as server:
        serve_pages(server, status=status)
        settings = str(settings_file(tmp_path, server, **QUICK))
        failed = empty_place.enrich("run", "--settings", settings)
        assert failed.returncode == 1
        assert "2 of 3 pages failed (2 × http_503); the first: " in failed.stderr
        assert "max_failed_pages is the share that may fail" in failed.stderr
        again = empty_place.enrich("resume")
        assert again.returncode == 1, again.stdout + again.stderr
        status.clear()
        done = empty_place.enrich("resume")
        assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(call(empty_place, "show", "latest", "--json").stdout)
    scraped = next(phase for phase in shown["phases"] if phase["phase"] == "scraped")
    assert (scraped["counts"]["rows_out"], scraped["counts"]["failed"]) == (3, 0)
    assert shown["state"] == "complete"


def test_fewer_failed_pages_are_a_finding_and_wait_for_resume(
    empty_place: Any, call: Callable[..., Any], tmp_path: Path
) -> None:
    status = {1: 503}
    with feed_of([article(n, content_text="") for n in TEXTS]) as server:
        serve_pages(server, status=status)
        done = empty_place.enrich("run", "--settings", str(settings_file(tmp_path, server, **QUICK)))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "(scraped is waiting: " in done.stdout
        found = json.loads(call(empty_place, "show", "latest", "--findings", "--json").stdout)
        (lost,) = [finding for finding in found if finding["kind"] == "pages_failed"]
        assert lost["sentence"] == "1 of 3 pages, 33 %, could not be read." and lost["severity"] == "warning"
        status.clear()
        assert empty_place.enrich("resume").returncode == 0
    shown = json.loads(call(empty_place, "show", "latest", "scraped", "--json").stdout)
    assert shown["counts"]["rows_out"] == 3


def test_a_run_that_keeps_nothing_says_so_at_its_end_and_in_its_findings(
    empty_place: Any, call: Callable[..., Any], tmp_path: Path
) -> None:
    nothing = [{"id": "fire", "name": "Fire", "description": "Fires.", "keywords": ["volcano"]}]
    with feed_of([article(n) for n in TEXTS]) as server:
        settings = settings_file(tmp_path, server, categories=nothing, **QUICK)
        done = empty_place.enrich("run", "--settings", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    end = done.stdout[done.stdout.index("10 report") :]
    assert "! tier1: nothing is left: all 3 rows were left out (" in end
    assert "! tier1: the check " in end
    found = json.loads(call(empty_place, "show", "latest", "--findings", "--json").stdout)
    assert [(finding["kind"], finding["phase"], finding["rows_total"]) for finding in found] == [
        ("nothing_left", "tier1", 3)
    ]
