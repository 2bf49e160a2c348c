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

# Rooms whose code decides what a row becomes. The rooms below them (core, store, engine) carry rows without deciding
# about them, and a change of theirs that alters results raises FORMAT_VERSION.
_DECIDING = ("web", "models", "evidence", "graphs", "stats")
FORMAT_VERSION = 2
"""2: import statements and names of modules no longer count."""
_PACKAGE = Path(__file__).parents[1]


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON with sorted keys and no white space, so that equal values have equal bytes."""
    return _CANONICAL.encode(value).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        # Without a zone it is meant in UTC; the zone of the machine must not decide a hash.
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=canonical_json)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain, allow_nan=False
)


@cache
def code_fingerprint(module: str) -> str:
    """Fingerprint of the code of a module and of every deciding module of this package that it imports.

    What counts are their top-level statements, each as often as it occurs. Comments, formatting and docstrings do not
    count: they change no result. Import statements, names of modules, and which module holds a statement do not count
    either, so that code which is only moved outdates no stored phase. Modules outside this package count through the
    package's version in the envelope, not here. Data files count only through a constant of the module that reads them,
    such as `IDF_SHA256` in `models.text`. No module is imported for it but the one named.
    """
    seen: dict[str, tuple[str, ...]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        found = _module(name)
        if found is not None:
            seen[name], imported = found
            waiting.extend(imported)
    return fingerprint({"format": FORMAT_VERSION, "statements": sorted(s for each in seen.values() for s in each)})


@cache
def _module(name: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Hashes of a module's statements, and the deciding modules that it may import; phases share most of them."""
    path = _source_of(name)
    if path is None:
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    deciding = (n for n in _imports(tree) if n.split(".")[1:2] and n.split(".")[1] in _DECIDING)
    modules = _bound_modules(tree)
    dumps = (_dump(statement, modules) for statement in tree.body if _decides(statement))
    return tuple(sha256(dump.encode("utf-8", "surrogatepass")) for dump in dumps), tuple(deciding)


def _source_of(module: str) -> Path | None:
    package, *inner = module.split(".")
    if package == "enrich_assets" and inner:
        path = _PACKAGE.joinpath(*inner)
        return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith("enrich_assets."):
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names if alias.name.startswith("enrich_assets."))
    return names


def _bound_modules(tree: ast.Module) -> frozenset[str]:
    """Names that a module gives to modules of this package: `text` after `from enrich_assets.models import text`."""
    return frozenset(
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith("enrich_assets.")
        for alias in node.names
        if _source_of(f"{node.module}.{alias.name}") is not None
    )


def _dump(node: Any, modules: frozenset[str]) -> str:
    """A syntax tree as text, without what changes no result: positions, empty fields (of which every version of
    Python has others), docstrings, import statements and names of modules."""
    if isinstance(node, ast.Name) and node.id in modules:
        return "Module()"
    if isinstance(node, ast.AST):
        fields = (
            (name, _dump(value, modules)) for name, value in ast.iter_fields(node) if value is not None and value != []
        )
        return f"{type(node).__name__}({','.join(f'{name}={text}' for name, text in fields if text != '[]')})"
    if isinstance(node, list):
        return f"[{','.join(_dump(item, modules) for item in node if _decides(item))}]"
    return repr(node)


def _decides(node: Any) -> bool:
    """False for a statement that changes no result: an import, or a string by itself, which is a docstring."""
    is_string = (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )
    return not is_string and not isinstance(node, (ast.Import, ast.ImportFrom))
