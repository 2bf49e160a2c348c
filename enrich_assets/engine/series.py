"""Series: runs that belong together, because they began from the same preset or settings file.

`latest:NAME`, the history of a run and the counts of `enrich keep` keep to the runs of one series.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from enrich_assets.core.errors import UnknownRun

LATEST = "latest"
LONGEST_NAME = 200
"""Characters of a series' name that the ledger keeps."""
_SUFFIXES = (".yaml", ".yml", ".json")


def series_of(registered: Mapping[str, Any]) -> str:
    """The series of a run, of its registration or its row in the ledger; empty where nothing tells it.

    A run that was begun before there were series belongs to that of its preset, else of its title.
    """
    found = registered.get("series") or registered.get("preset") or registered.get("title") or ""
    return str(found)[:LONGEST_NAME]


def series_of_file(path: Path) -> str:
    """The series of the runs that begin from a settings file: its name after that of its folder, as `ports/weekly`.

    The whole path would make another series of the same file in a container, the name alone one of two files called
    `settings.yaml`.
    """
    whole = Path(os.path.normpath(path.absolute()))
    name = whole.stem if whole.suffix.lower() in _SUFFIXES else whole.name
    shown = os.fsencode(f"{whole.parent.name}/{name}".lstrip("/")).decode("utf-8", "replace")
    # A name of a file may hold what changes how a line is read; a name that people type does not.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)[-LONGEST_NAME:]


def series_named(reference: str) -> str:
    """The NAME of a reference `latest:NAME`; empty for any other."""
    word, _, name = reference.partition(":")
    return name.strip() if word == LATEST else ""


def known_series(name: str, known: Iterable[str]) -> str:
    """The series that a name means: exactly that one, else the only one whose file it is, without its folder.

    Raises UnknownRun, which lists those that there are.
    """
    names = sorted({one for one in known if one})
    if name in names:
        return name
    plain = name.removesuffix(next((end for end in _SUFFIXES if name.endswith(end)), ""))
    found = [one for one in names if plain in (one, one.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownRun(f"{len(found)} series are called {name!r:.80}.", fix=f"Name one: {', '.join(found)}.")
    listed = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    raise UnknownRun(f"no run belongs to a series {name!r:.80}.", fix=f"Series: {listed or 'none yet'}.")
