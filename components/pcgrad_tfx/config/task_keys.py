"""Types of a task's keys that are more than a text or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pcgrad_tfx.errors import shown

LossName = Literal[
    "binary_crossentropy",
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "poisson",
    "focal",
]

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


def _class_weights(given: Any) -> Any:
    """A table of classes and their weights, or "balanced" as it is."""
    if given is None or given == "balanced":
        return given
    problem = '`class_weight` is "balanced" or a table of classes and weights, such as { 1 = 5.0 }'
    if not isinstance(given, Mapping) or not given:
        raise ValueError(problem)
    for name, weight in given.items():
        is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            raise ValueError(f"{problem}; that of {shown(str(name))} is no number above 0")
    return {str(name): float(weight) for name, weight in given.items()}


OnlyWhere = Annotated[dict[Column, tuple[Column, ...]] | None, BeforeValidator(_value_names)]
ClassWeight = Annotated[
    Literal["balanced"] | dict[str, float] | None, BeforeValidator(_class_weights)
]
