"""Transformed rows as scikit-learn takes them, and how many of them it can be given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.dataset import InputData, is_one_number

Values: TypeAlias = npt.NDArray[Any]

# Of a batch that is read.
READ_ROWS = 1024

# More rows make trees hardly better, but slower.
_MOST_ROWS = 200_000
_MOST_VALUES = 10_000_000

# Rows × columns × outputs whose trees take about a minute of one core. Whatever the rows, a column
# takes as long as so many of them.
_MOST_WORK = 40_000_000
_ROWS_OF_A_COLUMN = 4_000

# What it can tell apart of a category.
_MOST_IDS = 255


@dataclasses.dataclass(frozen=True)
class Rows:
    """Transformed rows.

    Attributes:
        features: [N, F], float32.
        labels: By task [N], NaN where missing.
        weights: By task [N], not negative.
    """

    features: Values
    labels: Mapping[str, Values]
    weights: Mapping[str, Values]


def collect(
    batches: Iterable[Sequence[Any]], categorical: Sequence[str], split: str
) -> tuple[Rows, Values]:
    """Puts batches together.

    Args:
        batches: (features, labels by task), as of `InputData`; with weights by task if some task
            has any.
        categorical: The features that hold ids, by decreasing frequency.
        split: Which split it is.

    Returns:
        The rows, and which of their columns hold ids, bool [F]. The rarest ids share the last one
        that scikit-learn's trees can tell apart.

    Raises:
        ValueError: There is no batch.
    """
    values, labels, weights = [], [], []
    for features, by_task, *given in batches:
        columns = [np.asarray(column, np.float32) for column in features.values()]
        values.append(np.stack([column.reshape(-1) for column in columns], axis=1))
        labels.append(by_task)
        weights.append(given[0] if given else {t: np.ones(len(v)) for t, v in by_task.items()})
        is_category = np.array([name in categorical for name in features])
    if not values:
        raise ValueError(f"reference: split {split!r} is empty; add data or change the splits")
    whole = np.concatenate(values)
    whole[:, is_category] = np.minimum(whole[:, is_category], _MOST_IDS - 1)
    return Rows(whole, _joined(labels), _joined(weights)), is_category


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    return {
        name: np.concatenate([np.asarray(part[name], np.float64) for part in parts])
        for name in parts[0]
    }


def check_features(data: InputData) -> None:
    """Checks that each feature is one number.

    Raises:
        ValueError: One is not.
    """
    for name, feature in data.feature_spec.items():
        if not is_one_number(feature):
            raise ValueError(
                f"reference: the transformed feature {name!r} is not one number in each row, which "
                "is all that boosted trees take; leave the reference out"
            )


def every(rows: int, columns: int) -> int:
    """Of so many rows, each how manieth is taken: more make trees hardly better, but slower."""
    return max(math.ceil(rows / min(_MOST_ROWS, _MOST_VALUES / columns)), 1)


def affordable(tasks: Sequence[Task], rows: int, columns: int) -> list[Task]:
    """The tasks whose trees are grown in about a minute."""
    work = columns * (rows + _ROWS_OF_A_COLUMN)
    chosen, left = [], _MOST_WORK
    for task in tasks:
        if task.units * work <= left:
            chosen.append(task)
            left -= task.units * work
    return chosen
