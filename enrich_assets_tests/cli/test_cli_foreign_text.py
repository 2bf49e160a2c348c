"""Titles, addresses and reasons that others wrote reach the terminal as text: no markup, no escape, no other line."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets_tests.cli.conftest import CommandPlace, made_place
from enrich_assets_tests.cli.small_runs import article, feed_of, settings_file

TITLE = "Ports [/] and [bold]cranes[/bold] :car: [link=http://evil.example]x[/link]"
HEADLINE = "Crane [/] \x1b[31mred\x1b[0m \x1b]0;owned\x07 two\nlines \u202e\u2066back\u2069 [bold]port[/bold] \x9b2J"
"""Markup, colours, a window's title, another line, letters that run backwards, a one-byte escape."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandPlace:
    """A place with two runs: of a title of markup with articles of hostile headlines, and of a source that fails."""
    folder = tmp_path_factory.mktemp("foreign")
    made = made_place(folder)
    odd = [article(n, title=f"{HEADLINE} {n}", url=f"/[bold]{n}[/]?q=[/]") for n in (1, 2)]
    refused = article(3, title=HEADLINE, url="/[/]/gone", content_text="")
    with feed_of([*odd, refused]) as server:
        source = {"id": "harbour", "name": "[/] News [red]", "url": server.url_for("/feed.json")}
        settings = settings_file(folder, server, title=TITLE, sources=[source])
        done = made.enrich("run", "--settings", str(settings))
        check_shown(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr
        broken = {**source, "url": server.url_for("/nowhere/[bold][/]")}
        settings = settings_file(folder, server, title=f"{TITLE} fails", sources=[broken])
        done = made.enrich("run", "--settings", str(settings))
        check_shown(done.stdout + done.stderr)
        assert done.returncode == 1
    return made


def check_shown(text: str) -> None:
    """No control character but the end of a line, and nothing that turns letters around."""
    odd = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf") and letter != "\n"}
    assert not odd, (odd, text)


def test_every_command_shows_foreign_text_as_text(place: Any, call: Callable[..., Any], tmp_path: Path) -> None:
    failed, run_id = place.run_ids()
    phases = GRAPHS["intelligence"].names
    for arguments in (
        ["runs"], ["show", run_id], ["show", failed], ["show", failed, "--findings"], ["show", run_id, "--findings"],
        *(["show", run_id, phase] for phase in phases), *(["show", run_id, phase, "--rows"] for phase in phases[1:]),
        ["show", failed, "scraped", "--rows"], ["compare", run_id, failed], ["watch", run_id, "--once"],
        ["watch", failed, "--once"], ["pause", run_id], ["budget", run_id], ["check"], ["check", run_id, "--numbers"],
        ["keep"], ["report", run_id], ["report", failed], ["estimate", run_id], ["estimate", failed],
        ["estimate", "--like", run_id], ["resume", run_id], ["presets"],
        ["sources", "list", "--settings", str(Path(place.home).parent / "settings.yaml")],
        ["show", f"nobody {TITLE}"], ["forget", "[/][bold]", "--yes"], ["show", run_id, "[/]"],
        ["run", "--preset", "[/]\x1b[31m"], ["run", "--set", "[/]=[bold]\x1b[31m"], ["report", run_id, "--type", "[/]"],
    ):  # fmt: skip
        done = call(place, *arguments)
        assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), arguments
        assert "MarkupError" not in done.output, (arguments, done.output)
        check_shown(done.stdout + done.stderr)


def test_markup_in_a_title_and_a_headline_is_shown_and_not_obeyed(place: Any, call: Callable[..., Any]) -> None:
    run_id = place.run_ids()[1]

    def shown(*arguments: str) -> str:
        return " ".join(call(place, *arguments).stdout.split())

    assert call(place, "show", TITLE).exit_code == 0
    assert TITLE in shown("show", run_id)
    assert "[/] and" in shown("runs")
    assert "Crane [/] " in shown("show", run_id, "scraped")
    assert ":car:" in shown("show", run_id)
