"""What rows must be like to be trained on, whatever format they come in."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pcgrad_tfx.data.truth_values import is_truth_word
from pcgrad_tfx.errors import DataError, brief_list, shown

if TYPE_CHECKING:
    from pcgrad_tfx.data.split_checks import SplitSummary

# With 100 rows split 8:1:1 by hash, a split stays empty in 1 case of 19,000 (2 · 0.9^100).
MIN_ROWS = 100

# What people write for a missing value; TFX takes only the empty cell for one. Among texts some of
# them may be values: "None" for a house without an alley.
MISSING_AMONG_TEXTS = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null")
MISSING_TEXTS = (*MISSING_AMONG_TEXTS, "None", "?", "-", ".")

# $5, 12% or 1,234.
_MARKED_NUMBER = re.compile(r"[$€£¥₹%] ?\d|\d ?[$€£¥₹%]|\d[,']\d")

_NO_TRUTH_VALUE = (
    "is no truth value (yes, no, True …), but the column holds texts; write numbers only, or truth "
    "values only"
)

_SMALLEST_INT64, _LARGEST_INT64 = -(2**63), 2**63 - 1
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
# Bounds the memory where nearly every row has another number.
_MAX_CODES = 100_000


@dataclass(frozen=True)
class DataSummary:
    """What a check has read.

    Attributes:
        files: Paths of the files, sorted.
        columns: Names of the columns, in the order of the cells.
        rows: Number of data rows in all files together.
        text_columns: Those that hold texts even where these look like numbers; CSV files have none.
        repeated_headers: Number of further rows, which are left out: they repeat a CSV file's
            header.
        splits: What is known of the splits before the rows are split, if anything.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    text_columns: frozenset[str] = frozenset()
    repeated_headers: int = 0
    splits: SplitSummary | None = None


def check_columns(where: str, columns: Sequence[str], required: Collection[str]) -> None:
    """Checks that all required columns exist.

    Args:
        where: Where the columns' names stand, for the message.
        columns: Their names.
        required: The names that must be among them.

    Raises:
        DataError: One is not there, or a name is empty or holds a NUL character.
    """
    for name in columns:
        if not name or "\0" in name:
            raise DataError(f"{where}: a column is called {shown(name)}, which TFX cuts; rename it")
    hints = []
    present = set(columns)
    for name in required:
        if name not in present:
            near = [column for column in columns if column.strip().lower() == name.lower()]
            near = near or difflib.get_close_matches(name, columns, n=1)
            hint = f" (did you mean {shown(near[0])}?)" if near else ""
            hints.append(shown(name) + hint)
    if hints:
        raise DataError(
            f"{where}: no column {', '.join(hints)}; add it or correct the name; the file has "
            f"{brief_list(columns)}"
        )


class RowChecks:
    """Checks rows one after the other.

    Args:
        columns: The names of the columns.
        required: Those that must have a value in some row.
        numeric: Those that must hold nothing but numbers, or nothing but truth words.
        categories: Those that may hold numbers or texts, of which TFX infers the type.
        texts: Those that hold texts even where these look like numbers.

    Attributes:
        rows: How many rows there were.
    """

    def __init__(
        self,
        columns: Sequence[str],
        required: Collection[str],
        numeric: Collection[str],
        categories: Collection[str] = (),
        texts: Collection[str] = (),
    ) -> None:
        self.rows = 0
        self._columns = columns
        places = {name: place for place, name in enumerate(columns)}
        self._numeric = [places[name] for name in numeric]
        # Whether the numeric columns with a value hold words.
        self._has_words = {places[name]: True for name in texts if name in numeric}
        self._empty = {places[name] for name in required}
        self._codes = {places[name]: _Codes() for name in categories}

    def add(self, where: str, cells: Sequence[str]) -> None:
        """Checks a row.

        Args:
            where: Where it stands, for the message.
            cells: A cell for each column, empty where the value is missing.

        Raises:
            DataError: A cell of a numeric column is no usable number or truth word.
        """
        self.rows += 1
        for position in self._numeric:
            if (cell := cells[position]) and (fault := self._fault(position, cell)):
                raise DataError(
                    f"{where}: column {shown(self._columns[position])}: {shown(cell)} {fault}"
                )
        if self._empty:
            self._empty.difference_update([i for i in self._empty if cells[i]])
        for position in [i for i, codes in self._codes.items() if not codes.add(where, cells[i])]:
            del self._codes[position]

    def _fault(self, position: int, cell: str) -> str | None:
        """What is wrong with a cell of a numeric column, if anything."""
        fault = number_fault(cell)
        is_word = fault is not None and is_truth_word(cell)
        if self._has_words.setdefault(position, is_word):
            return None if is_word else _NO_TRUTH_VALUE
        return fault

    def finish(self, where: str, min_rows: int) -> None:
        """Checks what can be told only after the last row.

        Args:
            where: What was read, for the message.
            min_rows: The smallest number of rows.

        Raises:
            DataError: There are too few rows, or a required column is empty in all of them, or
                holds numbers that TFX would mix up.
        """
        if self.rows == 0:
            raise DataError(f"{where}: a header without data rows; add the rows")
        if self._empty:
            name = min(self._columns[i] for i in self._empty)
            raise DataError(
                f"{where}: column {shown(name)}: empty in every row; fill it, or do not use it"
            )
        if self.rows < min_rows:
            raise DataError(
                f"{where}: too few data rows ({self.rows}) to be split for training and "
                f"evaluation; at least {min_rows} are needed"
            )
        for position, codes in self._codes.items():
            if codes.is_decimal and codes.fault:
                place, problem = codes.fault
                raise DataError(f"{place}: column {shown(self._columns[position])}: {problem}")


