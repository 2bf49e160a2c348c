"""Running a coroutine to its end from plain code, also where an event loop is running already.

In a notebook, an async test or an async web handler the caller's thread has a loop, and Python allows one a thread.
Then the coroutine gets a thread with a loop of its own, and the caller waits for it, as it would have done anyway.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from enrich_assets.engine.stopping import signals_relayed

T = TypeVar("T")


def run_to_end(coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine returns; raises what it raises.

    Signals reach it as they would in the caller's thread: see `stopping.signals_heard`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine())
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(asyncio.run(coroutine()))
        except BaseException as error:  # the caller's to handle
            done.set_exception(error)

    with signals_relayed():
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), name="enrich-loop")
        thread.start()
        thread.join()
    return done.result()
