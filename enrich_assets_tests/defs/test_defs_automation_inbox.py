"""The inbox: a settings file that is dropped becomes one run, however often the sensor looks or forgets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets_tests.defs.conftest import Room

GOOD = (
    "title: {title}\nsources: [{{id: a, name: A, url: 'https://a.example/feed.xml'}}]\n"
    "categories: [{{id: c, name: C, description: D, keywords: [k]}}]\n"
)


class Inbox:
    """The folder, and the sensor with the cursor that it left."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.folder = room.home / "data" / "inbox"
        self.folder.mkdir(parents=True)
        self.cursor: str | None = None
        self.defs = build_definitions()
        (self.sensor,) = [s for s in self.defs.sensors or () if s.name == "intelligence_inbox"]

    def drop(self, name: str, text: str = GOOD.format(title="Dropped")) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def tick(self) -> Any:
        assert isinstance(self.sensor, dg.SensorDefinition)
        with dg.build_sensor_context(
            instance=self.room.instance,
            instance_ref=self.room.instance.get_ref(),
            cursor=self.cursor,
            definitions=self.defs,
            resources=self.defs.resources,
        ) as context:
            result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor or self.cursor
        return result

    def keys(self) -> list[str]:
        return [str(request.run_key) for request in self.tick().run_requests]

    def runs(self) -> dict[str, str]:
        with self.room.ledger() as ledger:
            return {run["run_id"]: run["title"] for run in ledger.runs()}

    def files(self, folder: str = "") -> list[str]:
        place = self.folder / folder
        return sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []


@pytest.fixture
def inbox(room: Room) -> Inbox:
    return Inbox(room)


def test_a_file_becomes_one_run_at_its_second_look_and_is_put_away_at_the_third(inbox: Inbox) -> None:
    inbox.drop("weekly.yaml")
    seen, begun, after = inbox.tick(), inbox.keys(), inbox.keys()

    assert seen.run_requests == [] and "weekly.yaml is seen" in seen.skip_message
    assert list(inbox.runs().items()) == [(begun[0], "Dropped")] and len(begun) == 1
    assert after == [] and inbox.keys() == []
    assert (inbox.files(), inbox.files("done")) == ([], [f"{begun[0]}-weekly.yaml"])
    assert inbox.room.instance.has_dynamic_partition("intelligence_runs", begun[0])


def test_a_file_that_still_grows_waits(inbox: Inbox) -> None:
    path = inbox.drop("slow.yaml", "title: Slow\n")
    inbox.tick()
    with path.open("a", encoding="utf-8") as file:
        file.write("sources: [{id: a, name: A, url: 'https://a.example/feed.xml'}]\n")
    growing = inbox.keys()
    os.utime(path, (1, 1))  # the same size, another time
    touched = inbox.keys()
    inbox.drop("empty.yaml", "")
    with path.open("a", encoding="utf-8") as file:
        file.write("categories: [{id: c, name: C, description: D, keywords: [k]}]\n")
    whole, begun = inbox.keys(), inbox.keys()

    assert growing == touched == whole == []
    assert list(inbox.runs().values()) == ["Slow"] and len(begun) == 1
    assert "empty.yaml" in inbox.files() and inbox.files("refused") == []


def test_a_tick_whose_cursor_is_lost_asks_for_the_same_run_again(inbox: Inbox) -> None:
    inbox.drop("weekly.yaml")
    inbox.tick()
    kept = inbox.cursor
    first = inbox.keys()
    inbox.cursor = kept
    again = inbox.keys()
    inbox.cursor = None
    inbox.tick()
    forgotten = inbox.keys()

    assert first == again == forgotten
    assert list(inbox.runs()) == first


