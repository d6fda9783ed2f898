"""Completes tasks and features from the data: the classes of a task, the columns of a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pcgrad_tfx.config.features import Features, check_features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.data.row_checks import MISSING_AMONG_TEXTS, number_fault
from pcgrad_tfx.data.row_sample import MAX_VALUES
from pcgrad_tfx.data.truth_values import truth_value
from pcgrad_tfx.errors import DataError, shown
from pcgrad_tfx.inspection.column_kinds import ColumnKind
from pcgrad_tfx.inspection.label_values import value_names

MAX_CLASSES = 50

_UNKNOWN_CODES = 3


def complete_features(
    features: Features,
    tasks: Sequence[Task],
    kinds: Mapping[str, ColumnKind],
    no_features: Collection[str] = (),
) -> Features:
    """Adds the columns that are not listed, each to the group of its kind.

    Args:
        features: What is listed; it stays as it is.
        tasks: The tasks; none of their columns becomes a feature. (Whether a row was clicked, say,
            is known when the conversion is, not before.)
        kinds: The columns' kinds.
        no_features: Further columns that become none: those that the rows are split by.

    Returns:
        The features, complete.

    Raises:
        DataError: A column that is excluded does not exist, or no column can be used.
    """
    for column in features.exclude:
        # Misspelt, the column that is meant would become a feature.
        if column not in kinds:
            raise DataError(
                f"features.exclude: column {shown(column)} is not in the data; "
                f"{nearest(column, kinds)}"
            )
    taken = {*features.columns, *features.exclude, *no_features}
    taken |= {column for task in tasks for column in task.columns}
    found = {
        kind: [name for name, column in kinds.items() if column.kind == kind and name not in taken]
        for kind in ("numeric", "categorical")
    }
    given = features.model_dump()
    given["numeric"] = (*features.numeric, *found["numeric"])
    given["categorical"] = (*features.categorical, *found["categorical"])
    if not any(given[group] for group in ("numeric", "categorical", "bucketized", "dates")):
        raise DataError(
            "features: no column can be one: "
            + "; ".join(f"{name}: {kind.why}" for name, kind in kinds.items() if name not in taken)
        )
    complete = Features.model_validate(given)
    check_features(complete, tasks)
    return complete


def complete_task(task: Task, values: Collection[str], is_text: bool = False) -> Task:
    """Finds what a task does not say about its label, and checks what it says.

    Args:
        task: The task.
        values: The different values of its `column`, without the empty one; if they are more
            than `MAX_VALUES`, some of them.
        is_text: Whether they are texts, whatever they look like: those of TFRecords.

    Returns:
        The task, complete.

    Raises:
        DataError: The values do not fit the task; the message says what would.
    """
    if task.kind == "multiclass" and task.classes is None:
        _check_none_is_missing(task, values, is_text)
        return _validated(task, classes=find_classes(task.column, values, is_text))
    if task.kind != "binary" or task.above is not None:
        return task
    if task.positive is None:
        return _with_positive(task, values, is_text)
    names = set(value_names(values, is_text).values())
    if task.positive not in names and len(values) <= MAX_VALUES:
        raise DataError(
            f"`positive` is {shown(task.positive)}, but column {shown(task.column)} has no such "
            f"value; {nearest(task.positive, sorted(names))}"
        )
    if len(names) < 2:
        raise DataError(
            f"column {shown(task.column)} is {shown(task.positive)} in every row; choose another"
        )
    return task


def check_conditions(
    task: Task, values: Mapping[str, Collection[str]], text_columns: Collection[str] = ()
) -> None:
    """Checks that the data have the values that a task's `only_where` names.

    Args:
        task: The task.
        values: By column of `only_where`: its different values, as of `complete_task`.
        text_columns: The columns that hold texts, whatever they look like.

    Raises:
        DataError: A column does not have one of them.
    """
    for column, wanted in (task.only_where or {}).items():
        if len(values[column]) > MAX_VALUES:
            continue
        is_text = column in text_columns
        names = set(value_names(values[column], is_text).values())
        for value in value_names(wanted, is_text or any(map(number_fault, names))).values():
            if value not in names:
                raise DataError(
                    f"`only_where` asks for {shown(value)}, but column {shown(column)} has no such "
                    f"value; {nearest(value, sorted(names))}"
                )


def find_classes(column: str, values: Collection[str], is_text: bool = False) -> tuple[str, ...]:
    """The classes of a column, sorted; numbers by size.

    Args:
        column: The column's name.
        values: Its different values, without the empty one.
        is_text: Whether they are texts, whatever they look like.

    Raises:
        DataError: There are too few or too many, or they are numbers that are not whole.
    """
    if len(values) > MAX_CLASSES:
        raise DataError(
            f"column {shown(column)} has more than {MAX_CLASSES} values; list those that count as "
            '`classes`, or use kind = "regression" for an amount'
        )
    names = set(value_names(values, is_text).values())
    if not is_text and any("." in name for name in names if not number_fault(name)):
        raise DataError(
            f'column {shown(column)} holds numbers that are not whole; use kind = "regression"'
        )
    if len(names) < 3:
        listed = ", ".join(map(shown, sorted(names)))
        raise DataError(
            f"column {shown(column)} has {len(names)} values ({listed}), but kind 'multiclass' "
            'needs 3; with 2 use kind = "binary" with `positive`'
        )
    are_numbers = not is_text and not any(map(number_fault, names))
    return tuple(sorted(names, key=float) if are_numbers else sorted(names))


def _with_positive(task: Task, values: Collection[str], is_text: bool) -> Task:
    if not is_text and not any(map(number_fault, values)):
        numbers = {float(value) for value in values}
        # Beside 0 and 1 there may be codes that `valid_above` leaves out (`label_checks` looks
        # whether it does), but not amounts.
        if {0.0, 1.0} <= numbers and len(numbers) <= 2 + _UNKNOWN_CODES:
            return task
        hint = (
            " or ".join(f'positive = "{name}"' for name in sorted(value_names(values).values()))
            if len(numbers) == 2
            else "a threshold, say above = 0"
        )
        raise DataError(f"column {shown(task.column)} holds other numbers than 0 and 1; add {hint}")
    _check_none_is_missing(task, values, is_text)
    if (positive := truth_value(values)) is not None:
        return _validated(task, positive=positive)
    names = sorted(values)
    if len(names) == 2:
        hint = " or ".join(f'positive = "{name}"' for name in names)
    else:
        some = ", ".join(map(shown, names[:5]))
        hint = f"`positive`, the value that counts as 1 (it has {some} …)"
    raise DataError(f"column {shown(task.column)} holds texts, not 0 and 1; add {hint}")


def seem_missing(values: Collection[str]) -> list[str]:
    """Those of a column's texts that seem to stand for a missing value, sorted."""
    return sorted(value for value in values if value.strip() in MISSING_AMONG_TEXTS)


def _check_none_is_missing(task: Task, values: Collection[str], is_text: bool) -> None:
    if not (found := seem_missing(values)):
        return
    text = found[0].strip()
    remedy = f'write missing = ["{text}"] under [data], or list what counts in the task'
    if is_text:
        # `positive` would be no remedy: the label would be 0 there.
        or_else = ", or list `classes` without it" if task.kind == "multiclass" else ""
        remedy = f"leave the value out of the examples{or_else}"
    raise DataError(
        f"column {shown(task.column)} holds {shown(text)}, which seems to stand for a missing "
        f"value; {remedy}"
    )


def _validated(task: Task, **found: object) -> Task:
    return Task.model_validate(task.model_dump() | found)
