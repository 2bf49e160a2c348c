"""What is asked of the web: one thing about one subject."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """`sought` of `about`: who or what an entity is, or a column of the row that a key names.

    A quote counts only if it names `about`. `hint` stands beside the name in the search: words that tell it from a
    namesake, or what is sought.
    """

    about: str
    sought: str
    hint: str = ""

    @property
    def query(self) -> str:
        """What is searched: the name as a phrase, and the hint."""
        name = self.about.replace('"', "")
        return f'"{name}" {self.hint}'.strip()
