"""A picture: rectangles, lines, dots and texts at places in inches; written as SVG, painted as PNG.

Belongs here: marks and their two forms. What is drawn where belongs to `charts`.

The SVG is written as it is; the PNG is painted by matplotlib's renderer from the same marks. Its axes are not used:
they take three times as long as all the rest, and neither keep labels apart nor from being cut.

Colours are of the Okabe–Ito palette (Okabe & Ito, 2008, "Color Universal Design"), which colour-blind people tell
apart. The ground is white, so that pictures are readable on dark pages.
"""

from __future__ import annotations

import io
import threading
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any, Literal

BLUE, VERMILION, PURPLE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#8A8A8A", "#222222"
QUIET, GRID = "#555555", "#E3E3E3"
WIDTH = 6.4
"""Inches; at 100 dots an inch 640 pixels."""
DPI = 100
MAX_PNG_BYTES = 30_000
"""Of a picture at 100 dots an inch, which may stand in Dagster's event log."""
LABEL_CHARACTERS = 34
_FAMILY = "DejaVu Sans"
_CAP = 0.73
"""Height of a capital letter, as a share of the size of the font."""
# matplotlib's fonts belong to the process: two threads that draw would change each other's.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Literal["start", "middle", "end"]
    is_bold: bool
    is_upright: bool


class Picture:
    """Marks on a white ground, `WIDTH` inches wide; x goes right and y goes down. Later marks cover earlier ones."""

    def __init__(self, height: float, title: str) -> None:
        self.height = height
        self.title = title
        self._marks: list[tuple[str, Any]] = []
        self._texts: list[_Text] = []

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle with its upper left corner at x, y."""
        self._marks.append(("box", (x, y, width, height, colour)))

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, points: float = 0.8) -> None:
        """A straight line, `points` thick."""
        self._marks.append(("line", (x1, y1, x2, y2, colour, points)))

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        """A disc, see-through, so that several in one place are darker."""
        self._marks.append(("dot", (x, y, radius, colour)))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 8.5,
        colour: str = INK,
        anchor: Literal["start", "middle", "end"] = "start",
        *,
        is_bold: bool = False,
        is_upright: bool = False,
    ) -> None:
        """One line of text whose capitals are centred on y; `is_upright` reads from below, centred on x and y."""
        self._texts.append(_Text(x, y, text, size, colour, anchor, is_bold, is_upright))

    def files(self, name: str, dpi: int = DPI) -> dict[str, bytes]:
        """`<name>.svg` and `<name>.png`. Equal pictures give equal bytes."""
        return {f"{name}.svg": self.svg(), f"{name}.png": self.png(dpi)}

    def svg(self) -> bytes:
        """The picture as SVG, whose unit is a hundredth of an inch; texts stay texts."""
        width, height = f"{WIDTH * 100:g}", f"{self.height * 100:.0f}"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' role="img" font-family="{_FAMILY}, Verdana, sans-serif"><title>{_plain(self.title)}</title>'
            '<rect width="100%" height="100%" fill="#fff"/>'
        ]
        for kind, mark in self._marks:
            numbers = [f"{value * 100:.1f}" for value in mark if isinstance(value, float | int)]
            if kind == "box":
                x, y, wide, high = numbers
                parts.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="{mark[4]}"/>')
            elif kind == "line":
                x, y, to_x, to_y, _ = numbers
                thick = f"{mark[5] / 0.72:.2f}"
                parts.append(
                    f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{mark[4]}" stroke-width="{thick}"/>'
                )
            else:
                x, y, radius = numbers
                parts.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{mark[3]}" fill-opacity="0.6"/>')
        parts += [_svg_text(text) for text in self._texts]
        return ("\n".join([*parts, "</svg>"]) + "\n").encode("utf-8")

    def png(self, dpi: int = DPI) -> bytes:
        """The picture as PNG; at 100 dots an inch or fewer it has at most 30 KB, with fewer dots where it needs to."""
        with _painting():
            found = b""
            for dots in (dpi, 80, 60, 45) if dpi <= DPI else (dpi,):
                found = self._painted(dots)
                if len(found) <= MAX_PNG_BYTES:
                    break
            return found

    def _painted(self, dpi: int) -> bytes:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import CircleCollection, LineCollection, PolyCollection
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        figure = Figure(figsize=(WIDTH, self.height), dpi=dpi, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        # From inches that count down to dots that count up.
        place = Affine2D().scale(dpi, -dpi).translate(0, self.height * dpi)
        for layer, (kind, marks) in enumerate(_runs(self._marks), 1):
            if kind == "box":
                corners = [((x, y), (x + w, y), (x + w, y + h), (x, y + h)) for x, y, w, h, _ in marks]
                drawn: Any = PolyCollection(
                    corners, facecolors=[m[4] for m in marks], edgecolors="none", transform=place
                )
                drawn.set_snap(True)
            elif kind == "line":
                drawn = LineCollection(
                    [((m[0], m[1]), (m[2], m[3])) for m in marks],
                    colors=[m[4] for m in marks],
                    linewidths=[m[5] for m in marks],
                    transform=place,
                )
                drawn.set_snap(True)
            else:
                # A collection's sizes are areas in square points.
                drawn = CircleCollection(
                    [3.14159 * (m[2] * 72) ** 2 for m in marks],
                    offsets=[(m[0], m[1]) for m in marks],
                    offset_transform=place,
                    facecolors=[m[3] for m in marks],
                    edgecolors="none",
                    alpha=0.6,
                )
            drawn.set_zorder(layer)
            figure.add_artist(drawn)
        for text in self._texts:
            x, y = place.transform((text.x, text.y))
            middle = "center" if text.is_upright else "baseline"
            figure.text(
                x / (WIDTH * dpi),
                (y if text.is_upright else y - _CAP / 2 * text.size / 72 * dpi) / (self.height * dpi),
                text.text,
                size=text.size,
                color=text.colour,
                zorder=10_000,
                weight="bold" if text.is_bold else "normal",
                ha={"start": "left", "middle": "center", "end": "right"}[text.anchor],
                va=middle,
                rotation=90 if text.is_upright else 0,
            )
        raster = io.BytesIO()
        canvas.print_png(raster, metadata={"Software": None})  # type: ignore[no-untyped-call]
        return raster.getvalue()


class Drawn:
    """A figure type that is one picture."""

    @property
    def name(self) -> str:
        """Name of its files, without extension."""
        raise NotImplementedError

    def picture(self, table: Any, outcome: Any) -> Picture:
        """What it shows."""
        raise NotImplementedError

    def draw(self, table: Any, outcome: Any, dpi: int = DPI) -> dict[str, bytes]:
        """`<name>.svg` and `<name>.png` with `dpi` dots an inch."""
        return self.picture(table, outcome).files(self.name, dpi)


def readable(text: str, longest: int = LABEL_CHARACTERS) -> str:
    """Text as a label: one line, no control characters, at most `longest` columns wide, cut with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    width = 0
    kept: list[str] = []
    for character in line:
        width += 2 if _is_wide(character) else 1
        if width > longest:
            return "".join(kept).rstrip() + "…"
        kept.append(character)
    return line


