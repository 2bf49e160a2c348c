"""Hashes of what decides a result: canonical JSON, and the code a phase is made of."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

# Floors whose code decides what a row becomes. The floors below them (core, store, engine) carry rows
# without deciding about them, and a change of theirs that alters results raises FORMAT_VERSION.
_DECIDING = ("web", "models", "evidence", "graphs", "stats")
FORMAT_VERSION = 1


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON with sorted keys and no white space, so that equal values have equal bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


@cache
def code_fingerprint(module: str) -> str:
    """Fingerprint of the code of a module and of every deciding module of this package that it imports.

    Comments, formatting and docstrings do not count: they change no result. Modules outside this package count
    through the package's version in the envelope, not here.
    """
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        path = _source_of(name)
        if path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        seen[name] = sha256(ast.dump(_without_docstrings(tree)).encode())
        waiting.extend(n for n in _imports(tree) if n.split(".")[1:2] and n.split(".")[1] in _DECIDING)
    return fingerprint({"format": FORMAT_VERSION, "modules": seen})


def _source_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("enrich_assets."):
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names if alias.name.startswith("enrich_assets."))
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                if isinstance(first.value.value, str):
                    node.body = node.body[1:] or [ast.Pass()]
    return tree
