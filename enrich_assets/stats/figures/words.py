"""Words of figures: labels out of names."""

from __future__ import annotations


def label_of(label: str, column: str) -> str:
    """The label, or the column's name as words."""
    return label or column.replace("_", " ")


def capital(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]


def unit_of(label: str) -> str:
    """What a label such as `articles per source` counts."""
    return label.split(" per ", 1)[0] if " per " in label else "rows"
