"""How everything is written: consoles, numbers, errors. What is written belongs to the command's own module.

rich is imported where something is written, so that a command's help needs none of it.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from enrich_assets.core import units
from enrich_assets.core.errors import EnrichError
from enrich_assets.core.units import counted as counted
from enrich_assets.core.units import money as money
from enrich_assets.core.units import total_cost as total_cost

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

DASH = "–"
SHOW_WHERE = "  fix:   ENRICH_DEBUG=1, or enrich --debug COMMAND, shows where it happened."
"""The advice below an error that nobody foresaw."""
OWN_SETTINGS = "own settings"
"""Stands where the name of a preset would."""


def console(file: IO[str] | None = None) -> Console:
    """A console on `file`, by default standard output. It prints text as it is: brackets are no markup, `:car:` is no
    picture, and what looks like a number keeps its colour. Colours are set with `style` or `Text`."""
    from rich.console import Console

    return Console(file=file, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """One note for people on standard error; standard output stays what was asked for."""
    print(clean(text), file=sys.stderr, flush=True)


def write_json(value: Any) -> None:
    """`value` as indented JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain, allow_nan=False) + "\n")


def write_error(error: EnrichError, subject: str = "") -> None:
    """An error as one block: what, where, fix. `subject` names what it is about, where several can fail."""
    lines = [f"Error: {f'{clean(subject)}: ' if subject else ''}{clean(error.what)}"]
    if error.where:
        lines.append(f"  where: {clean(error.where)}")
    if error.fix:
        first, *others = error.fix.splitlines() or [""]
        lines.append(f"  fix:   {clean(first)}")
        lines += [clean(line) for line in others]  # text to paste keeps its lines
    print("\n".join(lines), file=sys.stderr, flush=True)


def unexpected(error: Exception) -> str:
    """An error that nobody foresaw, in one line: its kind and the first of its words."""
    first = (clean(error.args[0]) if error.args else "").strip()[:300]
    return f"{type(error).__name__}: {first}"


def is_debugging() -> bool:
    """Whether errors show where they happened."""
    return os.environ.get("ENRICH_DEBUG", "") not in ("", "0")


def plain_table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; columns named in `right` are set to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def clean(text: object) -> str:
    """Text for a terminal: what is not printable (control characters, escape sequences) becomes a space."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def sentence(text: object) -> str:
    """Text for a terminal that ends with one full stop, whether it had one or not."""
    return clean(text).rstrip(". ") + "."


def number(value: int | None) -> str:
    """A count with thousands separated; a dash where it is not known."""
    return DASH if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Seconds as 0.8 s, 74 s, 12 min or 3.2 h; a dash where they are not known."""
    return DASH if seconds is None else units.duration(seconds)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
