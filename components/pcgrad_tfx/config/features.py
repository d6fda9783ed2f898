"""Which columns the model may see, and how each of them is prepared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, model_validator

from pcgrad_tfx.config.task_checks import first_repeated
from pcgrad_tfx.config.task_keys import Column
from pcgrad_tfx.config.tasks import Task, is_draft
from pcgrad_tfx.errors import shown

Reason = Annotated[str, Field(min_length=1)]
BucketCount = Annotated[int, Field(ge=2, le=2**31 - 1)]


# Beside these, dates are written by `strptime`'s directives.
ISO, SECONDS, MILLISECONDS = "iso", "seconds", "milliseconds"
DATE_PARTS = (
    "year", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos", "days",
)  # fmt: skip
_CLOCK_PARTS = tuple(part for part in DATE_PARTS if part.startswith("hour"))
_DIRECTIVES = "YymbBdHIMSp"


def _date_format(written: str) -> str:
    if written in (ISO, SECONDS, MILLISECONDS):
        return written
    directives = re.findall("%(.?)", written)
    for one in directives:
        if not one or one not in _DIRECTIVES:
            raise ValueError(
                f"%{one} is not known; there are: {', '.join(f'%{d}' for d in _DIRECTIVES)}"
            )
    has_day, found = {*"Yy"} & {*directives} and {*"mbB"} & {*directives}, {*directives}
    if len(found) < len(directives) or not (has_day or is_clock(written)):
        raise ValueError(
            f"{shown(written)} needs a year and a month, or an hour alone, once each, as in "
            '"%d.%m.%Y" and "%H:%M"; or write '
            f'"{ISO}" for 2013-01-31 10:00:00, "{SECONDS}" or "{MILLISECONDS}" for those since 1970'
        )
    return written


def is_clock(written: str) -> bool:
    """Whether dates that are written so are times of a day, without the day."""
    directives = {*re.findall("%(.?)", written)}
    return bool({*"HI"} & directives) and not {*"YymbBd"} & directives


def parts_of(written: str) -> tuple[str, ...]:
    """Those of `DATE_PARTS` that dates have which are written so."""
    return _CLOCK_PARTS if is_clock(written) else DATE_PARTS


DateFormat = Annotated[str, AfterValidator(_date_format)]


def transformed_name(column: str) -> str:
    """The name of the feature that Transform makes of a column."""
    return f"{column}_xf"


class Features(BaseModel, frozen=True, extra="forbid"):
    """The columns the model may see: a whitelist, each column in one group.

    A configuration file need not list them: see `pcgrad_tfx.inspection.completion`.

    Attributes:
        numeric: Numbers, scaled to mean 0 and variance 1.
        categorical: Texts or numbers, looked up in a vocabulary; 8.0 is the same as 8.
        bucketized: Numbers, put into this many buckets of about equal size.
        dates: Dates, and how they are written; each becomes the year, the days since 1970, and
            places on the circles of months, weekdays and hours (`DATE_PARTS`); times without a day
            become the latter only.
        exclude: Columns that are kept out on purpose, each with the reason.
        vocabulary_size: How many of its most frequent values a vocabulary holds at most.
        oov_buckets: How many ids the values outside a vocabulary share.
    """

    numeric: tuple[Column, ...] = Field((), description="columns of numbers")
    categorical: tuple[Column, ...] = Field((), description="columns of texts or integers")
    bucketized: dict[Column, BucketCount] = Field({}, description="column = number of buckets")
    dates: dict[Column, DateFormat] = Field({}, description='column = "iso", or "%d.%m.%Y"')
    exclude: dict[Column, Reason] = Field({}, description='column = "the reason"')
    vocabulary_size: int = Field(
        1000, ge=1, le=2**31 - 1, description="the most values a vocabulary holds"
    )
    oov_buckets: int = Field(
        1, ge=1, le=2**31 - 1, description="ids for values outside a vocabulary"
    )

    @model_validator(mode="after")
    def _check_each_column_once(self, info: ValidationInfo) -> Features:
        if not self.columns and not (is_draft(info) and self.left_out):
            raise ValueError(
                "no column is a feature; list some under `numeric`, `categorical`, `bucketized` or"
                " `dates`"
            )
        repeated = first_repeated(self.columns)
        if repeated is not None:
            raise ValueError(f"column {shown(repeated)} is listed twice; keep one of the two")
        for column in self.columns:
            if column in self.exclude:
                raise ValueError(
                    f"column {shown(column)} is a feature and excluded; keep one of the two"
                )
        return self

    @property
    def left_out(self) -> tuple[str, ...]:
        """Which of the lists are not given, so that their columns are to be found in the data."""
        return tuple(
            name for name in ("numeric", "categorical") if name not in self.model_fields_set
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns of all features."""
        return (*self.numeric, *self.categorical, *self.bucketized, *self.dates)

    @property
    def transformed_names(self) -> tuple[str, ...]:
        """The names of all features that Transform makes."""
        parts = [f"{column}_{part}" for column, w in self.dates.items() for part in parts_of(w)]
        return tuple(
            map(transformed_name, (*self.numeric, *self.categorical, *self.bucketized, *parts))
        )


def check_features(features: Features, tasks: Sequence[Task]) -> None:
    """Checks that the features give no label away and share no name with one.

    A column of `only_where` may be a feature, as long as no label derives from it; a weight not.

    Raises:
        ValueError: If a feature is a column that a label derives from, or a weight, or if a
            transformed feature has the name of a label or of another one.
    """
    columns = set(features.columns)
    names = set(features.transformed_names)
    if (repeated := first_repeated(features.transformed_names)) is not None:
        raise ValueError(
            f"{shown(repeated)} would be a part of a date and another column's feature; rename the"
            " column"
        )
    for task in tasks:
        for column in task.source_columns:
            if column in columns:
                raise ValueError(
                    f"column {shown(column)} is a feature, but the label of task {task.name!r} "
                    "derives from it; remove it from the features"
                )
        if task.weight in columns:
            raise ValueError(
                f"column {shown(str(task.weight))} is a feature, but the weight of task"
                f" {task.name!r}; remove it from the features"
            )
        if task.label_key in names:
            raise ValueError(
                f"{shown(task.label_key)} is a transformed feature, and the label of task"
                f" {task.name!r}; choose another `label_key`"
            )


def required_columns(
    features: Features, tasks: Sequence[Task], slices: Iterable[Sequence[str]] = ()
) -> tuple[set[str], set[str]]:
    """The columns that the data must have.

    Args:
        features: What to learn from.
        tasks: What to learn.
        slices: Columns that the evaluation is sliced by.

    Returns:
        All columns that must exist, and those of them that must hold numbers.
    """
    of_tasks = {column for task in tasks for column in task.columns}
    numbers = {column for task in tasks for column in task.number_columns}
    sliced = {column for columns in slices for column in columns}
    since_1970 = {name for name, w in features.dates.items() if w in (SECONDS, MILLISECONDS)}
    numeric = {*features.numeric, *features.bucketized, *since_1970, *numbers}
    return {*features.columns, *of_tasks, *sliced}, numeric
