"""What an origin names, read again from a run's artifacts: the way back from a number in a report.

The words that a field may say stand in `report_content.Origin`. Which numbers a report has, and whether they agree,
belongs to `numbers`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from enrich_assets.core.envelope import Envelope, Usage
from enrich_assets.core.errors import EnrichError
from enrich_assets.graphs.intelligence.report_content import Origin
from enrich_assets.stats.figures.values import missing_in

if TYPE_CHECKING:
    import pyarrow as pa

    from enrich_assets.reading import Run

_ENVELOPE = re.compile(r"envelope\.([\w.]+)(?:\[(.*)\])?", re.DOTALL)
_ROWS = re.compile(r"rows(?: where (\w+) is (not )?(.*))?", re.DOTALL)
_MISSING = re.compile(r"missing (.+)", re.DOTALL)
_LENGTH = re.compile(r"length of (\w+)")
_SUM_IN_CELL = re.compile(r"sum of (\w+)\.(\w+)")
_DISTINCT = re.compile(r"distinct (\w+)\.([\w+]+)(?: where (\w+) is (.*))?", re.DOTALL)
_RATIO = re.compile(r"ratio of (\S+) to (\S+)")
_CHECKS = re.compile(r"checks( that failed)?")
_SUM = re.compile(r"sum of (the known )?(/.*)", re.DOTALL)


class NoSuchOrigin(EnrichError):
    """The origin names something that the artifacts do not have, or says it in words that nobody knows."""


def origin_text(origin: Origin) -> str:
    """An origin in one line: artifact, field, row."""
    return " · ".join(part for part in (origin.artifact, origin.field, origin.row_id) if part)


def cost_field(usage: Usage) -> str:
    """Where an envelope has the cost that people are shown: one of before all attempts were counted has that of its own
    making alone."""
    return f"envelope.usage.{'spent' if usage.paid == usage.spent else 'cost'}"


def token(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def resolve(document: Any, pointer: str) -> Any:
    """What stands at a JSON pointer; raises NoSuchOrigin."""
    for part in pointer.split("/")[1:]:
        try:
            document = document[int(part)] if isinstance(document, list) else document[_key(part)]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise NoSuchOrigin(f"the document has nothing at {pointer}.") from error
    return document


class Artifacts:
    """A run's artifacts as origins are looked up in them; each is read once, its hashes checked."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._envelopes: dict[str, Envelope] = {}
        self._tables: dict[str, Sheet] = {}

    def value(self, origin: Origin, own: str, numbers: Mapping[str, Any]) -> Any:
        """What the origin names; a sum over the report `own` is made of its `numbers`, by pointer.

        Raises NoSuchOrigin, and what the read API raises for artifacts that are missing or damaged.
        """
        field = origin.field
        if origin.artifact == own:
            ratio = _RATIO.fullmatch(field)
            return _ratio(numbers, ratio[1], ratio[2]) if ratio else _sum_of(numbers, field)
        if found := _ENVELOPE.fullmatch(field):
            return _in_envelope(self._envelope(origin.artifact), found[1], found[2])
        if found := _CHECKS.fullmatch(field):
            return sum(not (found[1] and check.passed) for check in self._envelope(origin.artifact).checks)
        return self.sheet(origin.artifact).value(field, origin.row_id)

    def sheet(self, artifact: str) -> Sheet:
        """A table of the run, or a side table (`scraped/sources`)."""
        if artifact not in self._tables:
            phase, _, side = artifact.partition("/")
            run = self._run
            table = run.store.side(run.graph.name, run.run_id, phase, side) if side else run.arrow(phase)
            self._tables[artifact] = Sheet(artifact, table)
        return self._tables[artifact]

    def _envelope(self, phase: str) -> Envelope:
        if phase not in self._envelopes:
            self._envelopes[phase] = self._run.envelope(phase)
        return self._envelopes[phase]


class Sheet:
    """One table, and what a field may ask of it."""

    def __init__(self, name: str, table: pa.Table) -> None:
        self._name = name
        self._table = table

    def value(self, field: str, row_id: str) -> Any:
        """The cell of a row, or a count over the table."""
        for words, read in self._readers():
            if found := words.fullmatch(field):
                return read(found, row_id)
        if field not in self._table.column_names or not row_id:
            raise NoSuchOrigin(f"{self._name} has no {field!r:.80}.")
        return self._cell(field, row_id)

    def _readers(self) -> Iterator[tuple[re.Pattern[str], Callable[[re.Match[str], str], Any]]]:
        yield _ROWS, lambda found, _: self._rows(found[1], bool(found[2]), found[3])
        yield _MISSING, lambda found, _: missing_in(self._column(found[1]))
        yield _LENGTH, lambda found, row_id: len(self._cell(found[1], row_id) or ())
        yield (
            _SUM_IN_CELL,
            lambda found, row_id: sum(item[found[2]] for item in self._cell(found[1], row_id) or ()),
        )
        yield _DISTINCT, lambda found, _: self._distinct(found[1], found[2].split("+"), found[3], found[4])

    def _rows(self, column: str | None, negated: bool, value: str) -> int:
        if column is None:
            return int(self._table.num_rows)
        return sum((_plain(cell) == value) is not negated for cell in self._column(column).to_pylist())

    def _distinct(self, column: str, keys: Sequence[str], where: str | None, value: str | None) -> int:
        items = [item for cell in self._column(column).to_pylist() for item in cell or ()]
        return len({tuple(item[key] for key in keys) for item in items if where is None or item[where] == value})

    def _cell(self, column: str, row_id: str) -> Any:
        if row_id not in self._places:
            raise NoSuchOrigin(f"{self._name} has no row {row_id!r:.80}.")
        return self._column(column)[self._places[row_id]].as_py()

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self._table.column_names:
            raise NoSuchOrigin(f"{self._name} has no column {name!r:.80}.")
        return self._table.column(name)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {str(row_id): place for place, row_id in enumerate(self._column("row_id").to_pylist())}


def _in_envelope(envelope: Envelope, path: str, key: str | None) -> Any:
    value: Any = envelope
    for name in path.split("."):
        if not hasattr(value, name):
            raise NoSuchOrigin(f"the envelope of {envelope.phase} has no {path}.")
        value = getattr(value, name)
    if key is None:
        return value
    if not isinstance(value, Mapping) or key not in value:
        raise NoSuchOrigin(f"{path} of {envelope.phase} has no {key!r:.80}.")
    return value[key]


def _sum_of(numbers: Mapping[str, Any], field: str) -> float | None:
    """The sum over a pattern of pointers such as `/phases/*/cost`; None where one is unknown, but for the known sum."""
    found = _SUM.fullmatch(field)
    if found is None:
        raise NoSuchOrigin(f"{field!r:.80} says nothing that can be computed.")
    pattern = found[2].split("/")
    values = [value for pointer, value in numbers.items() if _matches(pointer.split("/"), pattern)]
    known = [value for value in values if value is not None]
    if len(known) < len(values) and not found[1]:
        return None
    return math.fsum(known) if any(isinstance(value, float) for value in known) else sum(known)


def _ratio(numbers: Mapping[str, Any], part: str, whole: str) -> float:
    if part not in numbers or not numbers.get(whole):
        raise NoSuchOrigin(f"there is no ratio of {part} to {whole}.")
    return float(numbers[part] / numbers[whole])


def _matches(pointer: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(pointer) == len(pattern) and all(b in ("*", a) for a, b in zip(pointer, pattern, strict=True))


def _key(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
