"""What stands in a run's folder: files of its phases, leftovers of a process that died, and what is none of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from enrich_assets.core.errors import DeclarationError
from enrich_assets.core.files import (
    TEMPORARY_SUFFIX,
    files_below,
    is_being_written,
    is_local,
    local_path,
    names_in,
    remove_empty_folders,
)
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, MANIFEST, RunFolder, valid_file_name

_OF_PHASES = ("etl", "eda", "versions")


@dataclass(frozen=True)
class RunFiles:
    """Names below a run's folder. `own` are the run's, `leftovers` half-written files that nobody writes any more,
    `foreign` all others: files of people, symbolic links, and what is being written at this moment."""

    own: tuple[str, ...]
    leftovers: tuple[str, ...]
    foreign: tuple[str, ...]


def run_files(folder: RunFolder, phases: Collection[str]) -> RunFiles:
    """What stands in the folder of a run that has these phases; nothing if it is missing. Raises StorageError.

    The folders `etl/<phase>`, `eda/<phase>`, `versions/<phase>` and `reports` are the run's with all that is in them.
    """
    own: list[str] = []
    leftovers: list[str] = []
    foreign: list[str] = []
    for name, is_plain in _names(folder):
        last = name.rsplit("/", 1)[-1]
        if not is_plain:
            foreign.append(name)
        elif last.startswith(".") and last.endswith(TEMPORARY_SUFFIX):
            (foreign if is_being_written(folder.path.joinpath(*name.split("/"))) else leftovers).append(name)
        elif _is_own(name, phases):
            own.append(name)
        else:
            foreign.append(name)
    return RunFiles(tuple(sorted(own)), tuple(sorted(leftovers)), tuple(sorted(foreign)))


def _names(folder: RunFolder) -> Iterator[tuple[str, bool]]:
    """Each file below the folder, and whether it is a plain one."""
    if not is_local(folder.path):
        for found in files_below(folder.path):
            yield folder.relative(found), True
        return
    root = local_path(folder.path)
    if root.is_symlink() or root.is_file():
        yield ".", False
        return
    for place, folders, files in os.walk(root, followlinks=False):
        for name in [*files, *folders]:
            path = Path(place, name)
            if name in files or path.is_symlink():
                yield path.relative_to(root).as_posix(), path.is_file() and not path.is_symlink()


def _is_own(name: str, phases: Collection[str]) -> bool:
    parts = name.split("/")
    try:
        for part in parts:
            valid_file_name(part)
    except DeclarationError:
        return False
    if len(parts) == 1:
        stem, dot, extension = name.rpartition(".")
        return name == MANIFEST or (stem in phases and f"{dot}{extension}" in ARTIFACT_SUFFIXES)
    if parts[0] == "reports":
        return True
    return parts[0] in _OF_PHASES and len(parts) > 2 and parts[1] in phases


def has_folder(folder: RunFolder) -> bool:
    """Whether anything stands where the run's folder belongs."""
    if is_local(folder.path):
        return os.path.lexists(local_path(folder.path))
    return bool(names_in(folder.path))


def remove_empty(folder: RunFolder) -> None:
    """Removes the folders of a run in which nothing stands, as a kill leaves them, itself too."""
    if not is_local(folder.path):
        return
    for place, _, _ in os.walk(local_path(folder.path), topdown=False, followlinks=False):
        remove_empty_folders(UPath(place), up_to=folder.root)
