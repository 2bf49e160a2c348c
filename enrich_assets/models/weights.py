"""What a request can take at most, before it is sent, and whether it fits into the model's context window.

Belongs here: bounds and counts of tokens. Prices belong to `models.prices`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Weight
from enrich_assets.models.prices import listed, most_cost
from enrich_assets.models.schemas import format_text
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint

# What chat templates and providers add: marks around each message; a preamble; with other protocols than OpenAI's the
# words that introduce a tool, as which the schema then travels.
_TOKENS_A_MESSAGE = 16
_TOKENS_A_REQUEST = 256
_TOKENS_OF_A_TOOL = 1000
# GPT-4o's tokenizer needs 4.4 times fewer tokens than cl100k_base where the difference is greatest (Gujarati).
# https://openai.com/index/hello-gpt-4o/
_WIDEST_RATIO = 5
# The names under which tiktoken looks for its files: SHA-1 of their addresses.
_TOKENIZER_FILES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}


def weight_of(
    endpoint: ModelEndpoint, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, model: str
) -> Weight:
    """The most tokens and USD that the request can take.

    `most_tokens` of what is sent, and `max_output_tokens` of the answer. Raises FinalError (`prompt too long`) when the
    prompt is certainly longer than the model's context window: see `least_tokens`.
    """
    if endpoint.model == EXTRACTIVE:
        return Weight(0, 0.0)
    tokens_in = _TOKENS_A_REQUEST + len(format_text(schema)) + _TOKENS_A_MESSAGE * len(messages)
    if not endpoint.model.startswith("openai/"):
        tokens_in += _TOKENS_OF_A_TOOL
    for message in messages:
        tokens_in += most_tokens(message["content"])
    window = endpoint.context_tokens or _listed_window(endpoint.model)
    if window is not None and tokens_in > window:
        _refuse_too_long(endpoint, messages, window, model)
    tokens_out = endpoint.max_output_tokens
    return Weight(tokens_in + tokens_out, most_cost(endpoint, tokens_in, tokens_out))


def most_tokens(text: str) -> int:
    """The most tokens that a text has for any model: no tokenizer makes more of it than it has bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def least_tokens(name: str, texts: Sequence[str]) -> int:
    """The fewest tokens that the texts have for the model `name`.

    Exact for OpenAI's models, whose tokenizers come with litellm. For all others the number of words, because common
    tokenizers join nothing across whitespace, or a fifth of what cl100k_base makes of the texts, whichever is more: a
    prompt in English that is longer than the window by up to a third is left to the endpoint to refuse.
    """
    exact = _encoding_name(name)
    encoding = _encoding(exact or "cl100k_base")
    counted = 0 if encoding is None else sum(len(encoding.encode_ordinary(text)) for text in texts)
    if exact and encoding is not None:
        return counted
    return max(sum(len(text.split()) for text in texts), counted // _WIDEST_RATIO)


def _refuse_too_long(endpoint: ModelEndpoint, messages: Sequence[Mapping[str, str]], window: int, model: str) -> None:
    least = least_tokens(endpoint.model, [message["content"] for message in messages])
    if least > window:
        raise FinalError(
            f"The prompt is too long for the model: at least {least:,} tokens, in a context window of {window:,}.",
            where=model,
            fix="Put less into the prompt, or correct context_tokens in the settings.",
            kind="prompt too long",
        )


@lru_cache(maxsize=64)
def _listed_window(name: str) -> int | None:
    window = listed(name).get("max_input_tokens")
    return int(window) if isinstance(window, (int, float)) and window > 0 else None


@lru_cache(maxsize=64)
def _encoding_name(name: str) -> str:
    """The tokenizer of a model of OpenAI's; empty where none is known for certain."""
    if listed(name).get("litellm_provider") != "openai":
        return ""
    from tiktoken import encoding_name_for_model

    try:
        found = encoding_name_for_model(name.removeprefix("openai/"))
    except KeyError:
        return ""
    return found if found in _TOKENIZER_FILES else ""


@cache
def _encoding(name: str) -> Any:
    """A tokenizer out of the files that litellm brings; None where they are missing, for nothing is downloaded."""
    package = importlib.util.find_spec("litellm")  # finds, and does not import
    for place in (package and package.submodule_search_locations) or ():
        folder = Path(place) / "litellm_core_utils" / "tokenizers"
        if (folder / _TOKENIZER_FILES[name]).is_file():
            import tiktoken

            # litellm sets it to the same folder when it is imported.
            os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
            return tiktoken.get_encoding(name)
    return None
