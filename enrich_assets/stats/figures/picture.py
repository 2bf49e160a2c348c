"""A picture: rectangles, lines, dots and texts at places in inches; written as SVG, painted as PNG.

Belongs here: marks and their two forms. What is drawn where belongs to `charts`.

The SVG is written as it is, the PNG painted from the same marks. A plotting library's axes are not used: they take
many times as long, and neither keep labels apart nor from being cut.

Colours are of the Okabe–Ito palette (Okabe & Ito, 2008, "Color Universal Design"), which colour-blind people tell
apart. The ground is white, so that pictures are readable on dark pages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import Any, Literal

from enrich_assets.stats.figures.lettering import CAP, FAMILY, readable
from enrich_assets.stats.figures.painting import Text, painted

BLUE, VERMILION, PURPLE, GREY, INK = "#0072B2", "#D55E00", "#CC79A7", "#8A8A8A", "#222222"
QUIET, GRID = "#555555", "#E3E3E3"
WIDTH = 6.4
"""Inches; at 100 dots an inch 640 pixels."""
DPI = 100
MAX_PNG_BYTES = 30_000
"""Of a picture at 100 dots an inch, which may stand in Dagster's event log."""


class Picture:
    """Marks on a white ground, `WIDTH` inches wide; x goes right and y goes down. Later marks cover earlier ones."""

    def __init__(self, height: float, title: str) -> None:
        self.height = height
        self.title = title
        self._marks: list[tuple[str, Any]] = []
        self._texts: list[Text] = []

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
        self._texts.append(Text(x, y, text, size, colour, anchor, is_bold, is_upright))

    def files(self, name: str, dpi: int = DPI) -> dict[str, bytes]:
        """`<name>.svg` and `<name>.png`. Equal pictures give equal bytes."""
        return {f"{name}.svg": self.svg(), f"{name}.png": self.png(dpi)}

    def svg(self) -> bytes:
        """The picture as SVG, whose unit is a hundredth of an inch; texts stay texts."""
        width, height = f"{WIDTH * 100:g}", f"{self.height * 100:.0f}"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' role="img" font-family="{FAMILY}, Verdana, sans-serif"><title>{_plain(self.title)}</title>'
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
        found = b""
        for dots in (dpi, 80, 60, 45) if dpi <= DPI else (dpi,):
            found = painted(WIDTH, self.height, self._marks, self._texts, dots)
            if len(found) <= MAX_PNG_BYTES:
                break
        return found


class Drawn(ABC):
    """A figure type that is one picture."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of its files, without extension."""

    @abstractmethod
    def picture(self, table: Any, outcome: Any) -> Picture:
        """What it shows."""

    def draw(self, table: Any, outcome: Any, dpi: int = DPI) -> dict[str, bytes]:
        """`<name>.svg` and `<name>.png` with `dpi` dots an inch."""
        return self.picture(table, outcome).files(self.name, dpi)


def _svg_text(text: Text) -> str:
    size = text.size / 0.72
    x, y = text.x * 100, text.y * 100
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if text.is_upright else ""
    bold = ' font-weight="bold"' if text.is_bold else ""
    return (
        f'<text x="{x:.1f}" y="{y + CAP / 2 * size:.1f}" font-size="{size:.1f}" fill="{text.colour}"'
        f' text-anchor="{text.anchor}"{bold}{turned}>{_plain(text.text)}</text>'
    )


def _plain(text: str) -> str:
    return escape(readable(text, 400))
