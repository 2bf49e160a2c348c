"""YAML with bounds: what a few bytes of aliases or brackets could blow up is refused while it is read.

Belongs here: which YAML is read at all. What its values mean as settings belongs to the settings models.
"""

from __future__ import annotations

from typing import Any

import yaml

LARGEST_NODES = 100_000
"""Values in one document, each alias counted with everything below it, because every use of it is copied later."""
DEEPEST = 50
"""Levels of lists and mappings within each other; settings have about five."""


class YamlRefused(yaml.MarkedYAMLError):
    """YAML without fault that is refused: too deep, too large, a part of itself, or with one key twice."""


def read_yaml(text: str) -> Any:
    """The value of a YAML document, as `yaml.safe_load` gives it.

    Raises yaml.YAMLError with the line: YamlRefused for more than `LARGEST_NODES` values, more than `DEEPEST` levels,
    an alias inside of what it stands for, or a key that stands twice in one mapping.
    """
    loader = _BoundedLoader(text)
    try:
        return loader.get_single_data()
    except RecursionError:
        raise YamlRefused(problem=f"nested deeper than {DEEPEST} levels") from None
    except ValueError as error:  # a date that does not exist, such as 2026-02-30
        # What Python says of a number of thousands of digits is advice for programmers.
        is_number = "integer string conversion" in str(error)
        raise yaml.MarkedYAMLError(problem="a number has thousands of digits" if is_number else str(error)) from None
    finally:
        loader.dispose()


class _BoundedLoader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._count = 0
        self._sizes: dict[int, int] = {}
        """Number of values below each finished list or mapping, aliases counted in full, by its id."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise YamlRefused(problem=f"*{event.anchor} is a part of itself", problem_mark=mark)
            self._add(self._sizes[id(node)], mark)
            return node
        if self._depth >= DEEPEST:
            raise YamlRefused(problem=f"nested deeper than {DEEPEST} levels", problem_mark=mark)
        before = self._count
        self._add(1, mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._sizes[id(node)] = self._count - before
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, key.value) in seen:
                raise YamlRefused(
                    problem=f"the key {key.value!r:.80} stands twice in one mapping", problem_mark=key.start_mark
                )
            seen.add((key.tag, key.value))
        return node

    def _add(self, count: int, mark: Any) -> None:
        self._count += count
        if self._count > LARGEST_NODES:
            raise YamlRefused(problem=f"more than {LARGEST_NODES:,} values", problem_mark=mark)
