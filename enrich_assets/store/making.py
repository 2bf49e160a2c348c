"""Making a publication in memory: what a phase hands over becomes bytes and their envelope. Nothing is written here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from enrich_assets import __version__
from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import DeclarationError
from enrich_assets.core.fingerprint import canonical_json, sha256
from enrich_assets.core.result import PhaseResult
from enrich_assets.store.artifacts import (
    hashes,
    json_bytes,
    parquet_bytes,
    plain_document,
    plain_table,
    volatile_keys,
)
from enrich_assets.store.content import column_types
from enrich_assets.store.layout import relative_name, side_table_name
from enrich_assets.store.publication import Publication


def made(result: PhaseResult, reports: Mapping[str, bytes], now: datetime) -> Publication:
    """The artifact, its side files and its envelope; raises DeclarationError for what cannot be stored.

    The artifact ID begins with `now` in UTC, so that IDs sort by time.
    """
    content, suffix = _content(result)
    volatile = (*result.volatile, *(volatile_keys(content) if isinstance(content, dict) else ()))
    data_hash, content_hash = hashes(content, volatile)
    files = dict(_files(result, reports))
    envelope = Envelope(
        package_version=__version__,
        graph=result.graph,
        run_id=result.run_id,
        phase=result.phase,
        number=result.number,
        artifact_id=f"{now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}",
        status="blocked" if result.is_blocked else "complete",
        started_at=result.started_at,
        duration_seconds=result.duration_seconds,
        counts=result.counts,
        usage=result.usage,
        checks=result.checks,
        settings_fingerprint=result.settings_fingerprint,
        code_fingerprint=result.code_fingerprint,
        inputs=result.inputs,
        columns=column_types(content) if isinstance(content, pa.Table) else {},
        volatile=tuple(dict.fromkeys(volatile)),
        data_sha256=data_hash,
        content_sha256=content_hash,
        files={name: sha256(data) for name, data in sorted(files.items())},
        notes=dict(result.notes),
    )
    sealed = Envelope.model_validate(plain_document(envelope.model_dump(mode="json"))).sealed()
    written = parquet_bytes(content, sealed) if isinstance(content, pa.Table) else json_bytes(content, sealed)
    return Publication(sealed, suffix, written, files)


def _content(result: PhaseResult) -> tuple[pa.Table | dict[str, Any], str]:
    if (result.table is None) == (result.document is None):
        raise DeclarationError(f"{result.phase} has to publish a table or a document, and one of them only.")
    if result.table is not None:
        return plain_table(result.table), ".parquet"
    return plain_document(result.document or {}), ".json"


def _files(result: PhaseResult, reports: Mapping[str, bytes]) -> Iterable[tuple[str, bytes]]:
    phase = result.phase
    tables = {"dropped": result.dropped, "failed": result.failed, **result.processing_tables}
    taken = sorted(tables.keys() & result.sides.keys())
    if taken:
        raise DeclarationError(f"{phase} has a side table called {taken[0]}, a name that every phase uses already.")
    for name, side in {**tables, **result.sides}.items():
        yield side_table_name(phase, name), parquet_bytes(plain_table(side))
    yield relative_name("etl", phase, "stats.json"), _stats(result)
    lines = [json.dumps(plain_document(line), ensure_ascii=False) + "\n" for line in result.log]
    yield relative_name("etl", phase, "log.jsonl"), "".join(lines).encode("utf-8")
    if result.profile is not None:
        yield relative_name("eda", phase, "profile.parquet"), parquet_bytes(plain_table(result.profile))
        yield relative_name("eda", phase, "profile.json"), result.profile_text
    for name, figure in result.figures.items():
        yield relative_name("eda", phase, name), figure
    for name, report in reports.items():
        yield relative_name("reports", phase, name), report


def _stats(result: PhaseResult) -> bytes:
    numbers = {
        "graph": result.graph,
        "run_id": result.run_id,
        "phase": result.phase,
        "number": result.number,
        "started_at": result.started_at,
        "duration_seconds": result.duration_seconds,
        "counts": result.counts,
        "usage": result.usage,
        "checks": result.checks,
        "side_rows": {name: side.num_rows for name, side in result.sides.items()},
        **result.processing,
        "notes": result.notes,
    }
    plain = plain_document(json.loads(canonical_json(numbers)))
    return (json.dumps(plain, ensure_ascii=False, indent=1) + "\n").encode("utf-8")
