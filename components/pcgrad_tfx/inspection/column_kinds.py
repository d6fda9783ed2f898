"""What the columns of a table are: numbers, categories, or nothing that a model could use.

The rules, applied to the values that are not missing; the first one that fits counts:

- empty: there is none. constant: there is one, in every row.
- Numbers (every value is one) are a date if all are days such as 20130131, or if they are called so
  and look like seconds or milliseconds since 1970. Whole ones are an identifier if all differ and
  they count the rows or are called so, or if they are called so and have less than 20 rows each.
  With more, they are categorical if they are codes: called so (zone, postcode, type), written with
  zeros before them (007), or 3 to 20 of them with large gaps. Others are numeric: counts, grades
  and months have an order, and 0 and 1 say no more as categories.
- Numbers of nines that are far from all others stand for missing values if they are below them, as
  -999; above them, as 99999, they may also be a limit that amounts were cut at.
- Texts are a date if nearly all look like one. If a value occurs less than twice on average, they
  are free text where most have four words or more, else an identifier. They are categorical
  otherwise. Truth values in words (True and False, yes and no) are numeric: 1 and 0.
- Texts that are numbers but for what stands for a missing value ("NA", "?"), or fractions or many
  different numbers but for one in 20 at most, are mixed: TFX would take all of them for texts. Up
  to ten such texts ("#REF!") are mistakes, as good as missing; more may mean something.
- Whole numbers in a column without a name are an identifier: the rows' numbers in another table.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from pcgrad_tfx.data.row_checks import MISSING_AMONG_TEXTS, MISSING_TEXTS, number_fault
from pcgrad_tfx.data.times import UNIX_RANGE, are_days, date_format
from pcgrad_tfx.data.truth_values import are_truth_values
from pcgrad_tfx.errors import shown
from pcgrad_tfx.inspection.missing_numbers import missing_numbers

KindOfColumn = Literal[
    "numeric", "categorical", "date", "identifier", "free text", "constant", "empty", "mixed"
]

_FEW_VALUES = 20
_ROWS_PER_VALUE = 20
_GAPS = 2  # So many numbers for each one that occurs, from the lowest to the highest.
_MANY_VALUES = 20  # Below it, that all values differ says nothing.
_NEARLY_ALL = 0.95
_MOST_MISTAKES = 10
_WORDS_OF_A_TEXT = 4
_SOME_DATES = 10_000

_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:\d{2}.*)?"  # 2013-01-31, 2013-01-31T10:00:00Z
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ,]+\d{1,2}:\d{2}.*)?"  # 31.01.2013, 1/31/13 10:00
    r"|\d{1,2}[- ][A-Za-z]{3,9}\.?[- ]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"  # 31 Jan 2013
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?"  # 10:00:00
)
_DATE_NAME = re.compile(r"time|date|stamp|_at$", re.IGNORECASE)
IDENTIFIER_NAME = re.compile(
    r"(?i:(^|[^a-z])(id|ids|key|uuid|guid|index|idx|row|rownames|nr|no)($|[^a-z])|^unnamed|number$)"
    r"|[a-z](Id|ID)$"
)
# Of these, what surely is no amount (a number may be one).
_ID_NAME = re.compile(r"(?i:(^|[^a-z])(id|ids|key|uuid|guid)$)|[a-z](Id|ID)$")
_CODE_NAME = re.compile(
    r"(?i:(^|[^a-z])(code|zip|zip_?code|postcode|postal_?code|fips|type|category|class|zone|district"
    r"|region|borough|community_area|county|state|country|city|sector|ward|precinct|cluster"
    r"|segment|group|status|sex|gender|race|ethnicity|religion|occupation|store|shop|branch"
    r"|department|dept|product|item|brand|model|airport|carrier|vendor|station)(_?(code|nr|nbr))?$)"
    r"|[a-z](Code|Type|Category|Class|Zone|District|Region|Status|Group)$"
)
_CODE = re.compile(r"0\d+")  # A number that is written so.
_NO_NAME = re.compile(r"unnamed_\d+")  # as CsvFile calls it


@dataclass(frozen=True)
class ColumnKind:
    """What a column is.

    Attributes:
        name: The column's name.
        kind: One of `KindOfColumn`.
        why: What it is, as a remark: "2,500 different values in 2,512 rows".
        missing_texts: Texts in it that seem to stand for missing values; numbers like -999, too.
        doubts: What a number above all others may mean, as a remark; empty if there is none.
    """

    name: str
    kind: KindOfColumn
    why: str
    missing_texts: tuple[str, ...] = ()
    doubts: str = ""


def column_kinds(frame: pd.DataFrame, text_columns: Collection[str] = ()) -> dict[str, ColumnKind]:
    """Finds out what each column is.

    Args:
        frame: A sample of the rows: texts, empty where a value is missing.
        text_columns: Columns that hold texts even where these look like numbers.

    Returns:
        The columns' kinds by name, in the order of the table.
    """
    nines = missing_numbers(frame, text_columns)
    return {
        name: _kind_beside(nines[name], name, frame[name])
        if name in nines
        else _column_kind(name, frame[name], name in text_columns)
        for name in frame.columns
    }


def are_few(values: Collection[str], rows: int) -> bool:
    """Whether the different values of a column may be classes: a few whole numbers, often.

    Args:
        values: Texts, of which all are numbers.
        rows: In how many rows there is one.
    """
    found = {float(value) for value in values}
    often = rows >= _ROWS_PER_VALUE * len(found)
    return 2 < len(found) <= _FEW_VALUES and often and all(number % 1 == 0 for number in found)


def _kind_beside(texts: tuple[str, ...], name: str, column: pd.Series) -> ColumnKind:
    """The kind of a column in which some numbers seem to stand for a missing value."""
    below = tuple(text for text in texts if text.startswith("-"))
    above = tuple(text for text in texts if text not in below)
    kind = _column_kind(name, column.mask(column.isin(below), ""), is_text=False)
    if above:
        kind = dataclasses.replace(kind, doubts=_far_from_others(above, column))
    if below:
        why = f"{kind.why}; {_far_from_others(below, column)}"
        kind = dataclasses.replace(kind, why=why, missing_texts=(*kind.missing_texts, *below))
    return kind


def _far_from_others(texts: Collection[str], column: pd.Series) -> str:
    listed = ", ".join(map(shown, texts))
    return f"{listed} in {column.isin(texts).sum():,} rows, far from all others"


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
    numbers = np.array([float(value) for value in values])
    different = f"{len(values):,} different values in {len(known):,} rows"
    if (numbers % 1 != 0).any():
        return ColumnKind(name, "numeric", different)
    low, high = numbers.min(), numbers.max()
    since_1970 = _DATE_NAME.search(name) and any(
        UNIX_RANGE[0] * unit <= low and high <= UNIX_RANGE[1] * unit for unit in (1, 1000)
    )
    if since_1970 or (len(values) > _MANY_VALUES and are_days(numbers)):
        why = "a time since 1970" if since_1970 else f"days, as {shown(values[0])}"
        return ColumnKind(name, "date", why)
    if _NO_NAME.fullmatch(name):
        return ColumnKind(name, "identifier", "numbers without a name")
    if _are_identifiers(name, len(known), len(values), high - low + 1):
        return ColumnKind(name, "identifier", different)
    if _are_codes(name, len(known), values, high - low + 1):
        return ColumnKind(name, "categorical", f"codes: {different}")
    return ColumnKind(name, "numeric", different)


def _are_identifiers(name: str, rows: int, number: int, width: float) -> bool:
    """Whether so many whole numbers, of a range of this width, name rows, or what they are of."""
    if number <= _MANY_VALUES:
        return False
    all_differ = number == rows and (width == number or IDENTIFIER_NAME.search(name) is not None)
    return all_differ or (_ID_NAME.search(name) is not None and rows < _ROWS_PER_VALUE * number)


def _are_codes(name: str, rows: int, values: list[str], width: float) -> bool:
    """Whether whole numbers, of a range of this width, have no order, and are seen often."""
    if len(values) <= 2 or rows < _ROWS_PER_VALUE * len(values):
        return False
    if any(pattern.search(name) for pattern in (_CODE_NAME, _ID_NAME)):
        return True
    has_gaps = len(values) <= _FEW_VALUES and width > _GAPS * len(values)
    return has_gaps or any(map(_CODE.fullmatch, values))


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
