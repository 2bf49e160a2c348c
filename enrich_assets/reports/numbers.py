"""The numbers of a report: every one with its origin, and whether it is what the artifacts say.

Reading what an origin names belongs to `origins`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from enrich_assets.core.errors import ArtifactError
from enrich_assets.graphs.intelligence.report_content import Origin
from enrich_assets.reports import text
from enrich_assets.reports.origins import Artifacts, NoSuchOrigin, origin_text, resolve

Value = int | float | None


@dataclass(frozen=True)
class Number:
    """One number of a report: where it stands in the content (JSON pointer), and where it comes from."""

    pointer: str
    value: Value
    origin: Origin

    def as_json(self) -> dict[str, Any]:
        """pointer, value, artifact, field, row_id."""
        return {"pointer": self.pointer, "value": self.value, **self.origin.model_dump()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Number:
        """The number of an entry of `numbers.json`."""
        origin = Origin(artifact=entry["artifact"], field=entry["field"], row_id=entry["row_id"])
        return cls(str(entry["pointer"]), entry["value"], origin)


@dataclass(frozen=True)
class Page:
    """What a page shows: the report type that it names, and (pointer, text) of each number."""

    report: str
    found: list[tuple[str, str]]


def numbers_of(content: Mapping[str, Any]) -> list[Number]:
    """Every number that a content's `provenance` names; raises NoSuchOrigin for a pointer that leads nowhere."""
    found = []
    for pointer, origin in (content.get("provenance") or {}).items():
        found.append(Number(pointer, resolve(content, pointer), Origin.model_validate(origin)))
    return found


def disagreeing(report: str, own: str, numbers: Sequence[Number], artifacts: Artifacts) -> Iterator[str]:
    """A sentence for each number of a report that is not what its origin says now; `own` is its name in origins."""
    values = {number.pointer: number.value for number in numbers}
    for number in numbers:
        place = f"{report} {number.pointer}"
        try:
            value = artifacts.value(number.origin, own, values)
        except (NoSuchOrigin, ArtifactError) as error:
            yield f"{place} says {_told(number.value)}, but {origin_text(number.origin)} cannot be read: {error.what}"
            continue
        if not _is_same(value, number.value):
            yield f"{place} says {_told(number.value)}; {origin_text(number.origin)} is {_told(value)}."


def page_of(html: str) -> Page:
    """What a page shows: its report type, and pointer and text of each number."""
    reader = _Shown()
    reader.feed(html)
    reader.close()
    return Page(reader.report, reader.found)


def shown_wrongly(file: str, page: Page, numbers: Mapping[str, Number]) -> Iterator[str]:
    """A sentence for each number that a page does not show as it is."""
    for pointer, told in page.found:
        number = numbers.get(pointer)
        if number is None:
            yield f"{file} shows {told!r:.40} for {pointer!r:.80}, no number of the report {page.report!r:.20}."
        elif told not in _renderings(number.value):
            yield f"{file} shows {told!r:.40} for {pointer}, which is {_told(number.value)}."


def listed_numbers(data: bytes) -> dict[str, list[Number]]:
    """Numbers by report type, out of a `numbers.json`; raises NoSuchOrigin for a file that is none."""
    try:
        whole = json.loads(data)
        return {str(name): [Number.from_json(entry) for entry in found] for name, found in whole["reports"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoSuchOrigin(f"it is no list of numbers ({type(error).__name__}).") from error


def _is_same(one: Any, other: Any) -> bool:
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return False
    # Sums are made in another order than the report made them.
    return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _told(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.40}"


def _renderings(value: Value) -> set[str]:
    """Every way in which a page may write the number."""
    usd = text.usd(value)
    told = {text.number(value), text.points(value), usd, usd.removesuffix(" USD"), text.percent(value)}
    if value is not None:
        told |= {text.seconds(value), text.size(value)}
        told |= {text.counted(int(value), one, many) for one, many in text.COUNTED_IN_PAGES}
    return told


class _Shown(HTMLParser):
    """Collects pointer and text of every element that shows a number."""

    def __init__(self) -> None:
        super().__init__()
        self.report = ""
        self.found: list[tuple[str, str]] = []
        self._pointer: str | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.report = named.get("data-report") or self.report
        pointer = named.get("data-number")
        if pointer is not None:
            self._pointer, self._text = pointer, []

    def handle_data(self, data: str) -> None:
        if self._pointer is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._pointer is not None and tag == "span":
            self.found.append((self._pointer, "".join(self._text).strip()))
            self._pointer = None
