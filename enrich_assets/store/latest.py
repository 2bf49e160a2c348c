"""`latest`: which run of a graph is the newest complete one. A view; the caller says which runs are complete.

Which run of one series is the newest follows from the runs themselves: `graphs.finding`.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, RunIdError
from enrich_assets.core.files import is_local, local_path, names_in, write_atomic
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.store.archive import run_at
from enrich_assets.store.artifacts import read_whole
from enrich_assets.store.layout import RunFolder, valid_name

_TIMED = re.compile(r"(\d{8}_\d{6})(?:-(\d+))?")

log = logging.getLogger(__name__)


def started_at(run_id: str, otherwise: datetime | None) -> tuple[datetime, int]:
    """When a run started: what its ID says, else `otherwise`; and its place among runs of the same second."""
    found = _TIMED.fullmatch(run_id)
    if found:
        try:
            moment = datetime.strptime(found.group(1), "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
            return moment, int(found.group(2) or 1)
        except ValueError:
            pass
    return (otherwise or datetime.min.replace(tzinfo=UTC)), 0


@dataclass(frozen=True)
class Latest:
    """What latest.json names. `until` is the start of the newest run that was there when somebody went back to this
    one: only a run that started later takes its place. Equal to its own start where nobody did."""

    run_id: str
    started: tuple[datetime, int]
    until: tuple[datetime, int]
    instead_of: str = ""
    """The run that was the latest before somebody went back; '' where nobody did."""


def read_latest(root: UPath, graph: str) -> Latest | None:
    """What latest.json names; None where it names no run that stands there."""
    folder = root / valid_name(graph, "graph")
    try:
        whole = json.loads(read_whole(folder / "latest.json").decode("utf-8"))
        started = datetime.fromisoformat(whole["started_at"]), int(whole["place"])
        found = Latest(valid_run_id(whole["run_id"]), started, started)
        if back := whole.get("went_back"):
            until = datetime.fromisoformat(back["started_at"]), int(back["place"])
            found = Latest(found.run_id, started, until, str(back["from"]))
    except ArtifactMissing:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RunIdError, ArtifactDamaged):
        log.warning("%s/latest.json cannot be read and is passed over; the next complete run writes it anew", folder)
        return None
    return found if _stands(root, graph, found.run_id) else None


def write_latest(run: RunFolder, otherwise: datetime | None) -> str:
    """Names the run as latest unless the one that is named started later, or somebody went back to that one since this
    one was there; returns the one that is latest now."""
    started = started_at(run.run_id, otherwise)
    present = read_latest(run.root, run.graph)
    if present is not None and (present.until > started or (present.instead_of and present.until == started)):
        return present.run_id
    if present is not None and present.instead_of and present.run_id == run.run_id:
        return run.run_id
    _write(run, started, {})
    return run.run_id


def go_back(run: RunFolder, otherwise: datetime | None, newest: tuple[str, datetime | None]) -> None:
    """Names an earlier run as latest until one is complete that started later than the `newest` of now (ID, and start
    where the ID does not say it). The newest itself becomes the latest as if nobody had gone back."""
    run_id, moment = newest
    until, place = started_at(run_id, moment)
    back = {} if run_id == run.run_id else {"from": run_id, "started_at": until.isoformat(), "place": place}
    _write(run, started_at(run.run_id, otherwise), back)


def _write(run: RunFolder, started: tuple[datetime, int], back: Mapping[str, Any]) -> None:
    folder = run.root / run.graph
    content: dict[str, Any] = {"run_id": run.run_id, "started_at": started[0].isoformat(), "place": started[1]}
    if back:
        content["went_back"] = dict(back)
    write_atomic(folder / "latest.json", (json.dumps(content, indent=1) + "\n").encode("utf-8"))
    if is_local(folder):
        _link(folder, run.run_id)


def _stands(root: UPath, graph: str, run_id: str) -> bool:
    return bool(names_in(root / graph / run_id)) or run_at(root, graph, run_id).is_archived


def _link(folder: UPath, run_id: str) -> None:
    link = local_path(folder) / "latest"
    temporary = link.with_name(f".latest.{secrets.token_hex(4)}.tmp")
    try:
        temporary.symlink_to(run_id, target_is_directory=True)
        temporary.replace(link)
    except OSError as error:
        # Some disks have no symbolic links; latest.json says the same.
        temporary.unlink(missing_ok=True)
        log.info("no link %s: %s", link, error)
