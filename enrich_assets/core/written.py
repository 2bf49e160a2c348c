"""What a settings file says where a value is wrong: the line, and the text before YAML made something else of it.

Belongs here: finding a value's place in a file that was read already. How a file is read belongs to
`graphs.bounded_yaml`, what is wrong with a value to `core.wording`.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

_LARGEST_BYTES = 2_000_000


@dataclass(frozen=True)
class Written:
    """A value as the file has it: its line, from 1, and its text; empty for a list or for keys with values."""

    line: int
    text: str


def decoded(raw: bytes) -> str:
    """The text of a settings file: UTF-16 where its byte order mark says so, else UTF-8 with or without one.

    Raises UnicodeDecodeError.
    """
    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return raw.decode("utf-16" if is_utf16 else "utf-8-sig")


def written_at(where: str, path: Sequence[int | str]) -> Written | None:
    """What the YAML file `where` has under a path of keys and numbers; None where that is no such file or path."""
    import yaml

    try:
        file = Path(where)
        if not where or not file.is_file() or file.stat().st_size > _LARGEST_BYTES:
            return None
        node: Any = yaml.compose(decoded(file.read_bytes()), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            # A key may be a number too: 2024 is one where a name of a model was meant.
            node = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    if node is None:
        return None
    return Written(node.start_mark.line + 1, node.value if isinstance(node, yaml.ScalarNode) else "")


def misread(value: object) -> str:
    """What YAML made of a text without quotes, in words; empty for what it left a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    return "a date" if isinstance(value, date) else ""
