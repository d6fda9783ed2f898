"""What the columns of a table are: numbers, categories, or nothing that a model could use.

The rules, applied to the values that are not missing; the first one that fits counts:

- empty: there is none. constant: there is one, in every row.
- Numbers (every value is one) are a date if they are called so and look like seconds or
  milliseconds since 1970, an identifier if they are whole, all different and count the rows or are
  called so, categorical if they are whole and there are 3 to 20 of them with 20 rows each on
  average, and numeric otherwise. Two numbers, such as 0 and 1, say no more as categories.
- Texts are a date if nearly all look like one. If a value occurs less than twice on average, they
  are free text where most have four words or more, else an identifier. They are categorical
  otherwise. Truth values in words (True and False, yes and no) are numeric: 1 and 0.
- Texts that are numbers but for what stands for a missing value ("NA", "?"), or fractions or many
  different numbers but for one in 20 at most, are mixed: TFX would take all of them for texts. Up
  to ten such texts ("#REF!") are mistakes, as good as missing; more may mean something.
- Whole numbers in a column without a name are an identifier: the rows' numbers in another table.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pcgrad_tfx.data.row_checks import MISSING_AMONG_TEXTS, MISSING_TEXTS, number_fault
from pcgrad_tfx.data.times import UNIX_RANGE, date_format
from pcgrad_tfx.data.truth_values import are_truth_values
from pcgrad_tfx.errors import shown

KindOfColumn = Literal[
    "numeric", "categorical", "date", "identifier", "free text", "constant", "empty", "mixed"
]

_FEW_VALUES = 20
_ROWS_PER_VALUE = 20
_MANY_VALUES = 20  # Below it, that all values differ says nothing.
_NEARLY_ALL = 0.95
_MOST_MISTAKES = 10
_WORDS_OF_A_TEXT = 4
_SOME_DATES = 10_000

_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:\d{2}.*)?"  # 2013-01-31, 2013-01-31T10:00:00Z
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ,]+\d{1,2}:\d{2}.*)?"  # 31.01.2013, 1/31/13 10:00
    r"|\d{1,2}[- ][A-Za-z]{3,9}\.?[- ]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"  # 31 Jan 2013
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"  # 10:00:00
)
_DATE_NAME = re.compile(r"time|date|stamp|_at$", re.IGNORECASE)
IDENTIFIER_NAME = re.compile(
    r"(?i:(^|[^a-z])(id|ids|key|uuid|guid|index|idx|row|rownames|nr|no)($|[^a-z])|^unnamed|number$)"
    r"|[a-z](Id|ID)$"
)
_NO_NAME = re.compile(r"unnamed_\d+")  # as CsvFile calls it


@dataclass(frozen=True)
class ColumnKind:
    """What a column is.

    Attributes:
        name: The column's name.
        kind: One of `KindOfColumn`.
        why: What it is, as a remark: "2,500 different values in 2,512 rows".
        missing_texts: Texts in it that seem to stand for missing values.
    """

    name: str
    kind: KindOfColumn
    why: str
    missing_texts: tuple[str, ...] = ()


def column_kinds(frame: pd.DataFrame, text_columns: Collection[str] = ()) -> dict[str, ColumnKind]:
    """Finds out what each column is.

    Args:
        frame: A sample of the rows: texts, empty where a value is missing.
        text_columns: Columns that hold texts even where these look like numbers.

    Returns:
        The columns' kinds by name, in the order of the table.
    """
    return {name: _column_kind(name, frame[name], name in text_columns) for name in frame.columns}


def _column_kind(name: str, column: pd.Series, is_text: bool) -> ColumnKind:
    known = column[column != ""]
    counts = known.value_counts()
    values = list(counts.index)
    if not values:
        return ColumnKind(name, "empty", "empty in every row")
    if len(values) == 1 and len(known) == len(column):
        return ColumnKind(name, "constant", f"{shown(values[0])} in every row")
    no_numbers = values if is_text else [value for value in values if number_fault(value)]
    if not no_numbers:
        return _kind_of_numbers(name, known, values)
    placeholders = tuple(value for value in no_numbers if value.strip() in MISSING_TEXTS)
    if not is_text and len(no_numbers) < len(values) and len(placeholders) == len(no_numbers):
        share = counts[list(placeholders)].sum() / len(known)
        listed = ", ".join(map(repr, placeholders))
        return ColumnKind(name, "mixed", f"numbers, but {listed} in {share:.1%}", placeholders)
    if not is_text and _are_mistaken(no_numbers, values, counts):
        others = len(no_numbers) - 1
        more = f" and {others} more text{'s' if others > 1 else ''}" if others else ""
        rows = f"{counts[no_numbers].sum():,} of {len(known):,} rows"
        why = f"numbers, but {shown(no_numbers[0])}{more} in {rows}"
        mistakes = placeholders if len(no_numbers) > _MOST_MISTAKES else tuple(no_numbers)
        return ColumnKind(name, "mixed", why, mistakes)
    surely_missing = tuple(text for text in placeholders if text.strip() in MISSING_AMONG_TEXTS)
    return _kind_of_texts(name, known, values, surely_missing)


def _are_mistaken(no_numbers: list[str], values: list[str], counts: pd.Series) -> bool:
    """Whether a few texts stand among numbers that are surely no codes."""
    texts = set(no_numbers)
    numbers = {float(value) for value in values if value not in texts}
    amounts = len(numbers) > _FEW_VALUES or any(number % 1 for number in numbers)
    return amounts and counts[no_numbers].sum() <= (1 - _NEARLY_ALL) * counts.sum()


def _kind_of_numbers(name: str, known: pd.Series, values: list[str]) -> ColumnKind:
    numbers = pd.Series([float(value) for value in values])
    different = f"{len(values):,} different values in {len(known):,} rows"
    if not (numbers % 1 == 0).all():
        return ColumnKind(name, "numeric", different)
    low, high = numbers.min(), numbers.max()
    if _DATE_NAME.search(name) and any(
        UNIX_RANGE[0] * unit <= low and high <= UNIX_RANGE[1] * unit for unit in (1, 1000)
    ):
        return ColumnKind(name, "date", "a time since 1970")
    if _NO_NAME.fullmatch(name):
        return ColumnKind(name, "identifier", "numbers without a name")
    all_differ = len(values) == len(known) > _MANY_VALUES
    if all_differ and (IDENTIFIER_NAME.search(name) or high - low + 1 == len(values)):
        return ColumnKind(name, "identifier", different)
    if 2 < len(values) <= _FEW_VALUES and len(known) >= _ROWS_PER_VALUE * len(values):
        return ColumnKind(name, "categorical", f"{len(values)} different whole numbers")
    return ColumnKind(name, "numeric", different)


def _kind_of_texts(
    name: str, known: pd.Series, values: list[str], placeholders: tuple[str, ...]
) -> ColumnKind:
    if are_truth_values(values):
        return ColumnKind(name, "numeric", "truth values")
    some = values[:1000]
    if sum(_DATE.fullmatch(value.strip()) is not None for value in some) >= _NEARLY_ALL * len(some):
        return ColumnKind(name, "date", f"dates or times, as {shown(values[0])}", placeholders)
    different = f"{len(values):,} different texts in {len(known):,} rows"
    if len(values) > _MANY_VALUES and 2 * len(values) > len(known):
        words = statistics.median(len(value.split()) for value in some)
        kind: KindOfColumn = "free text" if words >= _WORDS_OF_A_TEXT else "identifier"
        return ColumnKind(name, kind, different, placeholders)
    return ColumnKind(name, "categorical", different, placeholders)


def missing_texts(kinds: Iterable[ColumnKind]) -> list[str]:
    """The texts that seem to stand for missing values in some column, in a fixed order."""
    found = {text.strip() for kind in kinds for text in kind.missing_texts}
    known = [text for text in MISSING_TEXTS if text in found]
    return [*known, *sorted(found.difference(known))]


def date_formats(frame: pd.DataFrame, kinds: Iterable[ColumnKind]) -> dict[str, str]:
    """How the columns of dates are written, as `Features.dates` says it, as far as that is clear.

    Args:
        frame: A sample of the rows: texts, empty where a value is missing.
        kinds: The columns' kinds.
    """
    some = {
        kind.name: [value for value in frame[kind.name].unique() if value][:_SOME_DATES]
        for kind in kinds
        if kind.kind == "date"
    }
    found = {name: date_format(values) for name, values in some.items()}
    return {name: written for name, written in found.items() if written is not None}
