"""The labels of rows that are still texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.row_checks import number_fault


def value_names(values: Collection[str], is_text: bool = False) -> dict[str, str]:
    """What Transform calls the values of a column.

    In a column of numbers 8.0, and 08, are the same as 8; in one that holds a text, all stay as
    they are.

    Args:
        values: The different values, without the empty one.
        is_text: Whether they are texts, whatever they look like.

    Returns:
        The names by value.
    """
    if is_text or any(map(number_fault, values)):
        return {value: value for value in values}
    return {value: _plain_number(value.strip()) for value in values}


def columns_with_texts(values: Mapping[str, Collection[str]]) -> set[str]:
    """The columns that hold a text beside what may be numbers, of the values by column."""
    return {name for name, found in values.items() if any(map(number_fault, found))}


def label_values(
    frame: pd.DataFrame, task: Task, text_columns: Collection[str] = ()
) -> NDArray[np.float64]:
    """A task's label as Transform computes it: numbers, classes by their ids, NaN where missing.

    Args:
        frame: Rows of texts, empty where a value is missing.
        task: The task, complete.
        text_columns: Columns that hold texts, even if those of these rows look like numbers.

    Returns:
        float64 [N]; of a task with `log_scale` the logarithm.
    """
    column = frame[task.column]
    if task.is_text:
        values = set(column.unique()) - {""}
        names = column.map(value_names(values, task.column in text_columns))
        if task.positive is not None:
            return np.where(column == "", np.nan, names == task.positive)
        ids = {name: float(i) for i, name in enumerate(task.classes or ())}
        return names.map(ids).to_numpy(np.float64)
    value = numbers(column)
    valid = np.isfinite(value)
    if task.valid_above is not None:
        valid &= value > task.valid_above
    if task.divide_by is not None:
        divisor = numbers(frame[task.divide_by])
        valid &= divisor > 0
        value = np.divide(value, divisor, out=np.zeros_like(value), where=divisor > 0)
    if task.above is not None:
        value = (value > task.above).astype(np.float64)
    elif task.kind == "binary":
        valid &= (value == 0) | (value == 1)
    elif task.log_scale:
        valid &= value >= 0
        value = np.log1p(np.maximum(value, 0))
    return np.where(valid, value, np.nan)


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Texts as numbers, NaN where there is none."""
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)


def _plain_number(value: str) -> str:
    try:
        return str(int(value))
    except ValueError:
        number = float(value)
        return str(int(number)) if number.is_integer() else value
