"""An artifact's bytes: Parquet or JSON with the envelope inside, made and read back with every check.

Each file carries a seal, so that any flipped byte is found in the file alone, without the manifest:

- Parquet: the footer key `enrich_assets_seal` holds the SHA-256 of the whole file with the seal itself as zeros.
  Page checksums, which Parquet has of its own, cover neither page headers nor the footer.
- JSON: the file is exactly what writing its parsed content again gives, and its content is hashed.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from upath import UPath

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, DeclarationError, StorageError
from enrich_assets.core.files import read_bytes
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.store.content import column_types, content_sha256, content_sha256_of, data_sha256, document_sha256

ENVELOPE_KEY = b"enrich_assets"
_SEAL_KEY = b"enrich_assets_seal"
# In Thrift's compact protocol the value follows its key as field 2, binary (0x18), length 64 (0x40).
_SEAL = re.compile(re.escape(_SEAL_KEY) + rb"\x18\x40([0-9a-f]{64})", re.DOTALL)
_UNSEALED = b"0" * 64
_ROWS_READ = 4096
_FIX = "Run the phase again; `enrich resume` starts there."


@dataclass(frozen=True)
class Loaded:
    """An artifact that was read and verified: exactly one of `table` and `document`, and its envelope."""

    envelope: Envelope
    table: pa.Table | None = None
    document: dict[str, Any] | None = None


def plain_table(table: pa.Table) -> pa.Table:
    """`table` without metadata of schema and fields, which no hash covers."""
    return table.cast(pa.schema([pa.field(f.name, f.type, f.nullable) for f in table.schema]))


def plain_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` as it will be read back; raises DeclarationError if it cannot be JSON."""
    try:
        text = json.dumps(
            document, ensure_ascii=False, allow_nan=False, default=lambda value: json.loads(canonical_json(value))
        )
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"the document cannot be JSON: {error}.", fix="Use plain values only.") from error
    # Lone surrogates have no UTF-8; they become '?', as in tables.
    plain: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))
    return plain


