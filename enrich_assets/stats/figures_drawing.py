"""Drawing with matplotlib's object interface: one chart → SVG and PNG. No pyplot, no global figure, no counting.

Colours are of the Okabe–Ito palette (Okabe & Ito, 2008, "Color Universal Design"), which colour-blind people tell
apart. The ground is white, so that figures are readable on dark pages.
"""

from __future__ import annotations

import io
import threading
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal

BLUE, VERMILION, PURPLE, GREY, INK = "#0072B2", "#D55E00", "#CC79A7", "#8A8A8A", "#222222"
MAX_PNG_BYTES = 30_000
_COLOURS = {"kept": BLUE, "dropped": VERMILION, "failed": PURPLE}
_LABEL_CHARACTERS = 34
_DATES_SHOWN = 6
_WIDTH = 6.4
"""Inches; at 100 dots an inch 640 pixels."""
# matplotlib's settings belong to the process: two threads that draw would read each other's.
_ONE_AT_A_TIME = threading.Lock()
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "enrich_assets",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Chart:
    """What is drawn. `columns`: `places` are bin edges. `days`: first days of bins. `bars`: names, top down."""

    kind: Literal["columns", "days", "bars"]
    name: str
    title: str
    x_label: str
    y_label: str
    counts: Sequence[int]
    places: Sequence[Any]
    note: str = ""
    muted: Sequence[int] = ()
    """bars: indexes that are drawn in grey."""
    colours: Sequence[str] = ()
    """bars: kept, dropped or failed for each."""


def draw_chart(chart: Chart) -> dict[str, bytes]:
    """`<name>.svg` and `<name>.png` of a chart. Equal charts give equal bytes; without counts it says "no rows"."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _ONE_AT_A_TIME, matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A script that the PNG's font lacks shows as boxes there; the SVG holds the text itself.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        height = 1.35 + 0.27 * len(chart.counts) if chart.kind == "bars" and chart.counts else 3.2
        figure = Figure(figsize=(_WIDTH, max(2.0, height)), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        _fill(figure, chart)
        vector = io.BytesIO()
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
        return {f"{chart.name}.svg": vector.getvalue(), f"{chart.name}.png": _png(figure)}


def readable(text: str, longest: int = _LABEL_CHARACTERS) -> str:
    """Text as a label: one line, no control characters, at most `longest` columns wide, cut with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    width = 0
    kept: list[str] = []
    for character in line:
        width += _columns(character)
        if width > longest:
            return "".join(kept).rstrip() + "…"
        kept.append(character)
    return line


def _png(figure: Any) -> bytes:
    for dots in (100, 80, 60):
        raster = io.BytesIO()
        figure.savefig(raster, format="png", dpi=dots, metadata={"Software": None})
        if len(raster.getvalue()) <= MAX_PNG_BYTES:
            break
    return raster.getvalue()


def _fill(figure: Any, chart: Chart) -> None:
    height = figure.get_figheight()
    labels = [readable(str(place)) for place in chart.places] if chart.kind == "bars" else []
    widest = max((sum(_columns(c) for c in label) for label in labels), default=0)
    left = 0.25 + 0.083 * widest if labels else 0.75
    bottom, top = 0.6, 0.45
    axes = figure.add_axes(
        (left / _WIDTH, bottom / height, (_WIDTH - left - 0.35) / _WIDTH, (height - bottom - top) / height)
    )
    title = readable(chart.title, 60)
    figure.text(0.18 / _WIDTH, 1 - 0.15 / height, title, size=11, weight="bold", va="top", color=INK)
    if chart.note:
        figure.text(1 - 0.2 / _WIDTH, 1 - 0.18 / height, chart.note, size=8, va="top", ha="right", color="#555555")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8.5, colors=INK, length=3)
    if not sum(chart.counts):
        _say_no_rows(axes)
    elif chart.kind == "bars":
        _bars(axes, chart, labels)
    else:
        _columns_over(axes, chart)
    axes.set_xlabel(readable(chart.x_label, 80), size=9, color=INK)
    axes.set_ylabel(readable(chart.y_label, 40), size=9, color=INK)


def _say_no_rows(axes: Any) -> None:
    axes.text(0.5, 0.5, "no rows", transform=axes.transAxes, ha="center", va="center", size=12, color="#555555")
    axes.set_xticks([])
    axes.set_yticks([])


def _bars(axes: Any, chart: Chart, labels: list[str]) -> None:
    places = list(range(len(labels)))
    colours = [_COLOURS[c] for c in chart.colours] or [GREY if i in chart.muted else BLUE for i in places]
    axes.barh(places, chart.counts, color=colours, height=0.72)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0)
    highest = max(chart.counts)
    axes.set_xlim(0, highest * 1.12)
    for place, count in zip(places, chart.counts, strict=True):
        axes.text(count + highest * 0.01, place, f"{count:,}", va="center", size=8, color=INK)
    _whole_numbers(axes.xaxis)


def _columns_over(axes: Any, chart: Chart) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates

    if chart.kind == "days":
        starts: list[float] = [float(dates.date2num(place)) for place in chart.places]
        width = min((b - a for a, b in pairwise(starts)), default=1.0)
        axes.bar(starts, chart.counts, width=width * 0.9, color=BLUE)
        spare = max(0.0, 6 - len(starts)) * width / 2
        axes.set_xlim(starts[0] - width * 0.6 - spare, starts[-1] + width * 0.6 + spare)
        # A label every few bins says which bin it is; a date axis of its own would shorten it by context.
        shown = range(0, len(starts), -(-len(starts) // _DATES_SHOWN))
        axes.set_xticks([starts[i] for i in shown], [_day_text(chart.places[i], width) for i in shown])
    else:
        edges = list(chart.places)
        widths = [b - a for a, b in pairwise(edges)]
        axes.bar(edges[:-1], chart.counts, width=widths, align="edge", color=BLUE, edgecolor="white", linewidth=0.8)
        axes.set_xlim(edges[0], edges[-1])
        if all(width == 1 for width in widths):
            _whole_numbers(axes.xaxis, most=12)
    axes.set_ylim(0, max(chart.counts) * 1.08)
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    _whole_numbers(axes.yaxis)


def _whole_numbers(axis: Any, most: int = 6) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _day_text(day: date, width: float) -> str:
    if width >= 365:
        return f"{day.year:04}"
    return f"{day:%Y-%m}" if width >= 28 else f"{day:%Y-%m-%d}"


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes (Unicode Standard Annex 11)."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
