"""Publishing: how the files of one phase replace the ones before, so that a stop anywhere leaves one whole state.

The artifact decides. Its envelope lists every side file with its hash, and renaming the artifact into place is the
one step that makes a publication valid. The order:

1. everything is made in memory, and the artifact is read back once;
2. the present artifact and its side files are copied to `versions/<phase>/<artifact_id>…`;
3. the new side files, figures and reports go to their plain names (`etl/<phase>/dropped.parquet`, where people look);
4. the artifact is put in place (rename on a disk, one PUT on an object store);
5. manifest, earlier versions and files that the envelope no longer lists are tidied.

After a kill between 2 and 4 some plain names hold files that the artifact's envelope does not list. A side file is
therefore always looked up by its hash: at its plain name, and else beside the copies of step 2, where it stands by
then. So the earlier publication stays whole without names that change with every publication, on disks and on
object stores alike. An error (rather than a kill) also puts the plain names back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from upath import UPath

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, EnrichError, StorageError
from enrich_assets.core.files import (
    TEMPORARY_SUFFIX,
    files_below,
    is_being_written,
    names_in,
    remove,
    remove_empty_folders,
    write_atomic,
)
from enrich_assets.core.fingerprint import sha256
from enrich_assets.store.artifacts import Loaded, check_artifact, read_artifact, read_envelope, read_whole
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, RunFolder

VERSIONS_KEPT = 3
"""Earlier artifacts of a phase that are kept, with their side files."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """The bytes of one publication: the artifact and its side files by relative name."""

    envelope: Envelope
    suffix: str
    artifact: bytes
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Present:
    """The artifact that stands in place now."""

    path: UPath
    suffix: str
    data: bytes
    envelope: Envelope


def present_path(folder: RunFolder, phase: str) -> tuple[UPath, str]:
    """Path and suffix of the phase's artifact; raises ArtifactMissing.

    Two stand there only when a phase changed from a table to a document and the publication was killed before it
    removed the old one: then the one that was published later counts (artifact IDs sort by time).
    """
    names = set(folder.names(folder.path))
    found = [s for s in ARTIFACT_SUFFIXES if f"{phase}{s}" in names]
    if not found:
        raise ArtifactMissing(
            f"{phase} has published nothing for the run {folder.run_id}.",
            where=str(folder.path),
            fix=f"Run it: enrich run {folder.run_id} --only {phase}.",
        )
    if len(found) > 1:
        found.sort(key=lambda s: _artifact_id(folder, folder.artifact(phase, s), s))
    return folder.artifact(phase, found[-1]), found[-1]


def read_present(folder: RunFolder, phase: str) -> tuple[Loaded, Present]:
    """The phase's artifact, fully checked; raises ArtifactMissing or ArtifactDamaged."""
    path, suffix = present_path(folder, phase)
    data = folder.read(path)
    loaded = read_artifact(data, suffix, str(path))
    check_place(loaded.envelope, folder, phase, str(path))
    return loaded, Present(path, suffix, data, loaded.envelope)


def check_present(folder: RunFolder, phase: str) -> Present:
    """The phase's artifact, checked without holding its rows; raises ArtifactMissing or ArtifactDamaged."""
    path, suffix = present_path(folder, phase)
    data = read_whole(path)
    envelope = check_artifact(data, suffix, str(path))
    check_place(envelope, folder, phase, str(path))
    return Present(path, suffix, data, envelope)


def check_place(envelope: Envelope, folder: RunFolder, phase: str, where: str) -> None:
    """Raises ArtifactDamaged if the envelope is another phase's or run's."""
    if (envelope.graph, envelope.run_id, envelope.phase) != (folder.graph, folder.run_id, phase):
        raise ArtifactDamaged(
            f"the file is the artifact {envelope.graph}/{envelope.run_id}/{envelope.phase}, copied here.",
            where=where,
            fix="Run the phase again; `enrich resume` starts there.",
        )


def side_file(folder: RunFolder, envelope: Envelope, relative: str) -> bytes:
    """A side file of exactly this publication, found by its hash; raises ArtifactMissing or ArtifactDamaged."""
    expected = envelope.files.get(relative)
    if expected is None:
        raise ArtifactMissing(
            f"{envelope.phase} of the run {envelope.run_id} published no file {relative}.",
            where=str(folder.path),
            fix=f"It published: {', '.join(sorted(envelope.files)) or 'no side files'}.",
        )
    for path in (folder.file(relative), _version_file(folder, envelope, relative)):
        try:
            data = folder.read(path)
        except (ArtifactMissing, ArtifactDamaged):
            continue
        if sha256(data) == expected:
            return data
    raise ArtifactDamaged(
        f"the side file {relative} is missing or does not match its hash in the envelope.",
        where=str(folder.file(relative)),
        fix="Run the phase again; `enrich resume` starts there.",
    )


def put(folder: RunFolder, publication: Publication) -> list[str]:
    """Puts a publication in place; returns the relative names of files that were removed as no longer listed.

    Raises StorageError when something could not be written; the earlier publication is whole then.
    """
    phase = publication.envelope.phase
    try:
        before = check_present(folder, phase)
    except (ArtifactMissing, ArtifactDamaged):
        before = None
    kept: list[UPath] = []
    try:
        if before is not None:
            kept = _keep_version(folder, before)
        for relative, data in publication.files.items():
            write_atomic(folder.file(relative), data)
        write_atomic(folder.artifact(phase, publication.suffix), publication.artifact)
    except BaseException as error:
        if not _is_in_place(folder, publication):
            _put_back(folder, publication, before, kept)
            raise
        if not isinstance(error, StorageError):
            raise
        # The rename happened and only the folder's fsync behind it failed: readers see the new state, which is whole.
        log.warning("%s of %s was published, but the disk reported an error behind it", phase, folder.run_id)
    return _tidy(folder, publication, before)


