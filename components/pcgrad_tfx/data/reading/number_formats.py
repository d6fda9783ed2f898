"""Numbers as people write them, $1,234.50 or 1.234,50 or (12%) or 2k, and as TFX reads them."""

from __future__ import annotations

import decimal
import functools
import re
from collections.abc import Callable, Collection, Sequence

import pandas as pd

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.row_checks import MISSING_TEXTS, number_fault
from pcgrad_tfx.errors import DataError, shown

# Decimal mark and mark between thousands; of those that fit equally well the first one counts.
_MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"))
_UNITS = ("$", "€", "£", "¥", "₹", "%", "USD", "EUR", "GBP", "CHF")

# The share of a column's cells that must be numbers for the others to be taken for mistakes.
_NEARLY_ALL = 0.95
_POWERS = {"k": 3, "K": 3, "M": 6, "B": 9}
# With fewer different values, 2B may be a code.
_MANY_VALUES = 10
# A column of texts is recognized by so many of its values.
_FIRST_VALUES = 500


def normalizer(dialect: Dialect) -> Callable[[str], str] | None:
    """The function that rewrites a number of a dialect, and leaves any other text as it is.

    Returns:
        None if numbers are written as TFX reads them.
    """
    numbers = ("decimal", "thousands", "units", "scales", "accounting")
    if not dialect.model_dump(include={*numbers}, exclude_defaults=True):
        return None
    pattern = _pattern(dialect)

    @functools.lru_cache(maxsize=100_000)
    def normalize(cell: str) -> str:
        if (match := pattern.fullmatch(cell)) is None:
            return cell
        whole = re.sub(r"\D", "", match["whole"] or "0")
        fraction = match["fraction"] or match["only"]
        sign = "-" if match["open"] else match["sign"] or match["inner"]
        number = f"{sign}{whole}{f'.{fraction}' if fraction else ''}{match['exponent']}"
        if scale := match["scale"]:
            return f"{decimal.Decimal(number).scaleb(_POWERS[scale]):f}"
        return number

    return normalize


class MarkChecks:
    """Refuses columns of numbers in which the point is a decimal mark beside a dialect's own ones.

    In a file with decimal commas 1.5 may be a number with a point; but 1.500 beside it may be
    either number, and so may 1.5 if another row has 1,5.

    Args:
        dialect: How numbers are written.
        columns: The columns' names.
        numeric: Those that hold numbers.
    """

    def __init__(self, dialect: Dialect, columns: Sequence[str], numeric: Collection[str]) -> None:
        # With decimal points, what is written otherwise is no number.
        places = [place for place, name in enumerate(columns) if name in numeric]
        self._numeric = places if dialect.decimal == "," else []
        self._columns = columns
        self._pattern = _pattern(dialect)
        # By column: a number with the dialect's marks, and one with a decimal point.
        self._seen: dict[int, dict[bool, str]] = {place: {} for place in self._numeric}

    def add(self, where: str, cells: Sequence[str]) -> None:
        """Checks a row.

        Args:
            where: Where it stands, for the message.
            cells: Its cells as they are written.

        Raises:
            DataError: A number is written in another way than others of its column.
        """
        for position in self._numeric:
            cell = cells[position]
            if "." not in cell and "," not in cell:
                continue
            fits = self._pattern.fullmatch(cell) is not None
            if not fits and number_fault(cell):
                continue
            seen = self._seen[position]
            seen[fits] = cell
            if (other := seen.get(not fits)) is not None:
                name = shown(self._columns[position])
                raise DataError(
                    f"{where}: column {name}: {shown(cell)} is written in another way than "
                    f"{shown(other)} before; write all numbers as `decimal` and `thousands` under "
                    "[data] say, or correct these keys"
                )


def find_number_format(frame: pd.DataFrame, dialect: Dialect) -> Dialect:
    """Completes a dialect by how numbers are written.

    It is the way that makes the most columns numbers; that of TFX if no other is better.

    Args:
        frame: Rows of texts, empty where a value is missing.
        dialect: The rest of the dialect.
    """
    columns = [_Column(frame[name]) for name in frame.columns]
    every = {"units": _UNITS, "scales": (*_POWERS,), "accounting": True}
    ways = [
        dialect.model_copy(update={"decimal": point, "thousands": thousands, **every})
        for point, thousands in _MARKS
    ]
    read = {way: [column for column in columns if column.is_of_numbers(way)] for way in ways}
    best = max(ways, key=lambda way: len(read[way]))
    found = [text for column in read[best] for text in column.marked.index]
    matches = [match for text in found if (match := _pattern(best).fullmatch(text))]
    scales = {match["scale"] for match in matches} - {""}
    others = [
        text for column in columns if column not in read[best] for text in column.marked.index
    ]
    if scales and any((m := _pattern(best).fullmatch(text)) and m["scale"] for text in others):
        # What is a text elsewhere, as 2B, must not become a number.
        scales = set()
    return best.model_copy(
        update={
            "units": tuple(unit for unit in _UNITS if any(unit in text for text in found)),
            "scales": tuple(scale for scale in _POWERS if scale in scales),
            "accounting": any(match["open"] for match in matches),
        }
    )


class _Column:
    """The values of a column, by how they are written.

    Attributes:
        whole: How many are whole numbers without marks, which every dialect reads.
        pointed: How many are numbers with a point.
        marked: How often each other text occurs, but for those that stand for a missing value.
    """

    def __init__(self, column: pd.Series) -> None:
        counts = column.value_counts()
        counts = counts[~counts.index.isin(("", *MISSING_TEXTS))]
        is_plain = pd.to_numeric(pd.Series(counts.index), errors="coerce").notna().to_numpy()
        is_whole = is_plain & counts.index.str.isdecimal()
        self.whole = counts[is_whole].sum()
        self.pointed = counts[is_plain & ~is_whole].sum()
        self.marked = counts[~is_plain]

    def is_of_numbers(self, dialect: Dialect) -> bool:
        """Whether nearly all values are numbers in a dialect."""
        if len(self.marked) < _MANY_VALUES:
            dialect = dialect.model_copy(update={"scales": ()})
        pattern = _pattern(dialect)
        first = self.marked.index[:_FIRST_VALUES]
        if sum(pattern.fullmatch(text) is not None for text in first) < len(first) / 2:
            return False
        read = [pattern.fullmatch(text) is not None for text in self.marked.index]
        numbers = self.whole + self.marked[read].sum()
        numbers += self.pointed if dialect.decimal == "." else 0
        return bool(numbers >= _NEARLY_ALL * (self.whole + self.pointed + self.marked.sum()))


@functools.lru_cache(maxsize=100)
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    mark = r"[ \xa0\u202f]" if dialect.thousands == " " else re.escape(dialect.thousands)
    whole = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|\d+" if mark else r"\d+"
    point = re.escape(dialect.decimal)
    units = "|".join(map(re.escape, dialect.units))
    unit = rf"(?:{units})?\s?" if units else ""
    opening = r"\(" if dialect.accounting else "(?!)"  # The latter is nowhere.
    scale = f"[{''.join(dialect.scales)}]?" if dialect.scales else ""
    return re.compile(
        rf"(?P<sign>[+-]?){unit}(?P<open>{opening})?{unit}(?P<inner>[+-]?)"
        rf"(?:(?P<whole>{whole})(?:{point}(?P<fraction>\d*))?|{point}(?P<only>\d+))"
        rf"(?P<exponent>(?:[eE][+-]?\d+)?)\s?(?P<scale>{scale}){unit}(?(open)\)){unit}",
        re.ASCII,
    )
