"""What pydantic finds wrong, in one line for each mistake: the key, what is wrong, the remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pcgrad_tfx.errors import brief, brief_list, shown


def problem_lines(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Says what is wrong with the input of a model.

    Args:
        error: What validating the input raised.
        model: The model that the input was validated against.

    Yields:
        A line for each mistake: its key, what is wrong, what would be right.
    """
    problems = error.errors()
    misspelt = {p["loc"][:-1] for p in problems if p["type"] == "extra_forbidden"}
    for problem in problems:
        # Follow from another mistake, which has its own line.
        is_misspelt = problem["type"] == "missing" and problem["loc"][:-1] in misspelt
        if is_misspelt or problem["type"] == "default_factory_not_called":
            continue
        key = "".join(f"[{p}]" if isinstance(p, int) else f".{_key(p)}" for p in problem["loc"])
        explanation = _explain(problem, model)
        yield f"{key.removeprefix('.')}: {explanation}" if key else explanation


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "a text in quotes",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def _explain(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, and what would be right."""
    keys = [part for part in problem["loc"] if isinstance(part, str)]
    fields, field = _look_up(model, keys)
    hint = f" ({field.description})" if field is not None and field.description else ""
    kind = problem["type"]
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "missing":
        return f"is missing; add it{hint}"
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(keys[-1], fields)}"
    value = brief(json.dumps(problem["input"], default=str))
    if kind == "literal_error" and field is not None:
        choices = list(_choices(field.annotation))
        return f"{value} is not one of {', '.join(choices)}; {nearest(problem['input'], choices)}"
    if kind in _EXPECTED:
        return f"{value} is not {_EXPECTED[kind]}{hint}"
    # pydantic's other messages read "Input should be …".
    return f"{value} {problem['msg'].partition(' ')[2]}{hint}"


def _key(key: str) -> str:
    """A key as it is written in TOML, cut if it is long."""
    return key if _BARE_KEY.fullmatch(key) else shown(key)


def _look_up(
    model: type[BaseModel], keys: Sequence[str]
) -> tuple[dict[str, FieldInfo], FieldInfo | None]:
    """The last key's field, and all fields of the table it is in."""
    fields, field = _fields(model), None
    for key in keys:
        if field is not None:
            fields = next(map(_fields, _models_in(field.annotation)), fields)
        field = fields.get(key, field)
    return fields, field


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _choices(annotation: Any) -> Iterator[str]:
    """The texts of a `Literal`, which may be one of several types."""
    for argument in get_args(annotation):
        yield from (argument,) if isinstance(argument, str) else _choices(argument)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def nearest(given: Any, choices: Iterable[str]) -> str:
    """Names the choice that is spelt most like what was given, else all choices."""
    names = list(choices)
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    if near:
        # In TOML's quotes, as it would be written.
        return f"did you mean {brief(json.dumps(near[0], ensure_ascii=False))}?"
    return f"there are: {brief_list(names)}"
