"""The processes that extract: one that imports the libraries once, and the workers that it forks.

`python -m enrich_assets.web.extraction_worker` reads orders from its standard input, a socket. With each order comes
a socket for a new worker; a worker reads pages from its socket and writes what they hold. Messages are lengths, JSON
and raw bytes: nothing in them can name code to run. Whoever loses the other end of a socket ends, and a page that
takes too long ends its worker by the kernel's alarm, so that nobody is left when the parent dies.

Which page goes where belongs to `web.extraction_pool`.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import struct
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from enrich_assets.core.errors import EnrichError, defect_error, is_own_defect
from enrich_assets.engine.clients import Extracted, Page

LENGTHS = struct.Struct("!II")
"""Before each message: the bytes of its JSON, and of the raw bytes after it."""
_NEARLY_ALL = 0.8


def packed(head: dict[str, Any], body_length: int = 0) -> bytes:
    """A message, up to the raw bytes."""
    data = json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return LENGTHS.pack(len(data), body_length) + data


def page_message(page: Page, selectors: Any, deadline: float, memory_bytes: int) -> bytes:
    """The order to extract one page within `deadline` seconds and `memory_bytes` more than the worker began with.

    The page's bytes follow it.
    """
    chosen = None if selectors is None else {name: getattr(selectors, name) for name in _SELECTORS}
    head = {
        "url": page.url,
        "final_url": page.final_url,
        "content_type": page.content_type,
        "charset": page.charset,
        "fetched_at": page.fetched_at.isoformat(),
        "selectors": chosen,
        "deadline": deadline,
        "memory": memory_bytes,
    }
    return packed(head, len(page.body))


def extracted_of(found: dict[str, Any]) -> Extracted:
    """What `asdict` made JSON of; raises TypeError, KeyError or ValueError where it is something else."""
    moment = found["published_at"]
    texts = {name: str(found[name]) for name in ("title", "author", "language", "text", "canonical_url", "method")}
    return Extracted(**texts, published_at=None if moment is None else datetime.fromisoformat(moment))


def as_json(found: Extracted) -> dict[str, Any]:
    """`found` as JSON can hold it."""
    moment = found.published_at
    return asdict(found) | {"published_at": None if moment is None else moment.isoformat()}


_SELECTORS = ("title", "author", "published", "text")


def main() -> None:
    """Imports what extraction needs, says so, and forks a worker for every socket that comes."""
    # The parent decides what a signal for the whole group means; it closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers leave nothing behind
    import dateparser  # noqa: F401
    import trafilatura  # noqa: F401

    import enrich_assets.web.extract  # noqa: F401

    gc.freeze()  # keeps the pages of memory shared with the workers
    orders = socket.socket(fileno=os.dup(0))
    orders.sendall(b"r")
    while True:
        order, handles, _, _ = socket.recv_fds(orders, 1, 1)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            os.close(0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                _work(socket.socket(fileno=handles[0]))
            finally:
                os._exit(0)
        for handle in handles:
            os.close(handle)


def _work(connection: socket.socket) -> None:
    with connection.makefile("rb") as pages:
        size = _memory("VmSize")
        while True:
            lengths = pages.read(LENGTHS.size)
            if len(lengths) < LENGTHS.size:
                return
            head_length, body_length = LENGTHS.unpack(lengths)
            head = json.loads(pages.read(head_length))
            body = pages.read(body_length)
            if size:
                resource.setrlimit(resource.RLIMIT_AS, (size + head["memory"], resource.RLIM_INFINITY))
            signal.setitimer(signal.ITIMER_REAL, head["deadline"])  # its signal ends the process, whatever runs
            peak = _memory("VmPeak")
            reply = _reply(head, body)
            signal.setitimer(signal.ITIMER_REAL, 0)
            # Trafilatura takes a document that it has no memory to parse for an empty one.
            if size and "found" in reply and not reply["found"]["text"]:
                most = _memory("VmPeak")
                if most > peak and most - size > _NEARLY_ALL * head["memory"]:
                    reply = {"memory": True}
            connection.sendall(packed(reply))


def _reply(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    from enrich_assets.web.extract import extract

    moment = datetime.fromisoformat(head["fetched_at"])
    page = Page(head["url"], head["final_url"], 200, head["content_type"], head["charset"], body, "", moment, "stored")
    chosen = None if head["selectors"] is None else SimpleNamespace(**head["selectors"])
    try:
        return {"found": as_json(extract(page, selectors=chosen))}
    except EnrichError as error:
        return {"error": error.what, "fix": error.fix, "kind": str(getattr(error, "kind", ""))}
    except MemoryError:
        return {"memory": True}
    except Exception as error:  # the boundary to the parent, which says of which page it was
        if is_own_defect(error):
            broken = defect_error(error)
            return {"broken": broken.what, "fix": broken.fix}
        return {"defect": f"{type(error).__name__}: {str(error)[:200]}"}


def _memory(name: str) -> int:
    """Bytes of address space by a name of proc(5), VmSize or VmPeak; 0 where the system does not say (no Linux)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


if __name__ == "__main__":
    main()
