"""Settings files and --set values that are no settings: refused at once, with the place and the reason."""

from __future__ import annotations

import datetime
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import SettingsError
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.graphs.presets import LARGEST_FILE_BYTES, load_settings_file, with_overrides

NESTED = "{a: " * 60 + "1" + "}" * 60
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
REFUSED = {
    "an alias bomb": (BOMB, ["line 6", "more than 100,000 values"]),
    "many values": ("sources:\n" + "- {}\n" * 100_001, ["line 99999", "more than 100,000 values"]),
    "an alias of itself": ("tier1:\n  a: &a [1, *a]\n", ["line 2", "*a is a part of itself"]),
    "deep brackets": ("a: " + NESTED, ["line 1", "nested deeper than 50"]),
    "very deep brackets": ("a: " + "[" * 50_000, ["nested deeper than 50"]),
    "very deep blocks": ("- " * 50_000, ["nested deeper than 50"]),
    "a key twice": ("title: one\ntier1:\n  keep: 3\n  keep: 4\n", ["line 4", "'keep' stands twice"]),
    "a key twice at the top": ("title: one\ntitle: two\n", ["line 2", "'title' stands twice"]),
    "a NUL": ("title: \0", ["unacceptable character"]),
    "a number without end": ("sample: " + "9" * 5000, ["a number has thousands of digits"]),
    "a date that is none": ("as_of: 2026-02-30", ["day is out of range"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_yaml_that_would_blow_up_or_hide_something_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    text, expected = REFUSED[name]
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings_file(path)
    assert caught.value.where == str(path)
    for words in expected:
        assert words in caught.value.what
    assert not caught.value.what.endswith("..")


def test_aliases_merge_keys_and_dates_are_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("x: &x {keep: 3, least: 1}\ny: {<<: *x, keep: 4}\nas_of: 2026-01-31\nz: no\n", encoding="utf-8")
    assert load_settings_file(path) == {
        "x": {"keep": 3, "least": 1},
        "y": {"keep": 4, "least": 1},
        "as_of": datetime.date(2026, 1, 31),
        "z": False,
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices with names")
def test_a_pipe_a_device_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    caught: list[Any] = []

    def load(path: Path) -> None:
        try:
            load_settings_file(path)
        except SettingsError as error:
            caught.append(error)

    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path):
        loading = threading.Thread(target=load, args=(path,), daemon=True)
        loading.start()
        loading.join(5)
        assert not loading.is_alive(), path
        assert "no file but a folder, pipe or device" in str(caught[-1])
        assert caught[-1].where == str(path)


def test_a_large_file_and_one_that_is_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than 2 MB"):
        load_settings_file(path)
    path.write_bytes(b"title: \xff")
    with pytest.raises(SettingsError, match="not UTF-8: byte 8"):
        load_settings_file(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[" * 3000, "nested deeper than 50"),
        (NESTED, "nested deeper than 50"),
        ("&a [*a]", "a part of itself"),
        ("{keep: 1, keep: 2}", "stands twice"),
        (f"[{'x,' * 100_001}]", "more than 100,000 values"),
    ],
)
def test_a_value_on_the_command_line_has_the_same_bounds(value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        with_overrides({}, [f"tier1={value}"])
    assert len(caught.value.what) < 400


def test_a_key_of_a_thousand_parts_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not key=value"):
        with_overrides({}, [f"{'.'.join('a' * 1000)}=1"])


SETTINGS = """title: {title}
language: {language}
sources:
  - {{id: {id}, name: N, url: "http://127.0.0.1:9/feed.xml"}}
categories:
  - {{id: ports, name: Ports, description: Ports., keywords: {keywords}}}
"""


@pytest.mark.parametrize(("key", "text", "line", "read_as"), [
    ("language", "no", 2, "false"),
    ("language", "NO", 2, "false"),
    ("title", "2026-11-30", 1, "a date"),
    ("id", "007", 4, "a number"),
    ("keywords", "[port, on]", 6, "true"),
])  # fmt: skip
def test_what_yaml_makes_of_a_text_without_quotes_is_told_with_its_line(
    key: str, text: str, line: int, read_as: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    values = {"title": "T", "language": "en", "id": "a", "keywords": "[port]"} | {key: text}
    path.write_text(SETTINGS.format(**values), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        INTELLIGENCE.resolve(load_settings_file(path), where=str(path))
    said = text.strip("[]").split(", ")[-1]
    assert f"line {line} says {said}, which YAML reads as {read_as}: put it in quotes, '{said}'" in caught.value.what
    path.write_text(SETTINGS.format(**values | {key: text.replace(said, f"'{said}'")}), encoding="utf-8")
    INTELLIGENCE.resolve(load_settings_file(path), where=str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_windows_are_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("title: Häfen\r\nlanguage: de\r\n".encode(encoding))
    assert load_settings_file(path) == {"title": "Häfen", "language": "de"}


def test_a_tab_is_named_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sources:\n\t- {id: a}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 2: begins with a tab"):
        load_settings_file(path)


def test_declared_languages_are_normalised_in_settings() -> None:
    for written, code in {"pt-BR": "pt", "zh-Hans": "zh", "NO": "no", "nb": "nb", "iw": "he"}.items():
        assert INTELLIGENCE.resolve({"language": written}, where="settings")["language"] == code
