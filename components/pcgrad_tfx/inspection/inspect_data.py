"""Looks at the data before anything runs: checks them, and completes the configuration by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.features import Features, required_columns
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.files import DataFiles, check_data, find_data
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.data.split_checks import SplitSummary
from pcgrad_tfx.errors import DataError, brief, shown
from pcgrad_tfx.inspection.column_kinds import ColumnKind, column_kinds, missing_texts
from pcgrad_tfx.inspection.completion import check_conditions, complete_features, complete_task
from pcgrad_tfx.inspection.label_checks import label_problems, missing_weights, rare_values
from pcgrad_tfx.inspection.label_values import columns_with_texts, label_values
from pcgrad_tfx.inspection.leakage import MOST_LEAKS, Leak, find_leaks
from pcgrad_tfx.inspection.repeated_rows import repeated_rows


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        tasks: The tasks, complete.
        features: The features, complete.
        files: The data's files.
        remarks: What a person should know of the data, one line each: which features were found,
            which may give a label away.
    """

    tasks: tuple[Task, ...]
    features: Features
    files: DataFiles
    remarks: tuple[str, ...]


def inspect_data(
    location: str,
    source: str,
    *,
    tasks: Sequence[Task],
    features: Features,
    missing: Sequence[str] = (),
    dialect: Dialect = PLAIN,
    splitting: Splitting = BY_HASH,
    slices: Sequence[Sequence[str]] = (),
) -> Inspection:
    """Checks the data, completes tasks and features by them, and looks for leaks.

    Args:
        location: Where the data are, as `find_data` takes it.
        source: The name of the file that all this was read from, for messages.
        tasks: What to learn; classes and texts may be left to be found.
        features: What to learn from; the lists may be left to be found.
        missing: Texts that stand for a missing value, but in TFRecords.
        dialect: How CSV files are written.
        splitting: How the rows are to be split.
        slices: Raw columns that the evaluation is sliced by.

    Returns:
        What was found.

    Raises:
        DataError: The data cannot be trained on, or do not fit the configuration; in one line.
    """
    with _mistakes_in(f"{source}: data.path"):
        files = find_data(location, dialect)
    named = {task.column for task in tasks if _is_named(task)}
    sample = RowSample(exact={*named, *(c for task in tasks for c in task.condition_columns)})
    known, checked = required_columns(features, tasks, slices)
    # Of these it is yet to be found out whether they hold 0 and 1, or texts.
    checked -= named
    reading: dict[str, Any] = {"missing": missing, "dialect": dialect}
    summary = check_data(
        files, required=known, numeric=checked, **reading, splitting=splitting, sample=sample
    )
    texts = summary.text_columns
    completed = []
    for position, task in enumerate(tasks):
        with _mistakes_in(f"{source}: tasks[{position}]"):
            values = sample.values.get(task.column, set())
            completed.append(complete_task(task, values, task.column in texts))
            check_conditions(task, sample.values, texts)
    tasks = tuple(completed)
    frame = sample.frame()
    kinds = column_kinds(frame, texts)
    looked_at = set(kinds) if features.left_out else known
    if files.format == "tfrecord":
        # Whether such a text is a class was decided by whoever listed the classes.
        looked_at = looked_at - {task.column for task in tasks if task.classes}
    looked_at_kinds = [kinds[name] for name in kinds if name in looked_at]
    remarks = list(_missing_texts(looked_at_kinds, files))
    remarks += [
        f"perhaps missing values: {brief(kind.name)}: {kind.doubts}"
        for kind in looked_at_kinds
        if kind.doubts
    ]
    if summary.splits is not None:
        remarks += _split_sizes(summary.splits, splitting)
    if summary.repeated_headers:
        remarks.append(f"rows that repeat the header are left out: {summary.repeated_headers:,}")
    if features.left_out:
        with _mistakes_in(source):
            features = complete_features(features, tasks, kinds, splitting.no_features)
        remarks += _found_features(features, tasks, kinds, splitting)
    required, numeric = required_columns(features, tasks, slices)
    if not (numeric <= checked and required <= known):
        # What a column holds is known of the sample only.
        check_data(files, required=required, numeric=numeric, **reading)
    # The sample may lack the one word that makes a column text.
    texts |= columns_with_texts(sample.values)
    labels = label_values(frame, tasks, texts)
    problems = [f"{source}: {problem}" for problem in label_problems(frame, labels, tasks)]
    if problems and len(frame) == sample.rows:
        raise DataError(problems[0])
    # Of a sample it is no more than likely.
    stratify = None if files.splits or splitting.no_features else splitting.stratify
    remarks += [*problems, *rare_values(labels, tasks, stratify)]
    remarks += missing_weights(frame, labels, tasks)
    remarks += repeated_rows(frame, sample.splits(), features, tasks, splitting)
    leaks = find_leaks(frame, labels, features, tasks)
    remarks += map(possible_leak, leaks[:MOST_LEAKS])
    if more := len(leaks[MOST_LEAKS:]):
        remarks.append(f"possible leaks: {more} weaker ones, all of which `tfx-pcgrad init` lists")
    return Inspection(tasks, features, files, tuple(remarks))


