"""Taking a publication away: everything of one phase of a run, its earlier versions too."""

from __future__ import annotations

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing
from enrich_assets.core.files import files_below, names_in, remove, remove_empty_folders
from enrich_assets.store.artifacts import read_envelope, read_whole
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, RunFolder
from enrich_assets.store.manifest import read_manifest, update_manifest
from enrich_assets.store.publication import present_path


def unpublish(folder: RunFolder, phase: str) -> int:
    """Removes the artifact of a phase with its side tables, figures, reports and earlier versions; gives how many
    files that were.

    The artifact goes last: after a kill the phase still stands there, damaged, and can be unpublished again. Raises
    StorageError.
    """
    own = [p for area in (f"etl/{phase}", f"eda/{phase}", f"versions/{phase}") for p in files_below(folder.path / area)]
    listed = {folder.relative(path): path for path in own}
    listed |= {name: folder.file(name) for name in _files(folder, phase)}
    for path in listed.values():
        remove(path)
        remove_empty_folders(path.parent, up_to=folder.path)
    # Temporary files of a publication that was killed are named after the artifact too.
    starts = tuple(f"{dot}{phase}{suffix}" for dot in ("", ".") for suffix in ARTIFACT_SUFFIXES)
    beside = [name for name in names_in(folder.path) if name.startswith(starts)]
    for name in beside:
        remove(folder.path / name)
    if names_in(folder.path):
        update_manifest(folder, phase, [])
    return len(listed) + len(beside)


def _files(folder: RunFolder, phase: str) -> set[str]:
    """Relative names of the side files that the envelope and the manifest list; where neither can be read, those of
    all reports, which no folder tells from each other."""
    found: set[str] = set()
    is_known = False
    try:
        path, suffix = present_path(folder, phase)
        found |= set(read_envelope(read_whole(path), suffix, str(path)).files)
        is_known = True
    except ArtifactMissing:
        is_known = True
    except ArtifactDamaged:
        pass
    try:
        listed = read_manifest(folder)["files"]
        found |= {entry["name"] for entry in listed if entry["phase"] == phase and "/" in entry["name"]}
        is_known = True
    except (ArtifactMissing, ArtifactDamaged):
        pass
    if not is_known:
        found |= {folder.relative(path) for path in files_below(folder.path / "reports")}
    return found
