"""The inbox: a folder in which each settings file that is dropped becomes one run.

A file is begun when nothing about it changed from one tick to the next. Begun ones are moved to `done`, with their run
ID before the name, once Dagster has recorded the launch; bad ones to `refused`, with what is wrong beside them.
https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from enrich_assets.core.errors import SettingsError, UserError
from enrich_assets.core.files import is_local, local_path
from enrich_assets.core.named_paths import spelled_out
from enrich_assets.core.run_id import run_id_at
from enrich_assets.defs.registered import settings_tag
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.defs.runs import Origin, begin_run
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.series import series_of_file
from enrich_assets.graphs.presets import load_settings_file
from enrich_assets.store.store import Store

INBOX = "ENRICH_INBOX"
"""Environment variable: the inbox; by default the folder `inbox` in a local storage."""
_SUFFIXES = (".yaml", ".yml", ".json")
_MOST_A_TICK = 10
"""Runs begun in one tick: a code server has a minute for it."""
_LONGEST_NAME = 150
"""Bytes of a file's name that are kept behind its run ID; file systems take 255."""


def inbox_sensor(graph: Graph, name: str, graph_job: Any, *, seconds: int = 10) -> dg.SensorDefinition:
    """Makes a run of each settings file in the inbox; looks every `seconds`."""

    @dg.sensor(
        name=name,
        job=graph_job,
        minimum_interval_seconds=seconds,
        required_resource_keys={STORE, LEDGER},
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Makes a run of each settings file (YAML) that is dropped into the folder that {INBOX} names "
        "(default: inbox, in the storage folder). Bad files are moved to refused, with the error beside them.",
    )
    def inbox(context, **_):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        folder = inbox_folder(graph, getattr(context.resources, STORE).open())
        if problem := _problem_with(folder):
            return dg.SkipReason(problem)
        look = _Look(context, graph, folder)
        return look.result()

    return inbox


def inbox_folder(graph: Graph, store: Store) -> Path:
    """The folder in which settings files are dropped; raises UserError where none is named and storage is remote."""
    named = os.environ.get(INBOX, "").strip()
    if not named and not is_local(store.root):
        raise UserError(
            f"storage is remote ({store.root}), and {INBOX} is not set.",
            fix=f"Set {INBOX} to a local folder, in which settings files are dropped.",
        )
    folder = spelled_out(named, INBOX) if named else local_path(store.root) / "inbox"
    return folder / graph.name if graph.prefixed else folder


def _problem_with(folder: Path) -> str:
    """Why nothing can be dropped there; '' where that can be. The default inbox is made, since whoever turns the sensor
    on in the UI may have no terminal; one that is named is not, since a slip in its name would be hidden."""
    if folder.is_dir():
        return ""
    if os.environ.get(INBOX, "").strip():
        return f"There is no folder {folder}. Make it, or name another in {INBOX}."
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        return f"The folder {folder} cannot be made: {error.strerror}. Make it, or name another in {INBOX}."
    return ""


