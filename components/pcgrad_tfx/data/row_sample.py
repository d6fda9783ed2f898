"""A bounded sample of rows, by which columns are judged."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence

import pandas as pd

MAX_ROWS = 200_000
# Bounds the memory where there are many columns: a cell takes about 60 bytes.
_MAX_CELLS = 10_000_000

MAX_VALUES = 1000


class RowSample:
    """Keeps a random sample of the rows that it is given, the same for the same rows.

    Args:
        exact: Columns of which all rows' values are kept, not only the sample's, up to
            `MAX_VALUES` different ones.

    Attributes:
        rows: How many rows it was given.
        split: The split of the rows that come next; whoever gives them sets it.
        values: The different values of each `exact` column, without the empty one; if there are
            more than `MAX_VALUES`, some of them.
    """

    def __init__(self, exact: Collection[str] = ()) -> None:
        self.rows = 0
        self.split = ""
        self.values: dict[str, set[str]] = {name: set() for name in exact}
        self._columns: Sequence[str] = ()
        self._exact: list[tuple[int, set[str]]] = []
        self._kept: list[list[str]] = []
        self._splits: list[str] = []
        self._size = 0
        self._random = random.Random(0)

    def add(self, columns: Sequence[str], cells: Sequence[str]) -> None:
        """Takes a row.

        Args:
            columns: The columns' names, the same in every call.
            cells: A cell for each of them, empty where the value is missing.
        """
        if not self._size:
            self._columns = columns
            self._exact = [(columns.index(name), found) for name, found in self.values.items()]
            self._size = max(1, min(MAX_ROWS, _MAX_CELLS // len(columns)))
        self.rows += 1
        for position, found in self._exact:
            if cells[position] and len(found) <= MAX_VALUES:
                found.add(cells[position])
        # Vitter's algorithm R (1985): the n-th row stays with probability size / n.
        place = self.rows - 1
        if place >= self._size:
            place = self._random.randrange(self.rows)
        if place < self._size:
            # The same text is kept once, however many rows have it.
            row = [sys.intern(cell) for cell in cells]
            if place == len(self._kept):
                self._kept.append(row)
                self._splits.append(self.split)
            else:
                self._kept[place] = row
                self._splits[place] = self.split

    def splits(self) -> list[str]:
        """The splits of the sampled rows."""
        return self._splits

    def frame(self) -> pd.DataFrame:
        """The sampled rows: a column of texts for each column, empty where a value is missing."""
        return pd.DataFrame(self._kept, columns=list(self._columns), dtype=str)
