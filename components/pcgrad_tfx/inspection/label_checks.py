"""Finds tasks whose labels nothing can be learned from, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import shown
from pcgrad_tfx.inspection.label_values import label_values, numbers

# The squares of errors, and sums of them, must fit into float32; on a logarithmic scale the
# predictions, which are amounts and may exceed the labels.
_LARGEST_LABEL, _LARGEST_LOG_LABEL = 1e15, 1e30

# With fewer rows one of the splits 8:1:1 has none in more than one case of 20 (2 · 0.9^35).
_MIN_ROWS_OF_A_VALUE = 35
_SPLITS = 3


def label_problems(
    frame: pd.DataFrame, labels: pd.DataFrame, tasks: Sequence[Task]
) -> Iterator[str]:
    """Looks for labels that are all missing, all the same, or too large, and for wrong weights.

    Args:
        frame: Rows of texts, empty where a value is missing.
        labels: Their `label_values`.
        tasks: The tasks, complete.

    Yields:
        What is wrong with a task, and the remedy, in one line.
    """
    for position, task in enumerate(tasks):
        known = labels[task.name].dropna().to_numpy()
        where, column = f"tasks[{position}]", shown(task.column)
        if not len(known):
            found = next((value for value in frame[task.column] if value), "")
            why = f"{_why_missing(task)} (it has {shown(found)})"
            yield f"{where}: no row has a label: {why}; correct the task or the data"
        elif others := _neither_0_nor_1(frame, labels, task):
            value, share = others
            yield (
                f"{where}: column {column} holds {shown(value)}, too, {share}, and such rows would "
                "have no label: kind 'binary' needs 0 and 1; name the value that counts as 1 by "
                "`positive`, or a threshold by `above`, or use kind 'multiclass'; where it stands "
                "for a missing label, leave the cell empty, or it out by `valid_above`"
            )
        elif len(np.unique(known)) == 1:
            value = shown(task.classes[int(known[0])]) if task.classes else f"{known[0]:g}"
            yield (
                f"{where}: the label made of column {column} is {value} in every row that has one; "
                "choose another column or threshold"
            )
        elif task.kind == "regression":
            largest = np.abs(known).max()
            limit = _LARGEST_LOG_LABEL if task.log_scale else _LARGEST_LABEL
            if largest > limit:
                yield (
                    f"{where}: a label made of column {column} is as large as {largest:.3g}; "
                    f"beyond {limit:g} its error overflows: give the column in a larger unit, or "
                    "correct it"
                )
            elif task.loss == "poisson" and known.min() < 0:
                yield (
                    f"{where}: a label made of column {column} is {known.min():g}, and loss "
                    "'poisson' needs labels of at least 0; correct it, or choose another `loss`"
                )
        if len(known) and (problem := _weight_problem(frame, labels, task)):
            yield f"{where}: {problem}"


def _weight_problem(frame: pd.DataFrame, labels: pd.DataFrame, task: Task) -> str | None:
    """What is wrong with the weights of the rows that have a label."""
    if task.weight is None:
        return None
    column = shown(task.weight)
    weights = numbers(frame[task.weight][labels[task.name].notna()])
    if (negative := weights < 0).any():
        return (
            f"column {column} (`weight`) holds {weights[negative].min():g}, and a weight is never "
            "negative; correct it, or leave the cell empty where the row must not count"
        )
    if not (weights > 0).any():
        return f"no row that has a label has a weight in column {column}; fill it"
    return None


def missing_weights(
    frame: pd.DataFrame, labels: pd.DataFrame, tasks: Sequence[Task]
) -> Iterator[str]:
    """Looks for rows that have a label and no weight.

    Args:
        frame: Rows of texts, empty where a value is missing.
        labels: Their `label_values`.
        tasks: The tasks, complete.

    Yields:
        A remark about a task.
    """
    for task in tasks:
        if task.weight is None:
            continue
        weights = numbers(frame[task.weight][labels[task.name].notna()])
        if missing := np.isnan(weights).sum():
            yield (
                f"task {task.name}: column {shown(task.weight)} (`weight`) is empty in "
                f"{missing / len(weights):.1%} of the rows that have a label; they do not count"
            )


def rare_values(
    labels: pd.DataFrame, tasks: Sequence[Task], stratify: Sequence[str] | None = None
) -> Iterator[str]:
    """Looks for classes that a split may have no row of.

    Args:
        labels: The rows' `label_values`.
        tasks: The tasks, complete.
        stratify: The columns by which the splits are stratified; None where they cannot be.

    Yields:
        A remark about a task.
    """
    for task in tasks:
        if task.kind == "regression":
            continue
        names = task.class_names
        counts = {name: int((labels[task.name] == id_).sum()) for id_, name in enumerate(names)}
        fewest = _SPLITS if task.column in (stratify or ()) else _MIN_ROWS_OF_A_VALUE
        rare = [name for name, count in counts.items() if count < fewest]
        if rare:
            some = ", ".join(f"{shown(name)} in {counts[name]} rows" for name in rare[:3])
            remedy = ""
            if fewest > _SPLITS and stratify is not None:
                columns = json.dumps([*stratify, task.column], ensure_ascii=False)
                remedy = f"; stratify = {columns} under [data] gives each split its share"
            yield (
                f"task {task.name}: few rows of {some}{' …' if len(rare) > 3 else ''}: if the test "
                f"split has none, the metric is not defined and no model is pushed{remedy}"
            )


def _neither_0_nor_1(
    frame: pd.DataFrame, labels: pd.DataFrame, task: Task
) -> tuple[str, str] | None:
    """The most frequent value of a binary task that is no label, and in how many rows it is."""
    if task.kind != "binary" or task.is_text or task.above is not None:
        return None
    # With a threshold every number gives a label, where the other keys allow one.
    with_any_number = task.model_copy(update={"above": 0.0})
    others = label_values(frame, [with_any_number])[task.name].notna() & labels[task.name].isna()
    counts = frame[task.column][others].value_counts()
    if counts.empty:
        return None
    return counts.index[0], f"in {counts.sum() / len(frame):.1%} of the rows"


def _why_missing(task: Task) -> str:
    column = shown(task.column)
    reasons = []
    if task.only_where:
        listed = ", ".join(map(shown, task.condition_columns))
        reasons.append(f"no row with a value in column {column} is one of `only_where` ({listed})")
    if task.classes:
        reasons.append(f"column {column} holds none of `classes`")
    if task.valid_above is not None:
        reasons.append(f"column {column} is nowhere above `valid_above`, {task.valid_above:g}")
    if task.divide_by is not None:
        reasons.append(f"column {shown(task.divide_by)} (`divide_by`) is nowhere positive there")
    if task.log_scale:
        reasons.append(f"column {column} is negative, and with `log_scale` nothing may be")
    return " or ".join(reasons) or f"column {column} holds neither 0 nor 1"
