"""Processes that extract pages: started when they pay, bounded in time and memory, replaced when they die.

What happens in them belongs to `web.extraction_worker`, what a page holds to `web.extract`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from enrich_assets.core.errors import DeclarationError, EnrichError, FinalError
from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web.extraction_worker import LENGTHS, extracted_of, page_message

_MODULE = "enrich_assets.web.extraction_worker"
_MOST_WORKERS = 8
DEADLINE_SECONDS = 20.0
"""Longest time for one page: a real page of 1 MB takes half a second."""
MEMORY_BYTES = 90_000_000
"""What a worker may take for a page above what it has after its imports; real pages of 1 MB take 40 MB."""
_START_SECONDS = 60.0
_GRACE_SECONDS = 5.0
HEAVY_BYTES = 1_500_000
HEAVY_TAGS = 25_000
"""Pages above one of these take turns in a worker of their own, so that only one at a time takes much memory, and
none holds up the others."""


class ExtractionPool:
    """Extracts pages in processes. `workers` at once, by default one a usable core.

    No process is started before the first page. Every worker is forked from one process that has imported what
    extraction needs, so that another one costs a few milliseconds and shares its memory.
    """

    def __init__(
        self, workers: int | None = None, *, deadline: float = DEADLINE_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.workers = workers or min(usable_cores(), _MOST_WORKERS)
        self._deadline = deadline
        self._memory_bytes = memory_bytes
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="extraction")
        self._heavy = ThreadPoolExecutor(1, thread_name_prefix="extraction-heavy")
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._factory: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._closed = False
        self.ready = False

    def submit(self, page: Page, selectors: PageSelectors | None) -> Future[Extracted]:
        """Begins to extract a page; the result raises FinalError of kind `not_html` or `extraction`."""
        if is_heavy(page):
            return self._heavy.submit(self._extract, page, selectors, keep=False)
        return self._threads.submit(self._extract, page, selectors, keep=True)

    def start(self) -> Future[None]:
        """Begins to start the processes before there is a page for them."""
        return self._threads.submit(self._start)

    def close(self) -> None:
        """Ends the processes. Pages that wait are given up."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._heavy.shutdown(wait=False, cancel_futures=True)
        starting = self._factory  # the lock is held while it starts
        if starting is not None:
            starting[0].kill()
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._end_factory()

    def _extract(self, page: Page, selectors: PageSelectors | None, *, keep: bool) -> Extracted:
        began = time.monotonic()
        connection = self._connection()
        try:
            connection.settimeout(self._deadline + _GRACE_SECONDS)
            connection.sendall(page_message(page, selectors, self._deadline, self._memory_bytes))
            connection.sendall(page.body)
            reply = _received(connection)
            if "found" not in reply:
                raise _refusal(page, reply, self._memory_bytes)
            found = extracted_of(reply["found"])
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            connection.close()
            raise self._lost(page, time.monotonic() - began) from None
        except BaseException:
            connection.close()  # after a page that it had no memory for, a worker is not used again
            raise
        if keep:
            self._give_back(connection)
        else:
            connection.close()
        return found

    def _lost(self, page: Page, seconds: float) -> FinalError:
        if seconds >= self._deadline:
            what = f"its extraction took longer than {self._deadline:g} seconds and was ended."
        else:
            what = "the process that extracted it ended; the system may have been out of memory."
        return _failure(page, what)

    def _start(self) -> None:
        self._give_back(self._connection())
        self.ready = True

    def _give_back(self, connection: socket.socket) -> None:
        with self._lock:
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _connection(self) -> socket.socket:
        """An idle worker, or a new one. Raises FinalError where none can be started."""
        with self._lock:
            while self._idle:
                idle = self._idle.pop()
                if _is_alive(idle):
                    return idle
                idle.close()
            for attempt in (1, 2):
                if self._closed:
                    raise FinalError("the extraction of pages was ended.", kind="extraction")
                ours, theirs = socket.socketpair()
                try:
                    socket.send_fds(self._orders(), [b"w"], [theirs.fileno()])
                except OSError as error:
                    ours.close()
                    self._end_factory()
                    if attempt == 2:
                        raise FinalError(
                            f"no process for the extraction of pages could be started: {error}.",
                            fix="Look at the memory and the process limit of this machine.",
                            kind="extraction",
                        ) from None
                else:
                    return ours
                finally:
                    theirs.close()
            raise AssertionError("unreachable")

    def _orders(self) -> socket.socket:
        """The socket of the process that forks workers, started where there is none. Raises OSError."""
        if self._factory is not None and self._factory[0].poll() is None:
            return self._factory[1]
        self._end_factory()
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # a signal from the terminal is for the parent
            )
        self._factory = (process, ours)
        ours.settimeout(_START_SECONDS)
        if ours.recv(1) != b"r":
            raise ConnectionError("it ended while it started")
        return ours

    def _end_factory(self) -> None:
        if self._factory is None:
            return
        process, orders = self._factory
        self._factory = None
        orders.close()
        process.kill()  # its workers end by themselves, with their sockets
        process.wait()


def usable_cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def is_heavy(page: Page) -> bool:
    """Whether a page takes much memory or time."""
    return len(page.body) > HEAVY_BYTES or page.body.count(b"<") > HEAVY_TAGS


def _environment() -> dict[str, str]:
    # Of the environment only what starts a Python: keys have no business beside a parser of foreign documents.
    names = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    paths = [str(Path(__file__).parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONSAFEPATH": "1",
        # One arena: each thread's own would count against the limit of the address space.
        "MALLOC_ARENA_MAX": "1",
        # What a page took goes back to the system after it.
        "MALLOC_TRIM_THRESHOLD_": "1000000",
    }


def _is_alive(connection: socket.socket) -> bool:
    """Whether a worker that has nothing to say is still at the other end."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _received(connection: socket.socket) -> dict[str, Any]:
    head_length, _ = LENGTHS.unpack(_exactly(connection, LENGTHS.size))
    reply = json.loads(_exactly(connection, head_length))
    if not isinstance(reply, dict):
        raise ValueError("not a reply")
    return reply


def _exactly(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(min(size - len(pieces), 1 << 20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def _refusal(page: Page, reply: dict[str, Any], memory_bytes: int) -> EnrichError:
    if "broken" in reply:
        return DeclarationError(str(reply["broken"]), fix=str(reply["fix"]))
    if "error" in reply:
        return FinalError(str(reply["error"]), where=page.url, fix=str(reply["fix"]), kind=str(reply["kind"]))
    if "memory" in reply:
        return _failure(page, f"its extraction needs more than {memory_bytes // 1_000_000} MB of memory.")
    return _failure(page, f"its extraction failed: {reply.get('defect', 'no reason given')}.")


def _failure(page: Page, what: str) -> FinalError:
    return FinalError(what, where=page.url, fix="Leave this page out, or link to another copy.", kind="extraction")