def possible_leak(leak: Leak) -> str:
    """A leak as a line for the person who owns the data."""
    column, are = shown(leak.column), "it is"
    if leak.other is not None and not leak.with_label:
        column, are = "one of them", "both are"
    return f"possible leak: {leak}; exclude {column} unless {are} known before {leak.task}"


def _is_named(task: Task) -> bool:
    """Whether the values of a task's column are names: they must be known, from all rows."""
    return task.kind == "multiclass" or (task.kind == "binary" and task.above is None)


@contextlib.contextmanager
def _mistakes_in(place: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def _found_features(
    features: Features,
    tasks: tuple[Task, ...],
    kinds: Mapping[str, ColumnKind],
    splitting: Splitting,
) -> Iterator[str]:
    groups: Mapping[str, Any] = {
        "numeric": features.numeric,
        "categorical": features.categorical,
        "bucketized": features.bucketized,
        "date": features.dates,
    }
    for group, columns in groups.items():
        if columns:
            yield f"{group} features: {', '.join(map(brief, columns))}"
    labels = {column for task in tasks for column in task.source_columns}
    reasons = {
        column: f"in `only_where` of {task.name}"
        for task in tasks
        for column in task.condition_columns
    } | {task.weight: f"the weight of {task.name}" for task in tasks}
    reasons |= dict.fromkeys(splitting.no_features, "the rows are split by it")
    left_out = [
        f"{brief(name)} ({reasons.get(name, f'{kind.kind}: {kind.why}')})"
        for name, kind in kinds.items()
        if name not in {*features.columns, *features.exclude, *labels}
    ]
    if left_out:
        yield f"no features: {', '.join(left_out)}"


def _split_sizes(splits: SplitSummary, splitting: Splitting) -> Iterator[str]:
    """How large the splits are, where that depends on groups or times, and what is not split."""
    if splits.undivided:
        rows = [f"{shown(value)} ({count:,} rows)" for value, count in splits.undivided.items()]
        yield (
            f"fewer than three different rows of {', '.join(rows[:3])}"
            f"{' …' if len(rows) > 3 else ''} (`stratify`): all of them are in train"
        )
        return
    sizes = [f"{name} {count:,}" for name, count in splits.rows.items()]
    if splits.groups:
        sizes = [
            f"{size} ({count:,} groups)"
            for size, count in zip(sizes, splits.groups.values(), strict=True)
        ]
    if splits.left_out:
        sizes.append(f"left out {splits.left_out:,}")
    yield f"rows, split by {brief(splitting.columns[0])}: {', '.join(sizes)}"


def _missing_texts(kinds: Sequence[ColumnKind], files: DataFiles) -> Iterator[str]:
    if texts := missing_texts(kinds):
        listed = ", ".join(f'"{text}"' for text in texts)
        remedy = f"write missing = [{listed}] under [data]"
        if files.format == "tfrecord":
            names = ", ".join(brief(kind.name) for kind in kinds if kind.missing_texts)
            remedy = f"leave {listed} out of the examples ({names})"
        yield f"texts that look like missing values: {remedy}"
