"""`latest`: which run of a graph is the newest complete one. A view; the caller says which runs are complete."""

from __future__ import annotations

import json
import logging
import re
import secrets
from datetime import UTC, datetime

from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, RunIdError
from enrich_assets.core.files import is_local, local_path, names_in, write_atomic
from enrich_assets.core.run_id import valid_run_id
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


def read_latest(root: UPath, graph: str) -> tuple[str, datetime, int] | None:
    """Run ID, start and place of what latest.json names; None where it names no run that stands there."""
    folder = root / valid_name(graph, "graph")
    try:
        whole = json.loads(read_whole(folder / "latest.json").decode("utf-8"))
        run_id = valid_run_id(whole["run_id"])
        moment, place = datetime.fromisoformat(whole["started_at"]), int(whole["place"])
    except ArtifactMissing:
        return None
    except (ValueError, KeyError, TypeError, RunIdError, ArtifactDamaged):
        log.warning("%s/latest.json cannot be read and is passed over; the next complete run writes it anew", folder)
        return None
    return (run_id, moment, place) if names_in(folder / run_id) else None


def write_latest(run: RunFolder, otherwise: datetime | None) -> str:
    """Names the run as latest unless the one that is named started later; returns the one that is latest now."""
    moment, place = started_at(run.run_id, otherwise)
    present = read_latest(run.root, run.graph)
    if present is not None and present[0] != run.run_id and (present[1], present[2]) > (moment, place):
        return present[0]
    folder = run.root / run.graph
    content = {"run_id": run.run_id, "started_at": moment.isoformat(), "place": place}
    write_atomic(folder / "latest.json", (json.dumps(content, indent=1) + "\n").encode("utf-8"))
    if is_local(folder):
        _link(folder, run.run_id)
    return run.run_id


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
