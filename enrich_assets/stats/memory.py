"""How much memory the process has taken. Linux and macOS; elsewhere nothing is known."""

from __future__ import annotations

import sys


def peak_memory_bytes() -> int | None:
    """The most memory (resident set, bytes) that this process has had at any time, by getrusage(2); None where the
    system does not say. It never falls: of several phases in one process, a later one has at least the earlier one's.
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
