"""Settings: the base models, their validation with errors that name the key, and their fingerprints.

Settings hold no secrets: a key is a reference `{env: NAME}` that is read where it is used.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.language_codes import language_code
from enrich_assets.core.wording import plain_problem
from enrich_assets.core.written import misread, written_at

S = TypeVar("S", bound="Settings")

_URL_CREDENTIALS = re.compile(r"(?:^|[\s\"'(<,;=]|[a-z][a-z0-9+.-]*:)//[^/?#\s]*@", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=:)//[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_SECRET_NAME = re.compile(
    r"(?:^|[_-]|(?<=[a-z])(?=[A-Z]))(?i:api[_-]?key|key|token|secret|password|passwd|authorization|cookie)$|^(?i:apikey)$"
)
# An "sk-" behind a slash or within a word is the slug of an article (…/sk-hynix-begins-…), not a key.
_SECRET_VALUE = re.compile(
    r"(?<![\w/-])sk-[A-Za-z0-9_-]{16,}|\b(?:xox[abp]-[\w-]{10,}|AKIA[A-Z0-9]{16}|gh[pousr]_\w{20,}|hf_\w{20,}"
    r"|AIza[\w-]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,})|\b[Bb]earer\s+[\w.~+/-]{16,}"
)
_QUERY_SECRET = re.compile(r"[?&](?:[\w-]*(?:api_?-?key|token|secret|password|passwd)|key)=[^&\s]{6,}", re.IGNORECASE)


def _normal_code(value: object) -> object:
    return language_code(value) or value if isinstance(value, str) else value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that a field's annotation allows by itself: int and NoneType of `int | None`."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    return {annotation} if isinstance(annotation, type) else set()


LanguageCode = Annotated[str, BeforeValidator(_normal_code), StringConstraints(pattern=r"^[a-z]{2}$")]
"""A language by ISO 639-1, as `en`; `pt-BR`, `zh-Hans` and `iw` are read as pt, zh and he."""


class Settings(BaseModel):
    """Base of every settings model: frozen, no unknown keys, a description and a default for each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic reads yes, no, on and off, which YAML makes of words, as the numbers 1 and 0.
        if isinstance(value, bool) and info.field_name is not None:
            kinds = _kinds(cls.model_fields[info.field_name].annotation)
            if bool not in kinds and kinds & {int, float}:
                raise PydanticCustomError("float_type", "Input should be a valid number")
        return value


class Env(Settings):
    """A reference to an environment variable, so that the value itself never stands in settings."""

    env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the variable."""

    def read(self, needed_by: str) -> str:
        """The variable's value; raises SettingsError naming the variable and who needs it."""
        value = os.environ.get(self.env, "")
        if not value:
            raise SettingsError(
                f"{needed_by} needs the environment variable {self.env}, which is not set.",
                fix=f"Set it (export {self.env}=…) or choose the model 'extractive', which needs no key.",
            )
        return value


def inherited(description: str) -> Any:
    """A phase's field that takes the graph-level setting of the same name unless the phase sets its own."""
    return Field(default=None, description=description, json_schema_extra={"inherited": True})


def inherited_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of the fields of `model` that were declared with `inherited`."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("inherited")
    )


def validated_settings(model: type[S], values: Mapping[str, Any], *, where: str) -> S:
    """`values` as `model`; raises SettingsError with the path of every wrong key and near misses."""
    _refuse_secrets(values, where)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(model, item, where) for item in error.errors())
        problems += "" if problems.endswith(("?", ".")) else "."
        raise SettingsError(problems, where=where, fix="Correct the settings and start again.") from None


def without_secrets(text: str) -> str:
    """`text` with whatever looks like a secret replaced: keys, bearer tokens, users and passwords in URLs."""
    text = _SECRET_VALUE.sub("[secret]", text)
    text = _QUERY_SECRET.sub("?[secret]", text)
    return _URL_USER.sub("//[secret]@", text)


def _problem(model: type[BaseModel], item: Any, where: str) -> str:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"known keys: {', '.join(known)}"
        return f"{path}: unknown key; {hint}"
    message = plain_problem(item)
    # What was got where a key is lacking is everything around it.
    if item["type"] == "missing" or any(_SECRET_NAME.search(str(part)) for part in item["loc"]):
        return f"{path}: {message}"  # what was written there may be the secret itself
    if item["type"] == "value_error" and isinstance(item["input"], (list, tuple, dict)):
        return f"{path}: {message}"  # the sentence says what of it is meant
    return f"{path}: {message} {_got(item, where)}"


def _got(item: Any, where: str) -> str:
    """What stands there: as the file says it, where YAML made another thing of a text without quotes."""
    value, read_as = item["input"], misread(item["input"])
    if item["type"] != "string_type" or not read_as:
        return f"(got {value!r:.80})"
    written = written_at(where, item["loc"])
    if written is None or not written.text:
        return f"(got {value!r:.80}): put it in quotes"
    text = written.text.replace("'", "''")
    return (
        f"(line {written.line} says {written.text:.80}, which YAML reads as {read_as}: put it in quotes, '{text:.80}')"
    )


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        field = getattr(current, "model_fields", {}).get(part)
        current = _model_in(field.annotation) if field is not None else current
    return sorted(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _refuse_secrets(values: Any, where: str) -> None:
    for path, name, value in _leaves(values, ()):
        shown = ".".join(path)
        if _URL_CREDENTIALS.search(value) or _QUERY_SECRET.search(value):
            raise SettingsError(
                f"{shown}: a URL with credentials has no place in settings.",
                where=where,
                fix="Remove the user, password or key from the URL; reference keys as {env: NAME}.",
            )
        if (value and _SECRET_NAME.search(name)) or _SECRET_VALUE.search(value):
            raise SettingsError(
                f"{shown}: looks like a secret written into settings.",
                where=where,
                fix=f"Put it into an environment variable and write {name}: {{env: NAME_OF_THE_VARIABLE}}.",
            )


def _leaves(value: Any, path: tuple[str, ...], name: str = "") -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Path, name of the key, and text of every text; an item of a list has the key of its list."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)), str(key))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)), name)
    elif isinstance(value, str) and path:
        yield path, name, value