def test_a_file_that_is_dropped_again_is_another_run(inbox: Inbox) -> None:
    inbox.drop("weekly.yaml")
    inbox.tick()
    (first,) = inbox.keys()
    inbox.tick()
    (inbox.folder / "done" / f"{first}-weekly.yaml").rename(inbox.folder / "weekly.yaml")
    inbox.tick()
    (second,) = inbox.keys()

    assert first != second and len(inbox.runs()) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: [", "bad.yaml: line "),
        ("titel: x\n", "titel: unknown key; did you mean 'title'"),
        ("just words", "holds a str, not keys with values"),
        ("title: Nothing else\n", "docs/settings.md lists every setting"),
        ("title: x\nmodels: {m: {model: openai/x, api_key: sk-0123456789abcdefghij}}\n", "looks like a secret"),
    ],
)
def test_a_bad_file_is_put_aside_with_its_error_beside_it(inbox: Inbox, text: str, words: str) -> None:
    inbox.drop("bad.yaml", text)
    inbox.drop("good.yaml")
    inbox.tick()
    begun = inbox.keys()
    moved, problem = inbox.files("refused")
    told = (inbox.folder / "refused" / problem).read_text(encoding="utf-8")

    assert len(begun) == 1 and list(inbox.runs().values()) == ["Dropped"]
    assert moved.endswith("-bad.yaml") and problem == f"{moved}.error.txt"
    assert words in told and told.count("\n") == 1
    assert "sk-0123" not in told and str(inbox.folder) not in told
    assert (inbox.folder / "refused" / moved).read_text(encoding="utf-8") == text
    assert inbox.keys() == [] and inbox.files() == []


def test_names_of_all_kinds_do_no_harm(inbox: Inbox, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.yaml"
    secret.write_text(GOOD.format(title="Elsewhere"), encoding="utf-8")
    (inbox.folder / "link.yaml").symlink_to(secret)
    (inbox.folder / "folder.yaml").mkdir()
    for name in (".hidden.yaml", "half.yaml.part", "notes.txt"):
        inbox.drop(name)
    os.mkfifo(inbox.folder / "pipe.yaml")
    inbox.drop("ünï ‮ ' \" $(touch x) <b>.yaml")
    inbox.drop("x" * 240 + ".yaml")
    Path(os.fsdecode(os.fsencode(inbox.folder) + b"/\xff\xfe.yaml")).write_text(GOOD.format(title="Bytes"))
    inbox.tick()
    begun = inbox.keys()
    inbox.tick()
    inbox.drop("empty.yaml", "")
    told = inbox.tick().skip_message
    (inbox.folder / "empty.yaml").unlink()

    assert "folder.yaml is a folder, and stays where it is" in told
    assert "pipe.yaml is no file, and stays where it is" in told
    assert "empty.yaml is empty, and never begun as it is" in told
    assert len(begun) == 3 and sorted(inbox.runs().values()) == ["Bytes", "Dropped", "Dropped"]
    assert inbox.files() == [".hidden.yaml", "half.yaml.part", "notes.txt"]
    assert len(inbox.files("done")) == 3 and secret.is_file()
    assert any(name.endswith("link.yaml.error.txt") for name in inbox.files("refused"))


def test_many_files_are_begun_over_several_ticks(inbox: Inbox) -> None:
    for number in range(12):
        inbox.drop(f"{number:02}.yaml")
    inbox.tick()
    first, second = inbox.keys(), inbox.keys()

    assert (len(first), len(second)) == (10, 2)
    assert len(inbox.runs()) == len({*first, *second}) == 12


def test_without_a_folder_it_says_what_to_do(room: Room, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_INBOX", str(room.home / "nowhere"))

    assert "There is no folder" in inbox.tick().skip_message
    assert not (room.home / "nowhere").exists()


def test_the_default_folder_is_made_by_the_first_look(
    room: Room, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENRICH_INBOX", raising=False)
    monkeypatch.setenv("ENRICH_STORAGE", str(room.home / "new" / "data"))

    assert "There is no new settings file" in inbox.tick().skip_message
    assert (room.home / "new" / "data" / "inbox").is_dir()
