"""`<graph>/keep.json`: what people decided about runs, and which deletions were begun. Who writes holds the lease."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from enrich_assets.core.errors import ArtifactMissing, StorageError
from enrich_assets.core.files import read_bytes, write_atomic
from enrich_assets.store.layout import valid_name

KEPT_FILE = "keep.json"
_FORMAT = 1
_ROLLBACKS_KEPT = 200


@dataclass(frozen=True)
class Kept:
    """`pinned` and `going` have the moment (UTC, ISO) by run ID; a rollback is run_id, phase ('' for a whole run),
    before, after (artifact IDs, or run IDs), at."""

    pinned: Mapping[str, str] = field(default_factory=dict)
    going: Mapping[str, str] = field(default_factory=dict)
    rollbacks: tuple[Mapping[str, str], ...] = ()


def read_kept(root: UPath, graph: str) -> Kept:
    """What was decided for a graph; nothing where there is no file. Raises StorageError for a damaged one, because
    without it nobody knows what is pinned."""
    path = _path(root, graph)
    try:
        whole = json.loads(read_bytes(path).decode("utf-8"))
        kept = Kept(_texts(whole["pinned"]), _texts(whole["going"]), tuple(map(_texts, whole["rollbacks"])))
        if whole["format"] != _FORMAT:
            raise ValueError(f"format {whole['format']}")
    except ArtifactMissing:
        return Kept()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            "the list of pinned runs cannot be read, so nothing is removed.",
            where=str(path),
            fix="Bring the file back from a backup, or remove it and pin the runs again: enrich keep --pin RUN.",
        ) from error
    return kept


def write_kept(root: UPath, graph: str, kept: Kept) -> None:
    """Puts other decisions in place of those of a graph; raises StorageError."""
    whole: dict[str, Any] = {
        "format": _FORMAT,
        "pinned": dict(kept.pinned),
        "going": dict(kept.going),
        "rollbacks": [dict(one) for one in kept.rollbacks[-_ROLLBACKS_KEPT:]],
    }
    text = json.dumps(whole, indent=1, sort_keys=True)
    write_atomic(_path(root, graph), f"{text}\n".encode())


def _texts(given: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in given.items()}


def _path(root: UPath, graph: str) -> UPath:
    return root / valid_name(graph, "graph") / KEPT_FILE
