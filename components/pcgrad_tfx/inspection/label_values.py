"""Labels of rows that are still texts, and the names of their values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.labels import label
from pcgrad_tfx.data.row_checks import number_fault, plain_number
from pcgrad_tfx.data.truth_values import TRUTH_NUMBERS, is_truth_word

_FEW_CODES, _MOST_CODES = 5, 10
_ORDINAL_NAME = re.compile(
    r"(^|[^a-z])(rating|stars?|score|grade|quality|level|severity|count)($|[^a-z])", re.IGNORECASE
)

# At a time: bounds the memory, which grows with rows × classes.
_ROWS = 8192


def value_names(values: Collection[str], is_text: bool = False) -> dict[str, str]:
    """Names the values of a column, as `classes` and `positive` list them.

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
    return {value: plain_number(value) for value in values}


def columns_with_texts(values: Mapping[str, Collection[str]]) -> set[str]:
    """The columns that hold a text beside what may be numbers, of the values by column."""
    return {name for name, found in values.items() if any(map(number_fault, found))}


def is_ordinal(column: str, values: Iterable[str]) -> bool:
    """Whether a column's few values are numbers that have an order.

    Args:
        column: The column's name.
        values: Its different values; the empty one does not count.
    """
    known = [value for value in values if value]
    if any(map(number_fault, known)):
        return False
    found = {float(value) for value in known}
    if len(found) < 3 or any(number % 1 for number in found):
        return False
    if len(found) > _MOST_CODES:
        return True
    between = max(found) - min(found) + 1
    if len(found) > _FEW_CODES:
        return between <= 2 * len(found)
    return between == len(found) and _ORDINAL_NAME.search(column) is not None


def label_values(
    frame: pd.DataFrame, tasks: Iterable[Task], text_columns: Collection[str] = ()
) -> pd.DataFrame:
    """The tasks' labels, by Transform's own operations.

    Args:
        frame: Rows of texts, empty where a value is missing.
        tasks: The tasks, complete.
        text_columns: Columns that hold texts, even if those of these rows look like numbers.

    Returns:
        float64, a column for each task's name: numbers, classes by their ids, NaN where missing.
    """
    return pd.DataFrame(
        {task.name: _label_values(frame, task, text_columns) for task in tasks}, frame.index
    )


def _label_values(
    frame: pd.DataFrame, task: Task, text_columns: Collection[str]
) -> NDArray[np.float64]:
    columns = {
        name: _raw_column(
            frame[name],
            _is_text(name, frame[name], text_columns)
            if name not in task.number_columns
            else _has_truth_words(frame[name]),
        )
        for name in task.columns
    }
    found = np.full(len(frame), np.nan)
    for start in range(0, len(frame), _ROWS):
        rows = slice(start, start + _ROWS)
        values, valid = label({name: raw[rows].to_sparse() for name, raw in columns.items()}, task)
        found[rows] = np.where(valid.numpy(), values.numpy(), np.nan)
    return found


def _is_text(name: str, column: pd.Series, text_columns: Collection[str]) -> bool:
    return name in text_columns or any(map(number_fault, set(column.unique()) - {""}))


def _has_truth_words(column: pd.Series) -> bool:
    """Whether a column holds truth words, of which there is no number among others."""
    return is_truth_word(next(filter(None, column), ""))


def _raw_column(column: pd.Series, is_text: bool) -> tf.RaggedTensor:
    """A column as ExampleGen gives it to Transform, [N, 0 or 1]: int64, float32 or texts."""
    is_known = (column != "").to_numpy()
    if is_text:
        values = tf.constant(column[is_known].tolist(), tf.string)
    else:
        values = pd.to_numeric(column[is_known], errors="coerce").to_numpy()
        values = values if values.dtype == np.int64 else values.astype(np.float32)
    return tf.RaggedTensor.from_row_lengths(values, is_known.astype(np.int64), validate=False)


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Texts as numbers, truth words as 1 and 0, NaN where there is neither."""
    if _has_truth_words(column):
        column = column.str.strip().str.lower().map(TRUTH_NUMBERS)
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
