"""Letters: the font of figures, how wide a text is in it, and texts that fit their place.

Belongs here: what can be said of a text before it is drawn. The font is DejaVu Sans, with its licence in `fonts/`.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FAMILY = "DejaVu Sans"
CAP = 0.73
"""Height of a capital letter, as a share of the size of the font."""
LABEL_CHARACTERS = 34
_FONTS = Path(__file__).parent / "fonts"
_MEASURED = 100.0
"""Size in which texts are measured: large, so that no rounding to whole dots is in it."""


@lru_cache(maxsize=64)
def font(size: float, is_bold: bool = False) -> FreeTypeFont:
    """The font with so many dots to an em."""
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    # The plain layout is the same on every machine; the other one is only there where its library is.
    return ImageFont.truetype(_FONTS / name, size, layout_engine=ImageFont.Layout.BASIC)


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
    # Scripts that the font lacks are shown by another one, as wide as it is high.
    narrow = "".join(c for c in text if not _is_wide(c))
    length = font(_MEASURED, is_bold).getlength(narrow) / _MEASURED
    return size * (length + sum(map(_is_wide, text))) / 72


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


def _is_wide(character: str) -> bool:
    """Whether a character takes two columns of a terminal (Unicode Standard Annex 11)."""
    return unicodedata.east_asian_width(character) in "WF"
