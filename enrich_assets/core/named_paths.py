"""Paths that a person named in an environment variable, spelled out: no `~`, no part that the folder decides."""

from __future__ import annotations

from pathlib import Path

from enrich_assets.core.errors import UserError


def spelled_out(named: str, variable: str) -> Path:
    """The path from the root on; a leading `~` that no shell has replaced, as it does not in quotes, is replaced.

    Raises UserError for the home of a user whom nobody knows.
    """
    path = Path(named)
    try:
        # Of `./~x` no `~` is left at the beginning that means a home, and Path drops the `./`.
        return (path.expanduser() if named.startswith("~") else path).absolute()
    except RuntimeError:
        raise UserError(
            f"{variable} is set to {named!r:.200}, and there is no home of {path.parts[0]!r:.80}.",
            fix="Set it to a whole path, or write ./~ for a folder whose name begins with ~.",
        ) from None