@lru_cache(maxsize=4096)
def width_of(text: str, size: float = 8.5, *, is_bold: bool = False) -> float:
    """Inches that a text takes."""
    with _one_at_a_time():
        from matplotlib.font_manager import FontProperties, findfont, get_font

        font = get_font(findfont(FontProperties(family=_FAMILY, weight="bold" if is_bold else "normal")))
        font.set_size(size, 72)
        font.set_text("".join(c for c in text if not _is_wide(c)), 0.0)
        # Scripts that the font lacks are shown by another one, as wide as it is high.
        points = float(font.get_width_height()[0]) / 64 + size * sum(map(_is_wide, text))
    return points / 72


def fitting(text: str, room: float, size: float = 8.5, *, is_bold: bool = False) -> str:
    """The text, cut with an ellipsis to what `room` inches hold."""
    shown = readable(text, 200)
    if width_of(shown, size, is_bold=is_bold) <= room:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(shown[:middle].rstrip() + "…", size, is_bold=is_bold) <= room:
            low = middle
        else:
            high = middle - 1
    return shown[:low].rstrip() + "…"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        # A script that the PNG's font lacks shows as boxes there; the SVG holds the text itself.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextmanager
def _painting() -> Iterator[None]:
    import matplotlib

    settings: Any = {"font.family": "sans-serif", "font.sans-serif": [_FAMILY], "text.parse_math": False}
    with _one_at_a_time(), matplotlib.rc_context(settings):
        yield


def _runs(marks: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Neighbours of one kind together: they are painted at once."""
    waiting: list[Any] = []
    kind = ""
    for this, mark in marks:
        if this != kind and waiting:
            yield kind, waiting
            waiting = []
        kind = this
        waiting.append(mark)
    if waiting:
        yield kind, waiting


def _svg_text(text: _Text) -> str:
    size = text.size / 0.72
    x, y = text.x * 100, text.y * 100
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if text.is_upright else ""
    bold = ' font-weight="bold"' if text.is_bold else ""
    return (
        f'<text x="{x:.1f}" y="{y + _CAP / 2 * size:.1f}" font-size="{size:.1f}" fill="{text.colour}"'
        f' text-anchor="{text.anchor}"{bold}{turned}>{_plain(text.text)}</text>'
    )


def _plain(text: str) -> str:
    return escape(readable(text, 400))


def _is_wide(character: str) -> bool:
    """Whether a character takes two columns of a terminal (Unicode Standard Annex 11)."""
    return unicodedata.east_asian_width(character) in "WF"