class _Codes:
    """A column of categories, as long as they all are numbers.

    TFX keeps them as 64-bit integers if all of them are, else as 32-bit floating numbers.

    Attributes:
        is_decimal: Whether there is one that is no 64-bit integer.
        fault: Where a number cannot be told from another one as a 32-bit number, and which.
    """

    def __init__(self) -> None:
        self.is_decimal = False
        self.fault: tuple[str, str] | None = None
        self._seen: set[str] = set()
        self._stored: dict[float, tuple[float, str]] = {}

    def add(self, where: str, cell: str) -> bool:
        """Takes a cell; returns whether the column may still be one of numbers."""
        if not cell or cell in self._seen:
            return True
        value = as_number(cell)
        if value is None:
            return False
        if not is_int64(cell):
            self.is_decimal = True
        if self.fault is None and not math.isnan(value):
            self._compare(where, cell, value)
        if len(self._seen) < _MAX_CODES:
            self._seen.add(cell)
        return True

    def _compare(self, where: str, cell: str, value: float) -> None:
        advice = "write whole numbers only, or put a letter before each to make texts"
        if abs(value) > _LARGEST_FLOAT32:
            self.fault = where, f"{shown(cell)} is no finite 32-bit number; {advice}"
            return
        stored = float(np.float32(value))
        if _is_integer(cell):
            value = int(cell)  # Exactly: float64 may mix them up, too.
        if len(self._stored) < _MAX_CODES:
            self._stored.setdefault(stored, (value, cell))
        other, text = self._stored.get(stored, (value, cell))
        if other != value:
            why = "beside numbers that are no 64-bit integers TFX keeps 7 digits of each"
            same = f"{shown(cell)} would be the same as {shown(text)}: {why}"
            self.fault = where, f"{same}; {advice}"


def number_fault(cell: str) -> str | None:
    """What keeps TFX from reading a cell as a usable number, if anything."""
    value = as_number(cell)
    if value is None:
        return f"is not a number{_remedy(cell)}"
    if _SMALLEST_INT64 < value < _LARGEST_INT64:
        return None
    if not abs(value) <= _LARGEST_FLOAT32:  # True for nan too.
        return "is not a finite 32-bit number; leave the cell empty if the value is missing"
    if _is_integer(cell) and not is_int64(cell):
        return "is too large for a 64-bit integer; write it as a decimal number, like 1.5e19"
    return None


def _remedy(cell: str) -> str:
    """What to do about a cell that is no number."""
    if cell.strip() in MISSING_TEXTS:
        return (
            "; if it stands for a missing value, leave the cell empty, or write "
            f"missing = [{cell.strip()!r}] under [data]"
        )
    if _MARKED_NUMBER.search(cell):
        return (
            " with a point and without other marks; correct it, or say under [data] how numbers "
            "are written (`decimal`, `thousands`, `units`: `tfx-pcgrad init` finds them)"
        )
    return "; correct it, or leave the cell empty if the value is missing"


def plain_number(text: str) -> str:
    """A number as it names a value: 8.0 and 08 are 8; another text as it is."""
    if number_fault(text):
        return text
    try:
        return str(int(text))
    except ValueError:
        number = float(text)
        return str(int(number)) if number.is_integer() else text.strip()


def as_number(cell: str) -> float | None:
    """A cell as TFX reads it, NaN and infinity too; None of a text."""
    # Python takes 1_000 for a number, nobody else does.
    if "_" in cell:
        return None
    try:
        return float(cell.encode())  # As bytes: only ASCII digits count.
    except ValueError:
        return None


def is_int64(cell: str) -> bool:
    """Whether a cell is a whole number as TFX keeps it."""
    return _is_integer(cell) and _SMALLEST_INT64 <= int(cell) <= _LARGEST_INT64


def _is_integer(cell: str) -> bool:
    try:
        int(cell)
    except ValueError:
        return False
    return True
