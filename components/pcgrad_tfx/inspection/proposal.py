"""Proposes a configuration for data that nobody has described yet.

A label of two values is binary, texts are classes, and numbers of many values an amount. Whole
numbers of few values (see `pcgrad_tfx.inspection.column_kinds`) are:

- an amount if they have an order, which grades, counts and ratings have: more than ten different
  numbers; more than five, of which at least half of those between the lowest and the highest one;
  or three to five in a row in a column that is called so (rating, stars, grade …);
- classes otherwise: three to five codes, or up to ten with large gaps.

Classes have no order: to take a 9 for a 10 would be as wrong as to take a 0 for it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.features import Features, required_columns
from pcgrad_tfx.config.tasks import Task, is_reserved
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.training_rule import with_choices
from pcgrad_tfx.data.files import DataFiles, check_data, find_data
from pcgrad_tfx.data.reading.csv_files import CsvFile
from pcgrad_tfx.data.reading.number_formats import find_number_format, normalizer
from pcgrad_tfx.data.reading.sniffing import find_dialect, lacks_header
from pcgrad_tfx.data.reading.tables import find_files
from pcgrad_tfx.data.row_checks import MISSING_TEXTS, number_fault
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.data.truth_values import truth_value
from pcgrad_tfx.errors import DataError, brief_list, shown
from pcgrad_tfx.inspection.column_kinds import (
    ColumnKind,
    are_few,
    column_kinds,
    date_formats,
    missing_texts,
)
from pcgrad_tfx.inspection.completion import (
    MAX_CLASSES,
    complete_features,
    complete_task,
    find_classes,
    seem_missing,
)
from pcgrad_tfx.inspection.label_values import (
    columns_with_texts,
    is_ordinal,
    label_values,
    value_names,
)
from pcgrad_tfx.inspection.leakage import Leak, find_leaks
from pcgrad_tfx.inspection.repeated_rows import repeated_rows
from pcgrad_tfx.inspection.split_proposal import SplitProposal, propose_splits

# How many columns are named that could be labels, if none is.
_CANDIDATES = 6
_LABEL_NAME = re.compile(r"^(y|label|target|class|outcome|response|score|price)", re.IGNORECASE)

# Of the train split.
_SHARE_OF_ROWS = 0.8


@dataclass(frozen=True)
class Proposal:
    """What could be learned from data, and how.

    Attributes:
        rows: How many rows there are.
        missing: Texts that seem to stand for missing values.
        tasks: A task for each label that was named.
        candidates: Without such labels: tasks that are possible.
        text_columns: Columns that hold texts even where these look like numbers.
        ordinal: Columns of few whole numbers that have an order: as labels they are amounts.
        no_classes: By column: texts that are no classes, because they seem to stand for missing
            values, but cannot be listed as `missing`, which is not for TFRecords.
        features: What to learn from.
        left_out: The columns that are no features, with the reason.
        leaks: Features that may give a label away.
        training: How to train.
        dialect: How the files are written.
        doubts: By column: numbers that may stand for missing values or not, as a remark.
        mistakes: By column: texts among numbers that are taken for missing, but for those that
            people write for it, as a remark.
        repeated_headers: How many further rows are left out, because they repeat the header.
        splits: How the rows could be split.
        repeated: Remarks on rows that may be in several splits.
    """

    rows: int
    missing: tuple[str, ...]
    tasks: tuple[Task, ...]
    candidates: tuple[Task, ...]
    text_columns: frozenset[str]
    ordinal: frozenset[str]
    no_classes: Mapping[str, Sequence[str]]
    features: Features
    left_out: Mapping[str, str]
    leaks: tuple[Leak, ...]
    training: Training = field(default_factory=Training)
    dialect: Dialect = PLAIN
    doubts: Mapping[str, str] = field(default_factory=dict)
    mistakes: Mapping[str, str] = field(default_factory=dict)
    repeated_headers: int = 0
    splits: SplitProposal = field(default_factory=SplitProposal)
    repeated: tuple[str, ...] = ()


def propose(
    location: str, labels: Sequence[str] = (), *, header: bool = True, sql: str | None = None
) -> Proposal:
    """Looks at data and proposes what to learn from them.

    Args:
        location: A file or folder, as `pcgrad_tfx.data.files.find_data` takes it.
        labels: The columns to predict.
        header: Whether the first line of a CSV file has the columns' names.
        sql: A SELECT statement over the files, whose rows are taken.

    Returns:
        The proposal.

    Raises:
        DataError: The data cannot be read, the first line looks like data, a label is not there or
            cannot be predicted, or nothing is left to learn from.
    """
    dialect = Dialect(sql=sql)
    files = find_data(location, dialect)
    labels = list(dict.fromkeys(labels))
    sample = RowSample(exact=labels)
    if files.format == "csv":
        dialect = _dialect(files, labels, header)
    summary = check_data(files, required=set(labels), numeric=set(), dialect=dialect, sample=sample)
    texts = summary.text_columns
    frame, values = sample.frame(), sample.values
    missing: list[str] = []
    first_kinds: dict[str, ColumnKind] = {}
    if files.format == "csv":
        dialect = find_number_format(frame, dialect)
        if normalize := normalizer(dialect):
            frame = frame.apply(lambda column: column.map(normalize))
            values = {label: set(map(normalize, found)) for label, found in values.items()}
    if files.format != "tfrecord":
        first_kinds = column_kinds(frame, texts)
        missing = missing_texts(first_kinds.values())
    kinds = first_kinds
    if missing or not kinds:
        frame = frame.mask(frame.isin(missing), "")
        values = {label: found.difference(missing) for label, found in values.items()}
        kinds = column_kinds(frame, texts)
    tasks: list[Task] = []
    for label in labels:
        is_text = label in texts
        tasks.append(_task(kinds[label], frame[label], values[label], is_text, _names(tasks)))
    splits = SplitProposal()
    if not files.splits:
        is_whole = len(frame) == sample.rows
        splits = propose_splits(frame, kinds, labels, texts, is_whole=is_whole)
    no_features = {*labels, *splits.splitting.no_features}
    dates = date_formats(frame, [kind for n, kind in kinds.items() if n not in no_features])
    features = complete_features(Features.model_construct(dates=dates), tasks, kinds, no_features)
    # The sample may lack the one word that makes a column text.
    required, numeric = required_columns(features, tasks)
    check_data(
        files,
        required=required,
        numeric=numeric,
        missing=missing,
        dialect=dialect,
        splitting=splits.splitting,
    )
    candidates = () if labels else _candidates(kinds, frame, texts)
    used = {*features.columns, *labels}
    computed = label_values(frame, tasks, texts | columns_with_texts(values))
    return Proposal(
        rows=sample.rows,
        missing=tuple(missing),
        tasks=tuple(tasks),
        candidates=candidates,
        text_columns=texts,
        ordinal=frozenset(
            task.column
            for task in (*tasks, *candidates)
            if task.kind == "regression" and _has_few(frame[task.column])
        ),
        no_classes={name: seem_missing(values.get(name, frame[name].unique())) for name in texts},
        features=features,
        left_out={
            name: "the rows are split by it"
            if name in splits.splitting.no_features
            else _reason(kind)
            for name, kind in kinds.items()
            if name not in used
        },
        leaks=tuple(find_leaks(frame, computed, features, tasks)),
        training=with_choices(
            Training(), round(_SHARE_OF_ROWS * sample.rows), len(features.transformed_names)
        ),
        dialect=dialect,
        doubts={name: kind.doubts for name, kind in kinds.items() if kind.doubts},
        mistakes={
            name: kind.why
            for name, kind in first_kinds.items()
            if kind.kind != "categorical" and not {*kind.missing_texts} <= {*MISSING_TEXTS}
        },
        repeated_headers=summary.repeated_headers,
        splits=splits,
        repeated=tuple(repeated_rows(frame, sample.splits(), features, tasks, splits.splitting)),
    )


def _dialect(files: DataFiles, labels: Sequence[str], header: bool) -> Dialect:
    """How CSV files are written, but for their numbers."""
    found = [
        file for pattern in files.patterns.values() for file in find_files(files.base, pattern)
    ]
    dialect = find_dialect(found).model_copy(update={"header": header})
    columns = CsvFile(found[0], dialect).columns
    # Who names a label has seen the names.
    if header and not {*labels} & {*columns} and lacks_header(found[0], dialect):
        raise DataError(
            f"{found[0]}:1: the first line looks like data, not like names of columns "
            f"({brief_list(columns)}); add --no-header to have them called column_1 to "
            f"column_{len(columns)}, or a label that it names"
        )
    return dialect


def _task(
    kind: ColumnKind, column: pd.Series, values: Collection[str], is_text: bool, taken: set[str]
) -> Task:
    """The task that a column is most likely the label of."""
    name = _task_name(kind.name, taken)
    if kind.kind not in ("numeric", "categorical"):
        raise DataError(f"--label {kind.name}: {_reason(kind)}; choose another column")
    common = {"name": name, "column": kind.name}
    if is_text and (no_values := seem_missing(values)):
        values = set(values).difference(no_values)
        if len(values) < 3:
            raise DataError(
                f"--label {kind.name}: {shown(no_values[0])} seems to stand for a missing value; "
                "leave it out of the examples, or write a task with the `classes` that you want"
            )
    are_numbers = not is_text and not any(map(number_fault, values))
    by_value = value_names(values, is_text)
    names = set(by_value.values())
    if len(names) < 2:
        only = shown(min(names))
        why = f"{only} in every row; choose another column"
        if (column == "").any():
            why = (
                f"has one value ({only}), the other cells hold none; write the other value into "
                "them, or choose another column"
            )
        raise DataError(f"--label {kind.name}: {why}")
    if len(names) == 2:
        is_zero_or_one = are_numbers and names == {"0", "1"}
        positive = None if is_zero_or_one else _positive(names, column.map(by_value))
        return complete_task(Task(kind="binary", positive=positive, **common), values, is_text)
    if are_numbers and (not _has_few(column) or is_ordinal(kind.name, values)):
        return Task(kind="regression", **common)
    if len(values) > MAX_CLASSES:
        raise DataError(
            f"--label {kind.name}: more than {MAX_CLASSES} different texts, such as "
            f"{shown(min(values))}; choose another column, or write amounts as plain numbers"
        )
    classes = find_classes(kind.name, values, is_text)
    return Task(kind="multiclass", classes=classes, **common)


def _has_few(column: pd.Series) -> bool:
    known = column[column != ""]
    return are_few(known.unique(), len(known))


def _positive(names: Collection[str], column: pd.Series) -> str:
    """Of two values the one that says yes, else the rarer one."""
    counts = column.value_counts()
    return truth_value(names) or min(sorted(names), key=lambda name: counts.get(name, 0))


def _candidates(
    kinds: Mapping[str, ColumnKind], frame: pd.DataFrame, texts: Collection[str]
) -> tuple[Task, ...]:
    usable = [name for name, kind in kinds.items() if kind.kind in ("numeric", "categorical")]
    # Those that are called so first, then the last ones of the table.
    names = [name for name in usable if _LABEL_NAME.search(name)]
    names += [name for name in reversed(usable) if name not in names]
    tasks: list[Task] = []
    for name in names:
        if len(tasks) == _CANDIDATES:
            break
        values = set(frame[name].unique()) - {""}
        # One that cannot be a label is no reason to propose nothing.
        with contextlib.suppress(DataError):
            tasks.append(_task(kinds[name], frame[name], values, name in texts, _names(tasks)))
    return tuple(tasks)


def _task_name(column: str, taken: set[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_").lower()[:50]
    if not name[:1].isalpha() or is_reserved(name):
        name = f"task_{name}".rstrip("_")
    candidates = [name, *(f"{name}_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _names(tasks: Sequence[Task]) -> set[str]:
    return {task.name for task in tasks}


def _reason(kind: ColumnKind) -> str:
    return kind.why if kind.kind in ("empty", "constant") else f"{kind.kind}: {kind.why}"
