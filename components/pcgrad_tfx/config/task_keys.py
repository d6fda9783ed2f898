"""Types of a task's keys that may be written in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pcgrad_tfx.errors import shown

Column = Annotated[str, Field(min_length=1)]


def _value_names(given: Any) -> Any:
    """`{ click = 1 }` and `{ zone = ["a", "b"] }` as lists of texts."""
    if given is None:
        return None
    problem = "`only_where` is a table of columns and their values, such as { click = 1 }"
    if not isinstance(given, Mapping) or not given:
        raise ValueError(problem)
    found = {}
    for column, values in given.items():
        listed = values if isinstance(values, (list, tuple)) else [values]
        if not listed or not all(isinstance(value, (str, int, float)) for value in listed):
            raise ValueError(f"{problem}; correct those of {shown(str(column))}")
        found[column] = tuple(map(_value_name, listed))
    return found


def _value_name(value: str | int | float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


OnlyWhere = Annotated[dict[Column, tuple[Column, ...]] | None, BeforeValidator(_value_names)]