def volatile_keys(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Top-level keys that a document lists under "volatile"."""
    listed = document.get("volatile")
    return tuple(k for k in listed if isinstance(k, str)) if isinstance(listed, list) else ()


def hashes(content: pa.Table | Mapping[str, Any], volatile: Collection[str]) -> tuple[str, str]:
    """`data_sha256` and `content_sha256` of a table or document."""
    if isinstance(content, pa.Table):
        return data_sha256(content, volatile), content_sha256(content)
    return document_sha256(content, volatile), document_sha256(content)


def parquet_bytes(table: pa.Table, envelope: Envelope | None = None) -> bytes:
    """A table as Parquet (zstd, page checksums), sealed and with its envelope where one is given."""
    sink = io.BytesIO()
    try:
        with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(table)
            if envelope is not None:
                writer.add_key_value_metadata({ENVELOPE_KEY: canonical_json(envelope), _SEAL_KEY: _UNSEALED})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DeclarationError(f"the table cannot be Parquet: {error}.", fix="Correct the column's type.") from error
    if envelope is not None:
        _seal(sink)
    return sink.getvalue()


def json_bytes(document: Mapping[str, Any], envelope: Envelope) -> bytes:
    """A plain document as the JSON file `{"metadata": …, "data": …}`."""
    return _json_of({"metadata": envelope.model_dump(mode="json"), "data": document})


def read_artifact(data: bytes, suffix: str, where: str) -> Loaded:
    """The artifact in `data`, after every check on it; raises ArtifactDamaged saying which one failed."""
    loaded = _read_parquet(data, where) if suffix == ".parquet" else _read_json(data, where)
    envelope = loaded.envelope
    content = loaded.table if loaded.table is not None else loaded.document
    assert content is not None
    try:
        found_data, found_content = hashes(content, envelope.volatile)
    except DeclarationError as error:
        raise damaged(f"its rows cannot be hashed ({error.what})", where) from error
    if found_content != envelope.content_sha256:
        raise damaged("its content does not match content_sha256", where)
    if found_data != envelope.data_sha256:
        raise damaged("its content does not match data_sha256", where)
    if loaded.table is not None and column_types(loaded.table) != envelope.columns:
        raise damaged("its columns are not the ones its envelope lists", where)
    return loaded


def check_artifact(data: bytes, suffix: str, where: str) -> Envelope:
    """The envelope of the artifact in `data`, after every check on it but that of `data_sha256`, which needs all rows
    at once; raises ArtifactDamaged saying which one failed.

    For bytes that were just made of a table: both hashes are of that table, and `content_sha256` covers all of it.
    """
    if suffix != ".parquet":
        return read_artifact(data, suffix, where).envelope
    envelope = _sealed_envelope(data, where)
    try:
        file = _parquet_file(data)
        found = content_sha256_of(file.schema_arrow, _pieces(file))
        columns = column_types(pa.Table.from_batches([], file.schema_arrow))
    except (pa.ArrowException, OSError, ValueError, DeclarationError) as error:
        raise damaged("it cannot be read as Parquet", where) from error
    if found != envelope.content_sha256:
        raise damaged("its content does not match content_sha256", where)
    if columns != envelope.columns:
        raise damaged("its columns are not the ones its envelope lists", where)
    return envelope


def read_envelope(data: bytes | io.IOBase, suffix: str, where: str) -> Envelope:
    """The envelope alone, by reading the footer only where that is possible; checks the envelope's own hash."""
    if suffix == ".json":
        raw = data if isinstance(data, bytes) else data.read()
        return _read_json(raw, where).envelope
    try:
        source = pa.BufferReader(data) if isinstance(data, bytes) else data
        metadata = pq.read_metadata(source).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged("its Parquet footer cannot be read", where) from error
    return _envelope_of(metadata.get(ENVELOPE_KEY), where)


def read_side_table(data: bytes, where: str) -> pa.Table:
    """A side table; raises ArtifactDamaged if it cannot be read."""
    try:
        file = _parquet_file(data)
        return plain_table(pa.concat_tables([pa.Table.from_batches([], file.schema_arrow), *_pieces(file)]))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged("it cannot be read as Parquet", where) from error


def read_whole(path: UPath) -> bytes:
    """The bytes of a published file or view; raises ArtifactMissing, StorageError, and ArtifactDamaged for a folder."""
    try:
        return read_bytes(path)
    except StorageError as error:
        if not isinstance(error.__cause__, IsADirectoryError):
            raise
        raise ArtifactDamaged(
            "a folder stands where this file should be.", where=str(path), fix="Move the folder away, then resume."
        ) from error


def damaged(reason: str, where: str) -> ArtifactDamaged:
    """The error of a file that does not hold what was written."""
    return ArtifactDamaged(f"the file is damaged: {reason}.", where=where, fix=_FIX)


def _parquet_file(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)


def _pieces(file: pq.ParquetFile) -> Iterator[pa.Table]:
    # In pieces, because Arrow's buffers double while a whole column is read into one; and what they leave is given
    # back at once, because its allocator would keep as much again.
    for batch in file.iter_batches(_ROWS_READ):
        yield pa.Table.from_batches([batch])
        pa.default_memory_pool().release_unused()


def _read_parquet(data: bytes, where: str) -> Loaded:
    return Loaded(_sealed_envelope(data, where), table=read_side_table(data, where))


def _sealed_envelope(data: bytes, where: str) -> Envelope:
    found = _seal_in(data)
    if found is None:
        raise damaged("it has no seal", where)
    start, value = found
    if _seal_hash(data, start) != value.decode():
        raise damaged("its bytes do not match its seal", where)
    return read_envelope(data, ".parquet", where)


def _read_json(data: bytes, where: str) -> Loaded:
    try:
        whole = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise damaged("it is not JSON", where) from error
    if not isinstance(whole, dict) or set(whole) != {"metadata", "data"} or not isinstance(whole["data"], dict):
        raise damaged("it has not the parts metadata and data", where)
    try:
        written = _json_of(whole)
    except ValueError as error:
        raise damaged("it is not what was written", where) from error
    if written != data:
        raise damaged("it is not what was written", where)
    envelope = _envelope_of(json.dumps(whole["metadata"]).encode(), where)
    if envelope.model_dump(mode="json") != whole["metadata"]:
        # Some values have two spellings that mean the same: 2026-01-31T09:30:00Z and 2026-01-31t09:30:00z.
        raise damaged("its envelope is not what was written", where)
    return Loaded(envelope, document=whole["data"])


def _envelope_of(raw: bytes | None, where: str) -> Envelope:
    if raw is None:
        raise damaged("it carries no envelope", where)
    try:
        envelope = Envelope.model_validate_json(raw)
    except ValidationError as error:
        raise damaged("its envelope cannot be read", where) from error
    if not envelope.is_intact():
        raise damaged("its envelope does not match envelope_sha256", where)
    return envelope


def _seal(sink: io.BytesIO) -> None:
    """Seals the file in place: a large one is not copied for it."""
    with sink.getbuffer() as data:
        found = _seal_in(data)
        if found is None:
            raise DeclarationError(f"a value of the table looks like the seal {_SEAL_KEY.decode()}.", fix="Remove it.")
        start = found[0]
        data[start : start + 64] = _seal_hash(data, start).encode()


def _seal_in(data: bytes | memoryview) -> tuple[int, bytes] | None:
    """Position and value of the one seal in the footer; None where there is none, or more than one."""
    length = int.from_bytes(data[-8:-4], "little")
    # The footer alone is copied: a match would hold on to the whole file.
    begin = max(0, len(data) - 8 - length)
    found = list(_SEAL.finditer(bytes(data[begin:])))
    return (begin + found[0].start(1), found[0].group(1)) if len(found) == 1 else None


def _seal_hash(data: bytes | memoryview, start: int) -> str:
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(_UNSEALED)
    digest.update(memoryview(data)[start + 64 :])
    return digest.hexdigest()


def _json_of(whole: Mapping[str, Any]) -> bytes:
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    return text.encode("utf-8")
