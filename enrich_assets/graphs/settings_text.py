"""Adds an item to a list of a settings file as text, so that comments and layout of the rest stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from enrich_assets.core.errors import SettingsError
from enrich_assets.graphs.bounded_yaml import read_yaml


def item_text(item: Mapping[str, Any], indent: int = 2) -> str:
    """The YAML of one item of a list, indented, with a line break at its end."""
    lines = yaml.safe_dump(dict(item), sort_keys=False, allow_unicode=True, width=1_000_000).splitlines()
    pad = " " * indent
    return "".join(f"{pad}{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))


def with_item(text: str, key: str, item: Mapping[str, Any], *, where: str) -> str:
    """`text` with `item` at the end of the list that stands under `key`; the list is begun where there is none.

    Raises SettingsError, with the text to paste, where the layout of the file does not let that happen safely.
    """
    expected = read_yaml(text) or {}
    expected = {**expected, key: [*(expected.get(key) or []), dict(item)]}
    break_ = "\r\n" if "\r\n" in text else "\n"
    try:
        changed = _inserted(text.replace("\r\n", "\n"), key, item)
        if changed is not None and read_yaml(changed) == expected:
            return changed.replace("\n", break_)
    except yaml.YAMLError:
        pass
    raise SettingsError(
        f"the list {key!r} is written in a way that nothing can be added to safely.",
        where=where,
        fix=f"Paste this under {key}:\n{item_text(item)}".rstrip(),
    )


def _inserted(text: str, key: str, item: Mapping[str, Any]) -> str | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    whole = text if text.endswith("\n") or not text else f"{text}\n"
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        return f"{whole}{key}:\n{item_text(item)}"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    value = next((node for name, node in root.value if name.value == key), None)
    if value is None:
        return f"{whole.rstrip()}\n\n{key}:\n{item_text(item)}"
    if isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
        lines = whole.split("\n")
        last = _last_line(value)
        lines[last + 1 : last + 1] = item_text(item, value.start_mark.column).rstrip("\n").split("\n")
        return "\n".join(lines)
    if not value.value or value.tag == "tag:yaml.org,2002:null":
        before, after = text[: value.start_mark.index], text[value.end_mark.index :]
        rest, _, others = after.partition("\n")
        comment = f"  {rest.strip()}" if rest.strip() else ""
        return f"{before.rstrip()}{comment}\n{item_text(item)}{others}"
    return None


def _last_line(node: yaml.Node) -> int:
    """Number of the last line, from 0, on which something of the node stands; comments behind it are not of it."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        inner = node.value[-1]
        return _last_line(inner[1] if isinstance(inner, tuple) else inner)
    mark: Any = node.end_mark
    return int(mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line)
