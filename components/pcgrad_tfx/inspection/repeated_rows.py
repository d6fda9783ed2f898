"""Finds rows that are in several splits: what a model was trained on is no test of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.split_checks import SPLITS
from pcgrad_tfx.errors import brief_list

# Of fewer rows the metric hardly changes.
_SHARE = 0.01
# Rows of a few categories are alike by chance: one column has so many values (as many as that if
# all were as frequent), and so many times more pairs are alike than if columns were independent.
_VALUES = 100
_MORE_PAIRS = 10


def repeated_rows(
    frame: pd.DataFrame,
    splits: Sequence[str],
    features: Features,
    tasks: Sequence[Task],
    splitting: Splitting,
) -> Iterator[str]:
    """Looks for rows that are alike in all features and labels and may be in different splits.

    Args:
        frame: Rows of texts, empty where a value is missing.
        splits: The split of each where the user has made splits, else the same for all.
        features: What is learned from.
        tasks: What is learned.
        splitting: How the rows are to be split, unless they are.

    Yields:
        A remark.
    """
    used = list(dict.fromkeys([*features.columns, *(c for task in tasks for c in task.columns)]))
    rows = _hashes(frame[used])
    in_split = {name: np.asarray(splits) == name for name in SPLITS}
    if in_split["test"].any():
        for name in ("eval", "test"):
            mine = rows[in_split[name]]
            again = int(np.isin(mine, rows[in_split["train"]]).sum())
            if again >= max(1, _SHARE * len(mine)) and not _are_alike_by_chance(frame[used], rows):
                yield (
                    f"{again:,} of {len(mine):,} rows of {name} are in train, too (the same "
                    "features and labels): take them out of one of the two"
                )
        return
    # Rows of one unit come into the same split.
    others = [name for name in frame.columns if name not in used]
    unit = splitting.group or splitting.time
    units = _hashes(frame[[unit]] if unit else frame)
    counts = pd.DataFrame({"row": rows, "unit": units}).groupby("row")["unit"]
    again = int((counts.transform("nunique") > 1).sum())
    if again >= max(1, _SHARE * len(frame)) and not _are_alike_by_chance(frame[used], rows):
        yield (
            f"{again:,} of {len(frame):,} rows are like another one in all features and labels, "
            f"and differ in {brief_list(others)} only, so that they may be in train and in test: "
            "keep one of each, or name a column that they share as `group` under [data]"
        )


def _hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(frame, index=False))


def _are_alike_by_chance(frame: pd.DataFrame, rows: NDArray[np.uint64]) -> bool:
    """Whether a table has so few values that rows which are alike need not be the same."""
    alike = [float((frame[name].value_counts(normalize=True) ** 2).sum()) for name in frame]
    if min(alike) > 1 / _VALUES:
        return True
    _, counts = np.unique(rows, return_counts=True)
    found = float((counts * (counts - 1.0) / 2).sum())
    expected = float(np.prod(alike)) * len(rows) * (len(rows) - 1) / 2
    return found <= _MORE_PAIRS * expected