@dataclass(frozen=True)
class _File:
    """A file as it stood: its `mark` changes with every change, and when it is dropped again."""

    path: Path
    size: int
    changed_ns: int
    mark: str

    @property
    def shown(self) -> str:
        """The file's name, for people: a name may hold bytes that are no text."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @property
    def moment(self) -> datetime:
        """When it was last changed or moved here, UTC."""
        return datetime.fromtimestamp(self.changed_ns // 10**9, UTC)


@dataclass
class _Seen:
    """What a tick tells the next one, by file name: marks of files, and of begun ones their run ID."""

    waiting: dict[str, str] = field(default_factory=dict)
    begun: dict[str, list[str]] = field(default_factory=dict)


class _Look:
    """One look into the inbox."""

    def __init__(self, context: Any, graph: Graph, folder: Path) -> None:
        self._context = context
        self._graph = graph
        self._folder = folder
        self._before = _Seen(**json.loads(context.cursor)) if context.cursor else _Seen()
        self._now = _Seen()
        self._requests: list[dg.RunRequest] = []
        self._told: list[str] = []

    def result(self) -> dg.SensorResult:
        """What the tick asks of Dagster."""
        files, others = _files(self._folder)
        ready = [file for file in files if self._is_ready(file)]
        for file in ready[_MOST_A_TICK:]:
            self._now.waiting[file.path.name] = file.mark
        if ready:
            with opened(self._context.resources) as (store, ledger):
                for file in ready[:_MOST_A_TICK]:
                    self._begin(file, store, ledger)
        cursor = json.dumps({"waiting": self._now.waiting, "begun": self._now.begun})
        if self._requests:
            return dg.SensorResult(run_requests=self._requests, cursor=cursor)
        self._told += others
        told = "; ".join(self._told) or f"There is no new settings file in {self._folder}."
        return dg.SensorResult(skip_reason=told, cursor=cursor)

    def _is_ready(self, file: _File) -> bool:
        name = file.path.name
        mark, run_id = self._before.begun.get(name, ("", ""))
        if mark == file.mark:
            # This cursor was loaded, so the launch that was asked for with it is recorded.
            try:
                _move(file, "done", f"{run_id}-{_short(name)}")
            except OSError as error:
                self._now.begun[name] = [mark, run_id]
                self._told.append(f"{file.shown} cannot be moved: {error.strerror}")
            return False
        if self._before.waiting.get(name) == file.mark and file.size:
            return True
        self._now.waiting[name] = file.mark
        is_empty = "empty, and never begun as it is"
        self._told.append(f"{file.shown} is {'seen, and begun when it stays as it is' if file.size else is_empty}")
        return False

    def _begin(self, file: _File, store: Store, ledger: Ledger) -> None:
        name = file.path.name
        note = f"Dropped into the inbox as {_short(name)!r}, {file.size:,} bytes, {file.moment:%Y-%m-%d %H:%M:%S}"
        origin = Origin(file.moment, f"{note}.{file.changed_ns % 10**9:09} UTC.")
        try:
            values = _read(file)
            if values is None:
                self._now.waiting[name] = ""
                return
            run_id = begin_run(
                self._graph,
                store=store,
                ledger=ledger,
                instance=self._context.instance,
                values=values,
                where=file.shown,
                series=series_of_file(file.path),
                origin=origin,
            )
        except SettingsError as error:
            self._refuse(file, str(error))
            return
        self._requests.append(dg.RunRequest(run_key=run_id, partition_key=run_id, tags=settings_tag(run_id, ledger)))
        self._now.begun[name] = [file.mark, run_id]

    def _refuse(self, file: _File, problem: str) -> None:
        name = f"{run_id_at(file.moment)}-{_short(file.path.name)}"
        problem = problem.replace(str(file.path), file.shown)
        self._told.append(f"{file.shown} was refused: {problem}")
        self._context.log.warning(self._told[-1])
        try:
            (self._folder / "refused").mkdir(exist_ok=True)
            (self._folder / "refused" / f"{name}.error.txt").write_text(f"{problem}\n", encoding="utf-8")
            _move(file, "refused", name)
        except OSError as error:
            self._now.waiting[file.path.name] = file.mark
            self._told.append(f"it cannot be moved: {error.strerror}")


def _files(folder: Path) -> tuple[list[_File], list[str]]:
    """The files in the inbox by name, and a note of each thing that has a settings file's name and can be none."""
    found, others = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
            continue
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode):
            found.append(_stated(path, state))
        else:
            shown = os.fsencode(path.name).decode("utf-8", "replace")
            others.append(f"{shown} is {'a folder' if path.is_dir() else 'no file'}, and stays where it is")
    return found, others


def _stated(path: Path, state: os.stat_result) -> _File:
    # The change time moves with every rename too, so a file that is taken out of `done` and dropped again is new.
    return _File(path, state.st_size, state.st_ctime_ns, f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}")


def _read(file: _File) -> dict[str, Any] | None:
    """The settings in the file; None where it changed while it was read. Raises SettingsError."""
    if file.path.is_symlink():
        raise SettingsError("is a symbolic link.", where=file.shown, fix="Drop the file itself.")
    values = load_settings_file(file.path)
    try:
        return values if _stated(file.path, file.path.lstat()) == file else None
    except FileNotFoundError:
        return None


def _move(file: _File, folder: str, name: str) -> None:
    place = file.path.parent / folder
    place.mkdir(exist_ok=True)
    file.path.replace(place / name)


def _short(name: str) -> str:
    return os.fsencode(name)[-_LONGEST_NAME:].decode("utf-8", "ignore")
