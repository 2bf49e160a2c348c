"""What a phase was made with, for its envelope: the text of its prompts, and the fingerprint of its code without them.

The envelope's `code_fingerprint` covers both together: it says that something changed, these say what.
"""

from __future__ import annotations

from typing import Any

from enrich_assets.core.fingerprint import code_fingerprint, fingerprint
from enrich_assets.engine.answer_schema import schema_of
from enrich_assets.engine.graph import prompt_files
from enrich_assets.engine.phase import Phase

PROMPTS, CODE = "prompts", "code"
"""Keys of an envelope's notes."""


def made_with(phase: Phase) -> dict[str, Any]:
    """`prompts`: text of each prompt by file name, left out where there is none; `code`: fingerprint of the code and of
    the form of the answer."""
    texts = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in prompt_files(phase)}
    schema = None if phase.answer is None else schema_of(phase.answer)
    code = fingerprint({"code": code_fingerprint(phase.module), "answer": schema})
    return {**({PROMPTS: texts} if texts else {}), CODE: code}
