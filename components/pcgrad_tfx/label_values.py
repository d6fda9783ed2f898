"""The labels of rows that are still texts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcgrad_tfx.tasks import Task


def label_values(frame: pd.DataFrame, task: Task) -> NDArray[np.float64]:
    """A task's label as Transform computes it: numbers, classes by their ids, NaN where missing.

    Args:
        frame: Rows of texts, empty where a value is missing.
        task: The task, complete.

    Returns:
        float64 [N]; of a task with `log_scale` the logarithm.
    """
    column = frame[task.column]
    if task.is_text:
        names = column.where(pd.to_numeric(column, errors="coerce").isna(), column.map(_plain))
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


def _plain(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() else value
