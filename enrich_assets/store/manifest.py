"""The manifest: the catalog of a run's files. A view: it is derived from the envelopes and can be rebuilt."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing
from enrich_assets.core.files import write_atomic
from enrich_assets.core.fingerprint import sha256
from enrich_assets.store.artifacts import damaged
from enrich_assets.store.layout import RunFolder

MANIFEST_FORMAT = 1
KINDS = ("data", "etl", "eda", "plot", "table", "log", "report")
ENTRY_FIELDS = (
    "artifact_id", "kind", "phase", "number", "name", "bytes", "rows", "columns", "sha256", "made_at", "description",
)  # fmt: skip

_DESCRIPTIONS = {
    "dropped.parquet": "rows that the phase dropped, with reason and value",
    "failed.parquet": "rows that failed, with kind and message",
    "outliers.parquet": "numbers far from the others of their column, which stay in the table: row, value and score",
    "validation_errors.parquet": "rows that broke a rule: which one, and what became of them",
    "stats.json": "how the phase was made: counts, usage, checks, times, memory, missing values, duplicates",
    "profile.parquet": "what the artifact looks like: a row a column",
    "profile.json": "what the artifact looks like, column by column, to be read",
    "log.jsonl": "log of the phase, one JSON object a line",
}
_BY_EXTENSION = {"svg": "plot", "png": "plot", "parquet": "table", "csv": "table", "jsonl": "log"}


def entries(
    envelope: Envelope, artifact_name: str, artifact: bytes, files: Mapping[str, bytes], made_at: str
) -> list[dict[str, Any]]:
    """The manifest's entries of one publication, artifact first.

    Each has artifact_id, kind (data, etl, eda, plot, table, log, report), phase, number, name (below the run's
    folder), bytes, rows and columns (null where there are none), sha256, made_at (UTC), description.
    """
    found = [_entry(envelope, artifact_name, artifact, made_at)]
    return found + [_entry(envelope, name, data, made_at) for name, data in sorted(files.items())]


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """The manifest as it stands; raises ArtifactMissing or ArtifactDamaged."""
    where = str(folder.manifest)
    try:
        whole = json.loads(folder.read(folder.manifest).decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise damaged("it is not JSON", where) from error
    listed = whole.get("files") if isinstance(whole, dict) else None
    if not isinstance(listed, list) or not all(isinstance(e, dict) and "name" in e and "phase" in e for e in listed):
        raise damaged("it has no list of files", where)
    if whole.get("manifest_sha256") != _own_hash(whole):
        raise damaged("it does not match manifest_sha256", where)
    result: dict[str, Any] = whole
    return result


def update_manifest(folder: RunFolder, phase: str, new: list[dict[str, Any]]) -> None:
    """Replaces the entries of one phase; a missing or damaged manifest is begun anew with them."""
    try:
        present = read_manifest(folder)["files"]
    except (ArtifactMissing, ArtifactDamaged):
        present = []
    write_manifest(folder, [e for e in present if e["phase"] != phase] + new)


def write_manifest(folder: RunFolder, listed: list[dict[str, Any]]) -> dict[str, Any]:
    """Writes a manifest of exactly these entries, in the order of phases."""
    order = sorted(listed, key=lambda e: (e["number"], e["phase"], e["kind"] != "data", e["name"]))
    whole: dict[str, Any] = {
        "format": MANIFEST_FORMAT,
        "graph": folder.graph,
        "run_id": folder.run_id,
        "files": order,
    }
    whole["manifest_sha256"] = _own_hash(whole)
    write_atomic(folder.manifest, (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode("utf-8"))
    return whole


def kind_of(name: str) -> str:
    """The kind of a file of a run, by its name: one of KINDS."""
    area, extension = name.split("/", 1)[0], name.rsplit(".", 1)[-1]
    if "/" not in name:
        return "data"
    if area == "reports":
        return "report"
    return _BY_EXTENSION.get(extension, area)


def utc_text(moment: datetime) -> str:
    """A moment as the manifest writes it."""
    return moment.isoformat(timespec="seconds")


def _own_hash(whole: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in whole.items() if k != "manifest_sha256"}, sort_keys=True)
    return sha256(text.encode("utf-8"))


def _entry(envelope: Envelope, name: str, data: bytes, made_at: str) -> dict[str, Any]:
    rows, columns = _shape(name, data)
    return {
        "artifact_id": envelope.artifact_id,
        "kind": kind_of(name),
        "phase": envelope.phase,
        "number": envelope.number,
        "name": name,
        "bytes": len(data),
        "rows": rows,
        "columns": columns,
        "sha256": sha256(data),
        "made_at": made_at,
        "description": _description(envelope, name),
    }


def _description(envelope: Envelope, name: str) -> str:
    if "/" not in name:
        return f"artifact of phase {envelope.number}, {envelope.phase}"
    last = name.rsplit("/", 1)[-1]
    stem, _, extension = last.rpartition(".")
    words = stem.replace("_", " ")
    if name.startswith("reports/"):
        return f"report as {extension.upper()}"
    return _DESCRIPTIONS.get(last) or (f"figure: {words}" if kind_of(name) == "plot" else f"side table: {words}")


def _shape(name: str, data: bytes) -> tuple[int | None, dict[str, str] | None]:
    if name.endswith(".parquet"):
        try:
            file = pq.ParquetFile(io.BytesIO(data))
        except (pa.ArrowException, OSError) as error:
            raise damaged("it cannot be read as Parquet", name) from error
        return file.metadata.num_rows, {f.name: str(f.type) for f in file.schema_arrow}
    if name.endswith(".jsonl"):
        return data.count(b"\n"), None
    return None, None
