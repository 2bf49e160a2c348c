"""Painting: marks and texts in inches as the dots of a PNG.

Belongs here: the one place that knows Pillow's canvas. Edges of rectangles and lines fall on whole dots, so that they
are sharp; discs and letters are smooth.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from enrich_assets.stats.figures.lettering import CAP, font, readable

if TYPE_CHECKING:
    from PIL.Image import Image

SEE_THROUGH = 0.6
"""Opacity of a disc."""
_COLOURS = 128
_FINER = 8
"""A disc is drawn so many times larger and made small, which smooths its edge."""


@dataclass(frozen=True)
class Text:
    """A line of text at a place in inches; `size` in points."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Literal["start", "middle", "end"]
    is_bold: bool
    is_upright: bool


def painted(width: float, height: float, marks: Sequence[tuple[str, Any]], texts: Sequence[Text], dpi: int) -> bytes:
    """A PNG of so many inches on a white ground with `dpi` dots an inch.

    Marks are ("box", (x, y, width, height, colour)), ("line", (x1, y1, x2, y2, colour, points)) and
    ("dot", (x, y, radius, colour)). Equal marks give equal bytes.
    """
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (round(width * dpi), round(height * dpi)), "white")
    draw = ImageDraw.Draw(canvas)
    for kind, mark in marks:
        if kind == "box":
            x, y, wide, high, colour = mark
            left, top, right, bottom = (round(value * dpi) for value in (x, y, x + wide, y + high))
            if right > left and bottom > top:
                draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)
        elif kind == "line":
            *ends, colour, points = mark
            draw.line([round(value * dpi) for value in ends], fill=colour, width=max(1, round(points / 72 * dpi)))
        else:
            x, y, radius, colour = mark
            mask = _disc(radius * dpi)
            canvas.paste(colour, (round(x * dpi - mask.width / 2), round(y * dpi - mask.height / 2)), mask)
    for text in texts:
        _write(canvas, text, dpi)
    raster = io.BytesIO()
    # Few colours with their shades: a palette takes a third of the bytes, and the eye sees no difference.
    flat = canvas.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # The nearest white that it finds is a shade darker. The first dot is ground: nothing is drawn in the corner.
    palette, ground = flat.getpalette() or [], flat.tobytes()[0]
    palette[3 * ground : 3 * ground + 3] = (255, 255, 255)
    flat.putpalette(palette)
    flat.save(raster, "PNG", dpi=(dpi, dpi))
    return raster.getvalue()


@lru_cache(maxsize=64)
def _disc(radius: float) -> Image:
    """The disc as a mask: how opaque each dot is."""
    from PIL import Image, ImageDraw

    across = max(1, round(2 * radius + 1))
    large = Image.new("L", (across * _FINER, across * _FINER))
    middle, far = across * _FINER / 2, radius * _FINER
    ImageDraw.Draw(large).ellipse(
        (middle - far, middle - far, middle + far, middle + far), fill=round(255 * SEE_THROUGH)
    )
    return large.reduce(_FINER)


def _write(canvas: Image, text: Text, dpi: int) -> None:
    from PIL import Image, ImageDraw

    letters, shown = font(text.size / 72 * dpi, text.is_bold), readable(text.text, 400)
    x, y, half = text.x * dpi, text.y * dpi, CAP / 2 * text.size / 72 * dpi
    if not text.is_upright:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
        ImageDraw.Draw(canvas).text((x, round(y + half)), shown, fill=text.colour, font=letters, anchor=anchor)
        return
    # Written across on a strip of its own, then turned to be read from below.
    strip = Image.new("L", (round(letters.getlength(shown)) + 4, round(4 * half) + 4))
    middle = (strip.width / 2, round(strip.height / 2 + half))
    ImageDraw.Draw(strip).text(middle, shown, fill=255, font=letters, anchor="ms")
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    canvas.paste(text.colour, (round(x - turned.width / 2), round(y - turned.height / 2)), turned)
