"""litellm itself: imported late, told to stay silent and to call nobody but the model's endpoint."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any

# Each of these makes litellm read a file of its own instead of asking a server on the internet, or keeps it from
# reading a .env file of the working directory.
_OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",
}


@cache
def litellm_offline() -> Any:
    """The module litellm, ready for use. The first call imports it, which takes about five seconds."""
    for name, value in _OFFLINE.items():
        os.environ.setdefault(name, value)
    import litellm

    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.disable_hf_tokenizer_download = True
    litellm.disable_token_counter = False
    for callbacks in ("callbacks", "input_callback", "success_callback", "failure_callback", "service_callback"):
        # Nobody is told of a request. (turn_off_message_logging would copy each prompt to hide it from nobody.)
        setattr(litellm, callbacks, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        # Its log lines quote prompts; what goes wrong reaches us as an exception.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


_closers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = weakref.WeakKeyDictionary()


async def close_clients_with_loop() -> None:
    """Lets the running loop close litellm's connections when it ends; litellm itself leaves them open.

    The hook is an asynchronous generator: `asyncio.run` finishes those last, while the loop can still close sockets.
    """
    loop = asyncio.get_running_loop()
    if loop not in _closers:
        _closers[loop] = _closer()
        await anext(_closers[loop])


async def _closer() -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await _close_clients()


async def _close_clients() -> None:
    # The keys of litellm's cache of clients end with the id of the loop that they belong to.
    clients = litellm_offline().in_memory_llm_clients_cache.cache_dict
    suffix = f"-{id(asyncio.get_running_loop())}"
    for key in [key for key in clients if str(key).endswith(suffix)]:
        client = clients.pop(key)
        close = getattr(client, "close", None) or getattr(client, "aclose", None)
        if close is not None:
            await close()
    await asyncio.sleep(0)  # transports close in the loop's next turn
