"""Finds numbers that stand for a missing value, such as -999 and 9999."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NINES = frozenset(
    f"{sign}{'9' * digits}{fraction}"
    for sign, digits, fraction in itertools.product(("", "-"), range(2, 9), ("", ".0", ".00"))
)
# Of fewer different numbers nothing is far.
_SOME_NUMBERS = 10


def missing_numbers(
    frame: pd.DataFrame, text_columns: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Finds them by column.

    They are written with nines, occur more than once and are far from all other numbers of the
    column: farther than these are from each other, or below zero where no other is. As a text that
    stands for a missing value does so in all columns, it must be no number like others in any.

    Args:
        frame: Rows of texts, empty where a value is missing.
        text_columns: Columns that hold texts even where these look like numbers.

    Returns:
        The numbers as they are written, of the columns that have some.
    """
    far: dict[str, list[str]] = {}
    near: set[str] = set()
    rows: Counter[str] = Counter()
    for name in frame.columns:
        column = frame[name]
        is_nine = column.isin(_NINES)
        if not is_nine.any():
            continue
        texts = column[is_nine].unique()
        others = pd.to_numeric(pd.Series(column[~is_nine].unique()), errors="coerce")
        known = others.dropna().to_numpy(np.float64)
        is_text = name in text_columns or 2 * len(known) < len(others)
        found = [] if is_text else [text for text in texts if _is_far(float(text), known)]
        near |= {*texts}.difference(found)
        far[name] = found
        rows.update(column[is_nine])
    kept = {
        name: tuple(sorted(text for text in found if rows[text] > 1 and text not in near))
        for name, found in far.items()
    }
    return {name: found for name, found in kept.items() if found}


def _is_far(number: float, others: NDArray[np.float64]) -> bool:
    if len(others) < _SOME_NUMBERS:
        return False
    low, high = others.min(), others.max()
    return bool(number < 0 <= low or max(low - number, number - high) > high - low)
