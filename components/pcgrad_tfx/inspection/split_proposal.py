"""Proposes how rows are split, where a hash of each row would flatter the model.

A column that is called like somebody or something that is measured more than once (patient, user,
engine), and whose values repeat, is a group. One that is merely called an identifier may as well be
a category that new rows have, too (a zone, an airline), and whether predictions are about the
future is not to be seen in a date: these are suggested in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.data.row_checks import number_fault
from pcgrad_tfx.data.split_checks import SplitChecks
from pcgrad_tfx.data.times import FORMATS, narrowed
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.column_kinds import IDENTIFIER_NAME, ColumnKind

# With fewer, a split by hash is too uneven.
_FEWEST_GROUPS = 20
# So many groups for a row at most: of an identifier, and of what is surely measured again.
_GROUPS_FOR_A_ROW = 0.5
_GROUPS_MEASURED_AGAIN = 0.95
_SOME_TIMES = 100

_MEASURED_AGAIN = re.compile(
    r"(.*[^a-z])?(patient|subject|participant|respondent|individual|person|user|customer|client|member"
    r"|employee|worker|student|animal|player|athlete|driver|speaker|author|household|device"
    r"|machine|engine|vehicle|unit|session)s?[^a-z]*(id|no|nr|num|number|code|key)?[^a-z]*",
    re.IGNORECASE,
)
_BIRTH = re.compile(r"birth|born|dob", re.IGNORECASE)


@dataclass(frozen=True)
class Suggestion:
    """A key of `[data]` that may be right.

    Attributes:
        key: "group" or "time".
        column: Its value.
        why: What speaks for it, in words.
    """

    key: str
    column: str
    why: str


@dataclass(frozen=True)
class SplitProposal:
    """How rows could be split.

    Attributes:
        splitting: How, if nobody changes it.
        why: What speaks for it, where that is by group; else empty.
        suggestions: What else may be right.
    """

    splitting: Splitting = BY_HASH
    why: str = ""
    suggestions: tuple[Suggestion, ...] = ()


def propose_splits(
    frame: pd.DataFrame,
    kinds: Mapping[str, ColumnKind],
    labels: Collection[str],
    texts: Collection[str] = (),
    *,
    is_whole: bool = True,
) -> SplitProposal:
    """Looks for groups and times.

    Args:
        frame: Rows of texts, empty where a value is missing.
        kinds: The columns' kinds.
        labels: The columns to predict, which are neither.
        texts: Columns that hold texts even where these look like numbers.
        is_whole: Whether they are all rows; of a sample a group is only suggested.
    """
    splitting, reason = BY_HASH, ""
    suggestions: list[Suggestion] = []
    for name, number in _groups(frame, kinds, labels):
        counted = f"{number:,} values in {len(frame):,} rows"
        if is_whole and _MEASURED_AGAIN.fullmatch(name) and _is_possible(frame[name], texts):
            splitting, reason = Splitting(group=name), f"rows of one are alike: {counted}"
            suggestions.clear()
            break
        if not suggestions:
            why = f"if predictions are wanted for new values of it: {counted}"
            suggestions.append(Suggestion("group", name, why))
    time = next(_times(frame, kinds, labels), None)
    if time is not None:
        why = "if predictions are wanted for later rows than these"
        suggestions.append(Suggestion("time", time, why))
    return SplitProposal(splitting, reason, tuple(suggestions))


def _is_possible(column: pd.Series, texts: Collection[str]) -> bool:
    """Whether a split by these groups leaves no split empty."""
    name = str(column.name)
    checks = SplitChecks(Splitting(group=name), [name], texts)
    try:
        for cell in column:
            checks.add("", [cell])
        checks.finish("")
    except DataError:
        return False
    return True


def _groups(
    frame: pd.DataFrame, kinds: Mapping[str, ColumnKind], labels: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Columns that name what several rows are about, and how many there are."""
    for name, kind in kinds.items():
        again = _MEASURED_AGAIN.fullmatch(name) is not None
        if name in labels or not (again or IDENTIFIER_NAME.search(name)):
            continue
        if kind.kind not in ("numeric", "categorical", "identifier"):
            continue
        values = frame[name].unique()
        most = len(frame) * (_GROUPS_MEASURED_AGAIN if again else _GROUPS_FOR_A_ROW)
        if not _FEWEST_GROUPS <= len(values) <= most or "" in values:
            continue
        # TFX groups by whole numbers and texts.
        if any(map(number_fault, values)) or all("." not in value for value in values):
            yield name, len(values)


def _times(
    frame: pd.DataFrame, kinds: Mapping[str, ColumnKind], labels: Collection[str]
) -> Iterator[str]:
    """Columns of dates that are known of every row and can be ordered."""
    for name, kind in kinds.items():
        if name in labels or kind.kind != "date" or _BIRTH.search(name):
            continue
        values = frame[name].unique()
        formats: tuple[str, ...] = FORMATS
        for value in values[:_SOME_TIMES]:
            formats = narrowed(formats, value)
        if formats and "" not in values and len(values) >= _SOME_TIMES // 10:
            yield name
