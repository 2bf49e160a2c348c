"""What is wrong with a value of a settings file, in words for the person who wrote it.

Belongs here: sentences in place of pydantic's, which speak of Python. Which key is meant, and what may be shown of its
value, belongs to `core.settings`.
https://docs.pydantic.dev/latest/errors/validation_errors/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOMENT = "should be a date with a time, like 2026-01-31T09:30:00Z"
_PLAIN = {
    "missing": "has to be given",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "string_type": "should be text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "set_type": "should be a list",
    "frozen_set_type": "should be a list",
    "dict_type": "should be keys with values",
    "mapping_type": "should be keys with values",
    "model_type": "should be keys with values",
    "model_attributes_type": "should be keys with values",
    "none_required": "should be null",
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "greater_than": "should be more than {gt}",
    "greater_than_equal": "should be at least {ge}",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be at most {le}",
    "string_too_short": "should have at least {min_length} characters",
    "string_too_long": "should have at most {max_length} characters",
    "too_short": "should have {min_length} or more items",
    "too_long": "should have at most {max_length} items",
    "string_pattern_mismatch": "should look like {pattern}",
    "literal_error": "should be {expected}",
    "enum": "should be {expected}",
    "value_error": "{error}",
    "assertion_error": "{error}",
}


def plain_problem(item: Mapping[str, Any]) -> str:
    """One item of a pydantic ValidationError's `errors()` as a phrase; pydantic's own where there is no other."""
    template = _PLAIN.get(str(item["type"]))
    return str(item["msg"]) if template is None else template.format(**item.get("ctx", {}))
