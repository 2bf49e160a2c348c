"""Bad requests: a clear message, exit code 2, and no run begun."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

BAD_REQUESTS = {
    "unknown preset": (["run", "--preset", "dmo"], ["there is no preset 'dmo'", "Did you mean 'demo'?"]),
    "unknown key": (
        ["run", "--preset", "demo", "--set", "tier3.treshold=4"],
        ["where: --set", "tier3.treshold: unknown key", "'threshold'"],
    ),
    "wrong type": (["run", "--preset", "demo", "--set", "tier3.threshold=high"], ["tier3.threshold:", "'high'"]),
    "no source": (
        ["run", "--preset", "demo", "--set", "sources=[]"],
        ["where: --set", "at least one source"],
    ),
    "no list": (["run", "--preset", "demo", "--set", "sources=feed"], ["where: --set", "sources: should be a list"]),
    "a language that nobody speaks": (
        ["run", "--preset", "demo", "--set", "language=Klingon"],
        ["where: --set", "language:"],
    ),
    "a phase's language": (
        ["run", "--preset", "demo", "--set", "tier1.language=e"],
        ["where: --set", "tier1.language:"],
    ),
    "not key=value": (["run", "--preset", "demo", "--set", "tier3"], ["--set 'tier3' is not key=value"]),
    "credentials in a URL": (
        ["run", "--preset", "demo", "--set", "search.url=https://me:hunter2@search.example/"],
        ["a URL with credentials"],
    ),
    "a secret": (["run", "--preset", "demo", "--set", "search.api_key=abcdefgh12345678"], ["looks like a secret"]),
    "a model without its key": (["run", "--preset", "demo", "--set", "model=openai/gpt-4o"], ["OPENAI_API_KEY"]),
    "an unknown model": (["run", "--preset", "demo", "--set", "model=extractiv"], ["extractiv"]),
    "a missing file": (["run", "--settings", "nowhere.yaml"], ["there is no such file", "nowhere.yaml"]),
    "two beginnings": (["run", "--preset", "demo", "--like", "latest"], ["--preset and --like exclude each other"]),
    "like an unknown run": (["run", "--like", "nope"], ["no run has the ID or title 'nope'"]),
    "a title that means the newest run": (
        ["run", "--preset", "demo", "--title", "latest"],
        ["title: latest stands for another run"],
    ),
    "a title in --set that means the newest run": (
        ["run", "--preset", "demo", "--set", "title=' latest '"],
        ["title: latest stands for another run"],
    ),
    "a title like a run ID": (
        ["run", "--like", "latest", "--title", "20260131_093000-2"],
        ["20260131_093000-2 stands for another run"],
    ),
    "a title of two lines": (["run", "--preset", "demo", "--title", "one\ntwo"], ["control characters or more than"]),
    "a title with an escape": (["run", "--preset", "demo", "--title", "\x1b[31mred"], ["control characters"]),
    "a title that turns the line around": (["run", "--preset", "demo", "--title", "a\u202eb"], ["control characters"]),
    "a title in --set with a line break": (
        ["run", "--preset", "demo", "--set", 'title="one\\ntwo"'],
        ["control characters or more than one line"],
    ),
    "an endless title": (["run", "--preset", "demo", "--title", "a" * 301], ["301 characters"]),
    "an unknown run": (["run", "nope", "--from", "tier1"], ["no run has the ID or title 'nope'", "enrich runs"]),
    "an invalid run ID": (["resume", "../../etc/passwd"], ["no run has the ID or title"]),
    "an unknown run to resume": (["resume", "nope"], ["'nope'"]),
    "an unknown phase": (["run", "latest", "--from", "tier9"], ["'tier9' is no phase", "Did you mean tier"]),
    "an unknown number": (["run", "latest", "--only", "11"], ["'11' is no phase", "10 report"]),
    "from and only": (["run", "latest", "--from", "1", "--only", "2"], ["--from and --only exclude each other"]),
    "a run alone": (["run", "latest"], ["does not say what to execute", "enrich resume latest"]),
    "a phase without a run": (["run", "--from", "tier1"], ["need a RUN"]),
    "new settings for an old run": (
        ["run", "latest", "--from", "tier3", "--set", "tier3.threshold=4"],
        ["settings of a run never change", "--like latest"],
    ),
    "run and latest": (["resume", "latest", "--latest"], ["exclude each other"]),
    "show an unknown phase": (["show", "latest", "tier9"], ["'tier9' is no phase"]),
    "watch an unknown run": (["watch", "nope"], ["'nope'"]),
    "check an unknown run": (["check", "nope"], ["'nope'"]),
    "an unknown preset to print": (["presets", "ai_new"], ["Did you mean 'ai_news'?"]),
    "an unknown command": (["rns"], ["No such command"]),
    "a limit of nothing": (["runs", "--limit", "0"], ["--limit"]),
}


@pytest.fixture(scope="module")
def before(demo_place: Any) -> tuple[list[str], set[str]]:
    return demo_place.run_ids(), demo_place.partitions()


@pytest.mark.parametrize("request_name", BAD_REQUESTS)
def test_a_bad_request_says_what_is_wrong_and_begins_nothing(
    request_name: str, demo_place: Any, call: Any, before: tuple[list[str], set[str]]
) -> None:
    arguments, expected = BAD_REQUESTS[request_name]
    done = call(demo_place, *arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    for words in expected:
        assert words in done.stderr
    assert "hunter2" not in done.output
    assert (demo_place.run_ids(), demo_place.partitions()) == before


@pytest.mark.parametrize("title", ["latest", "20260131_093000", '"two\\nlines"'])
def test_a_title_in_a_settings_file_is_held_to_the_same(demo_place: Any, call: Any, tmp_path: Path, title: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"title: {title}\n", encoding="utf-8")
    before = demo_place.run_ids()
    done = call(demo_place, "run", "--settings", "mine.yaml", "--prepare")
    assert done.exit_code == 2
    assert "mine.yaml" in done.stderr
    assert "title:" in done.stderr
    assert demo_place.run_ids() == before


@pytest.mark.parametrize("override", [[], ["--set", "tier3.threshold=4"]], ids=["alone", "with --set"])
@pytest.mark.parametrize("text", ["tier3: {treshold: 4}", "title: a"], ids=["unknown key", "no source"])
def test_what_a_settings_file_has_wrong_is_not_blamed_on_set(
    empty_place: Any, call: Any, tmp_path: Path, text: str, override: list[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    done = call(empty_place, "run", "--settings", "mine.yaml", *override, "--prepare")
    assert done.exit_code == 2
    assert "mine.yaml" in done.stderr
    assert "--set" not in done.stderr


def test_a_settings_file_with_a_syntax_error_is_named_with_its_line(
    empty_place: Any, call: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("title: a\ncategories: [\n", encoding="utf-8")
    done = call(empty_place, "run", "--settings", "mine.yaml")
    assert done.exit_code == 2
    assert "mine.yaml" in done.stderr
    assert "line 3" in done.stderr
    assert not empty_place.storage.exists()


def test_a_storage_that_cannot_be_written_is_found_before_anything_begins(
    empty_place: Any, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(empty_place.home))
    monkeypatch.setenv("ENRICH_STORAGE", str(tmp_path / "file" / "data"))
    done = call(None, "run", "--preset", "demo")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert "fix:" in done.stderr
    assert empty_place.partitions() == set()


def test_a_full_disk_is_found_before_anything_begins(
    empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    done = call(empty_place, "run", "--preset", "demo")
    assert done.exit_code == 2
    assert "1 MB are free" in done.stderr
    assert not (empty_place.storage / "ledger.db").exists()
    assert empty_place.partitions() == set()


def test_remote_storage_needs_a_ledger(empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(empty_place.home))
    monkeypatch.setenv("ENRICH_STORAGE", "s3://key:secret@bucket/prefix")
    for arguments in (["run", "--preset", "demo"], ["runs"]):
        done = call(None, *arguments)
        assert done.exit_code == 2
        assert "ENRICH_LEDGER_URL" in done.stderr
        assert "secret" not in done.stderr


def test_a_dagster_home_that_cannot_be_used_is_refused_with_what_to_write(
    empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENRICH_STORAGE", str(empty_place.storage))
    (tmp_path / "file").touch()
    (tmp_path / "a?b").mkdir()
    (tmp_path / "a%41b").mkdir()
    for named, what, fix in (
        (tmp_path / "no where", "there is none", f"mkdir -p '{tmp_path / 'no where'}'"),
        (tmp_path / "file", "that is no folder", "unset it"),
        ("./relative", "wherever a command is called", f"export DAGSTER_HOME={tmp_path / 'relative'}"),
        (tmp_path / "a?b", "it takes '?' in the name", "Name another folder"),
        (tmp_path / "a%41b", "it takes '%41' in the name", "Name another folder"),
        ("~nobody-of-that-name", "there is no home of", "whole path"),
    ):
        monkeypatch.setenv("DAGSTER_HOME", str(named))
        for arguments in (["demo"], ["runs"], ["ui"]):
            done = call(None, *arguments)
            assert done.exit_code == 2
            assert what in done.stderr.replace("\n", " ") and fix in done.stderr, done.stderr
    assert not empty_place.storage.exists()
    assert not list((tmp_path / "a?b").iterdir()) and not (tmp_path / "a").exists()


def test_a_dagster_home_may_have_a_tilde_spaces_and_signs(
    empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENRICH_STORAGE", str(empty_place.storage))
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("~/My homes (ü)", str(tmp_path / "a#b & c")):
        home = Path(named.replace("~", str(tmp_path)))
        home.mkdir()
        monkeypatch.setenv("DAGSTER_HOME", named)
        done = call(None, "run", "--preset", "demo", "--prepare")
        assert done.exit_code == 0, done.stderr
        assert (home / "history" / "runs.db").is_file()


def test_databases_that_dagster_would_put_elsewhere_are_refused(empty_place: Any, call: Any) -> None:
    text = "storage:\n  sqlite:\n    base_dir: ${NAME:?}/st\n"
    (empty_place.home / "dagster.yaml").write_text(text, encoding="utf-8")
    done = call(empty_place, "run", "--preset", "demo", "--prepare")
    assert done.exit_code == 2
    assert "it takes '?' in the name" in done.stderr and "base_dir in its dagster.yaml" in done.stderr
    assert [path.name for path in empty_place.home.iterdir()] == ["dagster.yaml"]


def test_a_broken_dagster_yaml_is_named(empty_place: Any, call: Any) -> None:
    (empty_place.home / "dagster.yaml").write_text("storage: [nonsense\n", encoding="utf-8")
    done = call(empty_place, "run", "--preset", "demo")
    assert done.exit_code == 2
    assert "the Dagster instance cannot be opened" in done.stderr
    assert empty_place.run_ids() == []


def test_a_port_that_is_taken_is_refused_when_it_was_named(empty_place: Any, call: Any) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = call(empty_place, "ui", "--port", str(other.getsockname()[1]))
    assert done.exit_code == 2
    assert "is taken" in done.stderr


def test_an_unexpected_error_is_short_and_shows_where_only_on_request(
    empty_place: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from enrich_assets.graphs import presets

    def broken(_graph: str) -> list[str]:
        raise RuntimeError("a defect\x1b[31m")

    monkeypatch.setattr(presets, "preset_names", broken)
    done = call(empty_place, "presets")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == "Error: RuntimeError: a defect [31m"
    monkeypatch.setenv("ENRICH_DEBUG", "1")
    assert isinstance(call(empty_place, "presets").exception, RuntimeError)
