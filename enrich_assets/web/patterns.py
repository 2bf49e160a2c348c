"""Regular expressions that people write into settings: compiled within bounds, matched within a deadline."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

LONGEST_PATTERN = 1000
LONGEST_MATCH_SECONDS = 0.5
LONGEST_MATCHING_SECONDS = 5.0

# Counted repeats are written out when a pattern is compiled: ((a{1000}){1000}){1000} would fill the memory.
_MOST_REPEATS = 1_000_000
_REPEAT = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}")


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether `pattern` matches anywhere in a text.

    Raises ValueError saying what is wrong with the pattern. The function raises TimeoutError when one text takes
    longer than `LONGEST_MATCH_SECONDS`, or all of them together longer than `LONGEST_MATCHING_SECONDS`.
    """
    import regex

    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    repeats = 1
    for counts in _REPEAT.findall(pattern):
        # Read as text first: a count of thousands of digits is no number that Python likes to read.
        repeats *= max(1, *(int(count[:9]) for count in counts if count), 1)
        if repeats > _MOST_REPEATS:
            raise ValueError(f"its counted repeats multiply to more than {_MOST_REPEATS:,}")
    try:
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"it is no regular expression ({error})") from None
    left = LONGEST_MATCHING_SECONDS

    def matches(text: str) -> bool:
        nonlocal left
        if left <= 0:
            raise TimeoutError
        began = time.monotonic()
        # concurrent: without the interpreter's lock, so that other threads go on.
        found = compiled.search(text, timeout=LONGEST_MATCH_SECONDS, concurrent=True)
        left -= time.monotonic() - began
        return found is not None

    return matches