def earlier_versions(folder: RunFolder, phase: str, current: str | None) -> list[tuple[UPath, Envelope]]:
    """Kept earlier artifacts, newest first, without the `current` one and without what cannot be read."""
    place = folder.versions(phase)
    found: list[tuple[UPath, Envelope]] = []
    for name in sorted(folder.names(place), reverse=True):
        stem, dot, extension = name.rpartition(".")
        if f"{dot}{extension}" not in ARTIFACT_SUFFIXES or stem == current:
            continue
        try:
            envelope = read_envelope(folder.read(place / name), f".{extension}", str(place / name))
        except (ArtifactDamaged, ArtifactMissing):
            continue
        found.append((place / name, envelope))
    return found


def _keep_version(folder: RunFolder, before: Present) -> list[UPath]:
    """Copies the present artifact and its side files to the versions; returns what was written."""
    written: list[UPath] = []
    try:
        for relative, expected in before.envelope.files.items():
            copy = _version_file(folder, before.envelope, relative)
            if _holds(copy, expected):
                continue
            try:
                data = side_file(folder, before.envelope, relative)
            except ArtifactDamaged:
                continue  # nothing left to keep of it
            written.append(copy)
            write_atomic(copy, data)
        target = folder.versions(before.envelope.phase) / f"{before.envelope.artifact_id}{before.suffix}"
        written.append(target)
        write_atomic(target, before.data)
    except BaseException:
        _remove_quietly(written)
        raise
    return written


def _put_back(folder: RunFolder, publication: Publication, before: Present | None, kept: list[UPath]) -> None:
    """After an error: plain names hold the earlier publication's files again. What fails here is found by hash."""
    listed = before.envelope.files if before is not None else {}
    restored = True
    for relative in publication.files:
        path, expected = folder.file(relative), listed.get(relative)
        try:
            if expected is None or before is None:
                remove(path)
                remove_empty_folders(path.parent, up_to=folder.path)
            elif not _holds(path, expected):
                write_atomic(path, side_file(folder, before.envelope, relative))
        except EnrichError as error:
            restored = False
            log.warning("%s was not put back: %s", relative, error)
    if restored:
        # Nothing needs the copies any more: every plain name holds what the envelope lists.
        _remove_quietly(kept)
    remove_empty_folders(folder.versions(publication.envelope.phase), up_to=folder.path)


def _tidy(folder: RunFolder, publication: Publication, before: Present | None) -> list[str]:
    """Removes what the new envelope does not list. A failure here harms nothing and is only logged."""
    envelope = publication.envelope
    removed: list[str] = []
    try:
        for suffix in ARTIFACT_SUFFIXES:
            if suffix != publication.suffix:
                remove(folder.artifact(envelope.phase, suffix))
        stale = [name for name in (before.envelope.files if before else {}) if name not in envelope.files]
        stale += [name for name in owned_files(folder, envelope.phase) if name not in envelope.files]
        for relative in dict.fromkeys(stale):
            path = folder.path.joinpath(*relative.split("/"))
            remove(path)
            remove_empty_folders(path.parent, up_to=folder.path)
            removed.append(relative)
        _prune_versions(folder, envelope)
    except EnrichError as error:
        log.warning("files of an earlier publication were left: %s", error)
    return removed


def owned_files(folder: RunFolder, phase: str) -> list[str]:
    """Relative names of all files that stand in the folders that belong to the phase alone, and its leftovers.

    What another process may be writing at this moment is none of them.
    """
    found = [p for area in ("etl", "eda") for p in files_below(folder.path / area / phase)]
    hidden = tuple(f".{phase}{suffix}." for suffix in ARTIFACT_SUFFIXES)
    beside = [n for n in names_in(folder.path) if n.startswith(hidden) and n.endswith(TEMPORARY_SUFFIX)]
    found += [folder.path / name for name in beside]
    return [folder.relative(path) for path in found if not is_being_written(path)]


def _prune_versions(folder: RunFolder, envelope: Envelope) -> None:
    place = folder.versions(envelope.phase)
    keep = {e.artifact_id for _, e in earlier_versions(folder, envelope.phase, envelope.artifact_id)[:VERSIONS_KEPT]}
    for path in files_below(place):
        top = folder.relative(path).split("/")[2]  # versions/<phase>/<artifact_id>…
        if top.removesuffix(".parquet").removesuffix(".json") not in keep and not is_being_written(path):
            remove(path)
            remove_empty_folders(path.parent, up_to=folder.path)


def _is_in_place(folder: RunFolder, publication: Publication) -> bool:
    try:
        present = read_whole(folder.artifact(publication.envelope.phase, publication.suffix))
    except EnrichError:
        return False
    return present == publication.artifact


def _version_file(folder: RunFolder, envelope: Envelope, relative: str) -> UPath:
    return folder.versions(envelope.phase).joinpath(envelope.artifact_id, *relative.split("/"))


def _holds(path: UPath, expected: str) -> bool:
    try:
        return sha256(read_whole(path)) == expected
    except EnrichError:
        return False


def _remove_quietly(paths: list[UPath]) -> None:
    for path in paths:
        try:
            remove(path)
        except EnrichError as error:
            log.warning("a copy was left: %s", error)


def _artifact_id(folder: RunFolder, path: UPath, suffix: str) -> str:
    try:
        return read_envelope(folder.read(path), suffix, str(path)).artifact_id
    except (ArtifactDamaged, ArtifactMissing):
        return ""
