"""Going back: an earlier version of a phase takes the place of the present one, which becomes a version in its turn."""

from __future__ import annotations

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactMissing
from enrich_assets.store.artifacts import read_artifact
from enrich_assets.store.layout import RunFolder
from enrich_assets.store.publication import Publication, earlier_versions, put, read_present, side_file


def put_version(folder: RunFolder, phase: str, artifact_id: str = "") -> tuple[Envelope, Envelope]:
    """Puts the version of that artifact ID in place, by default the newest that is older than the present artifact;
    gives the envelope of before and of now.

    Every hash is checked first; a stop anywhere leaves one of the two whole. Raises ArtifactMissing where there is no
    such version, ArtifactDamaged, StorageError.
    """
    before = read_present(folder, phase)[0].envelope
    versions = earlier_versions(folder, phase, before.artifact_id)
    wanted = [
        (path, envelope)
        for path, envelope in versions
        if (envelope.artifact_id == artifact_id if artifact_id else envelope.artifact_id < before.artifact_id)
    ]
    if not wanted:
        kept = ", ".join(envelope.artifact_id for _, envelope in versions)
        named = f"version {artifact_id}" if artifact_id else "older version"
        raise ArtifactMissing(
            f"{phase} of the run {folder.run_id} has no {named}.",
            where=str(folder.versions(phase)),
            fix=f"Versions that are kept: {kept}." if kept else "No version of it is kept.",
        )
    path, envelope = wanted[0]
    data = folder.read(path)
    read_artifact(data, path.suffix, str(path))
    files = {name: side_file(folder, envelope, name) for name in envelope.files}
    put(folder, Publication(envelope, path.suffix, data, files))
    return before, envelope
