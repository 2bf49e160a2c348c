"""Charts out of plain numbers: bars, columns, points, a grid of shades, spreads. Each makes a `Picture`.

Belongs here: how a chart is laid out, so that no label is cut and none touches another. What is counted belongs to the
figure types.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from enrich_assets.stats.figures.lettering import fitting, readable, width_of
from enrich_assets.stats.figures.picture import (
    BLUE,
    GREY,
    GRID,
    INK,
    PURPLE,
    QUIET,
    VERMILION,
    WIDTH,
    Picture,
)

COLOURS = {"kept": BLUE, "dropped": VERMILION, "failed": PURPLE, "rest": GREY}
NO_ROWS = "no rows"
_RIGHT = 0.3
_ROW = 0.27
_GAP = 0.08
_HEIGHT = 3.2


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to inches between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


def bars(
    title: str,
    names: Sequence[str],
    numbers: Sequence[float],
    x_label: str,
    *,
    kinds: Sequence[str] = (),
    texts: Sequence[str] = (),
    note: str = "",
    behind: Sequence[float] = (),
    nothing: str = NO_ROWS,
) -> Picture:
    """A horizontal bar a name, top down. `kinds` (kept, dropped, failed, rest) colour them; `texts` stand at their
    ends, the numbers by default; `behind` are pale bars behind them. Without numbers above 0 it says `nothing`."""
    if not names or max((*numbers, *behind), default=0) <= 0:
        return _empty(title, x_label, nothing, note)
    labels = [readable(name) for name in names]
    texts = texts or [number_text(number) for number in numbers]
    height, top = 1.2 + _ROW * len(names), 0.5
    picture = _headed(height, title, note)
    left = 0.2 + max(width_of(label) for label in labels) + _GAP
    right = WIDTH - _RIGHT - max(width_of(text, 8) for text in texts)
    scale = Scale(0, max((*numbers, *behind)), left, right)
    bottom = top + _ROW * len(names)
    _x_axis(picture, scale, bottom, x_label, _ticks_within(scale, whole=_are_whole((*numbers, *behind))))
    for place, (label, number, text) in enumerate(zip(labels, numbers, texts, strict=True)):
        y = top + _ROW * (place + 0.5)
        if behind:
            picture.box(left, y - 0.1, scale.at(behind[place]) - left, 0.2, "#CFE3F1")
        if number > 0:
            picture.box(left, y - 0.1, scale.at(number) - left, 0.2, COLOURS[kinds[place]] if kinds else BLUE)
        picture.text(left - _GAP, y, label, anchor="end")
        ends = max(number, behind[place]) if behind else number
        picture.text(scale.at(ends) + 0.05, y, text, size=8)
    picture.line(left, top, left, bottom, INK)
    return picture


def columns(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    x_label: str,
    y_label: str,
    *,
    note: str = "",
    marks: Sequence[tuple[float, str]] = (),
    places: Sequence[tuple[float, str]] = (),
) -> Picture:
    """A column a bin between its edges. `marks` are values with a word each, drawn as lines from top to bottom;
    `places` are values of the x axis with their labels, of which as many are shown as there is room for."""
    if not sum(counts):
        return _empty(title, x_label, NO_ROWS, note)
    picture = _headed(_HEIGHT, title, note)
    wanted = [value for value, _ in marks]
    low, high = min((edges[0], *wanted)), max((edges[-1], *wanted))
    spare = (high - low) * 0.02 if marks else 0.0
    top, bottom = 0.75 if marks else 0.55, _HEIGHT - 0.62
    up = Scale(0, max(counts) * 1.04, bottom, top)
    left = _y_axis(picture, up, y_label, ticks(0, max(counts), 6, whole=True))
    across = Scale(low - spare, high + spare, left, WIDTH - _RIGHT)
    width = across.at(edges[1]) - across.at(edges[0])
    gap = min(0.02, width * 0.1)
    for (start, end), count in zip(pairwise(edges), counts, strict=True):
        if count:
            x = across.at(start)
            picture.box(x + gap / 2, up.at(count), max(0.01, across.at(end) - x - gap), bottom - up.at(count), BLUE)
    whole = all(end - start == 1 for start, end in pairwise(edges))
    _x_axis(picture, across, bottom, x_label, _shown(across, places) if places else _ticks_within(across, whole=whole))
    _marks(picture, across, marks, top, bottom)
    return picture


def points(
    title: str, xs: Sequence[float], ys: Sequence[float], x_label: str, y_label: str, *, note: str = ""
) -> Picture:
    """A dot a pair."""
    if not len(xs):
        return _empty(title, x_label, NO_ROWS, note)
    picture = _headed(3.6, title, note)
    top, bottom = 0.55, 3.6 - 0.62
    up = _padded(min(ys), max(ys), bottom, top)
    left = _y_axis(picture, up, y_label, ticks(up.low, up.high, 6))
    across = _padded(min(xs), max(xs), left, WIDTH - _RIGHT)
    _x_axis(picture, across, bottom, x_label, _ticks_within(across))
    for x, y in zip(xs, ys, strict=True):
        picture.dot(across.at(x), up.at(y), 0.045, BLUE)
    return picture


def grid(
    title: str,
    rows: Sequence[str],
    starts: Sequence[str],
    counts: Sequence[Sequence[int]],
    x_label: str,
    unit: str,
    *,
    note: str = "",
) -> Picture:
    """A shade for each pair of row and column, the darker the more; the number stands in it where there is room.

    `rows` are named at the left, `starts` below."""
    most = max((max(row, default=0) for row in counts), default=0)
    if not most:
        return _empty(title, x_label, NO_ROWS, note)
    labels = [readable(name) for name in rows]
    top, height = 0.5, 1.25 + _ROW * len(rows)
    bottom = top + _ROW * len(rows)
    picture = _headed(height, title, f"darkest: {most:,} {unit}" + (f" · {note}" if note else ""))
    left = 0.2 + max(width_of(label) for label in labels) + _GAP
    across = Scale(0, len(starts), left, WIDTH - _RIGHT)
    cell = across.at(1) - left
    fits = width_of(f"{most:,}", 8) + 0.04 <= cell
    for place, (label, row) in enumerate(zip(labels, counts, strict=True)):
        y = top + _ROW * place
        picture.text(left - _GAP, y + _ROW / 2, label, anchor="end")
        for column, count in enumerate(row):
            share = count / most
            picture.box(across.at(column) + 0.01, y + 0.01, cell - 0.02, _ROW - 0.02, _shade(share if count else 0))
            if count and fits:
                colour = "#FFFFFF" if share > 0.55 else INK
                picture.text(across.at(column + 0.5), y + _ROW / 2, f"{count:,}", 8, colour, "middle")
    _x_axis(picture, across, bottom, x_label, _shown(across, [(i + 0.5, s) for i, s in enumerate(starts)]), line=False)
    return picture


def spreads(
    title: str, names: Sequence[str], quantiles: Sequence[Sequence[float]], x_label: str, *, note: str = ""
) -> Picture:
    """A line a name from its least to its largest value, a bar over the middle half, a mark at the median, which is
    written at the right. `quantiles` are the five numbers of each (Tukey 1977)."""
    if not names:
        return _empty(title, x_label, NO_ROWS, note)
    labels = [readable(name) for name in names]
    row, top = 0.34, 0.72
    height = top + row * len(names) + 0.7
    picture = _headed(height, title, note)
    left = 0.2 + max(width_of(label) for label in labels) + _GAP
    texts = [number_text(five[2]) for five in quantiles]
    right = WIDTH - _RIGHT - max(max(width_of(text, 8) for text in texts), width_of("median", 8)) - _GAP
    across = _padded(min(f[0] for f in quantiles), max(f[4] for f in quantiles), left, right)
    bottom = top + row * len(names)
    shown = _ticks_within(across)
    for value, _ in shown:
        picture.line(across.at(value), top, across.at(value), bottom, GRID)
    picture.text(WIDTH - _RIGHT, top - 0.1, "median", 8, QUIET, "end")
    for place, (label, five, text) in enumerate(zip(labels, quantiles, texts, strict=True)):
        y = top + row * (place + 0.5)
        least, lower, median, upper, largest = (across.at(value) for value in five)
        picture.text(left - _GAP, y, label, anchor="end")
        picture.line(least, y, largest, y, GREY, 1.4)
        picture.box(lower, y - 0.09, max(0.02, upper - lower), 0.18, BLUE)
        picture.box(median - 0.018, y - 0.13, 0.036, 0.26, INK)
        picture.text(WIDTH - _RIGHT, y, text, 8, anchor="end")
    _x_axis(picture, across, bottom, x_label, shown)
    return picture


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round values between two, at most `most`: steps of 1, 2 or 5 times a power of ten (Heckbert 1990)."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999_999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [value * step for value in range(first, math.floor(high / step + 1e-9) + 1)]


def number_text(number: float) -> str:
    """A number as people read it: three digits that count, thousands set apart."""
    if float(number).is_integer() or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:,.3g}" if abs(number) >= 0.0001 else f"{number:.1e}"


def _are_whole(numbers: Sequence[float]) -> bool:
    return all(float(number).is_integer() for number in numbers)


def _shade(share: float) -> str:
    """From nearly white to blue; one that occurs at all is seen."""
    if not share:
        return "#F3F3F3"
    amount = 0.18 + 0.82 * share
    mixed = [round(255 + (part - 255) * amount) for part in (0x00, 0x72, 0xB2)]
    return "#" + "".join(f"{part:02X}" for part in mixed)


def _padded(low: float, high: float, start: float, end: float) -> Scale:
    spread = (high - low) * 0.04 or abs(low) * 0.1 or 1.0
    return Scale(low - spread, high + spread, start, end)


def _headed(height: float, title: str, note: str) -> Picture:
    picture = Picture(height, title)
    shown = fitting(title, WIDTH - 0.4, 11, is_bold=True)
    picture.text(0.18, 0.24, shown, 11, is_bold=True)
    room = WIDTH - 0.6 - width_of(shown, 11, is_bold=True)
    if note and room > 0.5:
        picture.text(WIDTH - 0.2, 0.24, fitting(note, room, 8), 8, QUIET, "end")
    return picture


def _empty(title: str, x_label: str, said: str, note: str) -> Picture:
    picture = _headed(1.6, title, note)
    picture.text(WIDTH / 2, 0.85, said, 12, QUIET, "middle")
    picture.text(WIDTH / 2, 1.35, readable(x_label, 80), 9, QUIET, "middle")
    return picture


def _y_axis(picture: Picture, scale: Scale, label: str, values: Sequence[float]) -> float:
    """Draws it with its grid; gives where it stands."""
    texts = [number_text(value) for value in values]
    left = 0.45 + max(width_of(text) for text in texts) + _GAP
    for value, text in zip(values, texts, strict=True):
        picture.line(left, scale.at(value), WIDTH - _RIGHT, scale.at(value), GRID)
        picture.text(left - _GAP, scale.at(value), text, anchor="end")
    picture.text(0.26, (scale.start + scale.end) / 2, fitting(label, 2.2, 9), 9, INK, "middle", is_upright=True)
    return left


def _x_axis(
    picture: Picture,
    scale: Scale,
    y: float,
    label: str,
    shown: Sequence[tuple[float, str]],
    *,
    line: bool = True,
) -> None:
    if line:
        picture.line(scale.start, y, scale.end, y, INK)
    for value, text in shown:
        if line:
            picture.line(scale.at(value), y, scale.at(value), y + 0.04, INK)
        picture.text(scale.at(value), y + 0.14, text, anchor="middle")
    picture.text((scale.start + scale.end) / 2, y + 0.38, fitting(label, WIDTH - 0.6, 9), 9, anchor="middle")


def _ticks_within(scale: Scale, *, whole: bool = False) -> list[tuple[float, str]]:
    """As many round values as the axis has room for."""
    for most in range(9, 1, -1):
        found = [(value, number_text(value)) for value in ticks(scale.low, scale.high, most, whole=whole)]
        if _are_apart(scale, found):
            return found
    return found[:1]


def _shown(scale: Scale, places: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Every first, second, third … of the places, so that labels do not touch, none beyond the picture."""
    for step in range(1, len(places) + 1):
        found = list(places[::step])
        if _are_apart(scale, found):
            break
    return [
        (value, text)
        for value, text in found
        if scale.at(value) + width_of(text) / 2 < WIDTH and scale.at(value) - width_of(text) / 2 > 0
    ]


def _are_apart(scale: Scale, shown: Sequence[tuple[float, str]]) -> bool:
    return all(
        scale.at(after) - scale.at(before) - (width_of(first) + width_of(second)) / 2 >= 0.12
        for (before, first), (after, second) in pairwise(shown)
    )


def _marks(picture: Picture, scale: Scale, marks: Sequence[tuple[float, str]], top: float, bottom: float) -> None:
    """Lines with their words above; words that would touch are set to the two sides of their lines."""
    for place, (value, word) in enumerate(marks):
        x = scale.at(value)
        picture.line(x, top - 0.08, x, bottom, VERMILION, 1.4)
        is_left = len(marks) > 1 and place < len(marks) / 2
        room = x - 0.1 if is_left else WIDTH - 0.1 - x
        anchor_left = is_left if width_of(word, 8) < room else not is_left
        picture.text(
            x + (-0.05 if anchor_left else 0.05), top - 0.12, word, 8, VERMILION, "end" if anchor_left else "start"
        )
