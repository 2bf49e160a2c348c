"""Sparks: figures the size of a word, as SVG of at most 700 characters. By hand: a plotting library's have 5 KB."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from enrich_assets.stats.figures.picture import BLUE, PURPLE, VERMILION

_WIDTH, _HEIGHT = 160, 32
SPARK_BARS = 24
_TITLE = 70
"""Characters of a title that is kept."""


def spark_columns(counts: Sequence[int], title: str) -> str:
    """Counts as columns, the highest as high as the picture; '' where there is nothing to show."""
    highest = max(counts, default=0)
    if highest <= 0:
        return ""
    step = max(1, min(20, _WIDTH // len(counts)))
    width = max(1, step - 1)
    parts = []
    for index, count in enumerate(counts):
        # What occurs at all is seen: at least one unit high.
        height = max(1, round(count / highest * (_HEIGHT - 1))) if count else 0
        if height:
            parts.append(f"M{index * step} {_HEIGHT}v-{height}h{width}v{height}z")
    return _svg(f'<path fill="{BLUE}" d="{"".join(parts)}"/>', title)


def spark_stack(counts: Sequence[int], title: str) -> str:
    """Up to three counts as one divided bar; '' where there is nothing to show."""
    total = sum(counts)
    if total <= 0:
        return ""
    parts, left = [], 0.0
    for count, colour in zip(counts, (BLUE, VERMILION, PURPLE), strict=False):
        width = count / total * _WIDTH
        if count:
            parts.append(f'<path fill="{colour}" d="M{left:.1f} 8h{width:.1f}v16h-{width:.1f}z"/>')
        left += width
    return _svg("".join(parts), title)


def _svg(inner: str, title: str) -> str:
    # The white ground keeps it readable on a dark page.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<title>{escape(title[:_TITLE])}</title><rect width="100%" height="100%" fill="#fff"/>{inner}</svg>'
    )
