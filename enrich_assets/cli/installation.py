"""What is installed, held against requirements.lock, and who owns the module litellm."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")


def installation_problems() -> Iterator[str]:
    """Problems that make answers wrong: the module litellm installed by another distribution over the real one."""
    owners = sorted(set(importlib.metadata.packages_distributions().get("litellm", [])))
    if owners and owners != ["litellm"]:
        yield (
            f"the module litellm belongs to {', '.join(owners)}, not to litellm alone: "
            "uninstall all of them, then install litellm again."
        )


def installation_notes(lock: Path | None = None) -> Iterator[str]:
    """Where the installed versions differ from requirements.lock, if that file stands in the project's folder."""
    from enrich_assets.defs.home import PROJECT

    path = lock or PROJECT / "requirements.lock"
    if not path.is_file():
        return
    missing, other = [], []
    for name, version in pinned(path.read_text(encoding="utf-8")):
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed != version:
            other.append(f"{name} {installed} (locked: {version})")
    if other:
        yield f"installed in other versions than requirements.lock says: {', '.join(other)}."
    if missing:
        yield f"in requirements.lock and not installed: {', '.join(missing)}."


def pinned(text: str) -> Iterator[tuple[str, str]]:
    """Name and version of each pin in a requirements file whose marker holds here."""
    from packaging.markers import InvalidMarker, Marker

    for line in text.splitlines():
        found = _PIN.match(line)
        if found is None:
            continue
        name, version, marker = found.groups()
        try:
            if marker and not Marker(marker).evaluate():
                continue
        except InvalidMarker:
            continue
        yield name, version
