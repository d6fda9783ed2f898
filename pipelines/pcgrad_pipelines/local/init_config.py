"""`tfx-pcgrad init`: writes a proposal as a TOML file with comments."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tomlkit
from tomlkit.items import AoT, Array, Item, Table

from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_pipelines.local.download import download, file_name, is_remote
from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.errors import brief, brief_list, shown
from pcgrad_tfx.inspection.leakage import MOST_LEAKS, Leak
from pcgrad_tfx.inspection.proposal import Proposal, propose
from pcgrad_tfx.inspection.split_proposal import SplitProposal

_WIDTH = 100
_NO_TASK = """\
What is to be predicted is yours to say: take the # away from one or more of these tasks,
and remove their columns from the features."""
_NO_CANDIDATE = "What is to be predicted is yours to say: no column looks like a label."


def init_config(
    data: str,
    path: str | None,
    labels: Sequence[str],
    *,
    header: bool = True,
    sql: str | None = None,
) -> Path:
    """Looks at data, writes a configuration for them and says what to do next.

    Args:
        data: A file or folder of data, or a file's address in the web, which is downloaded.
        path: The file to write; by default named like the data, in the working directory.
        labels: The columns to predict.
        header: Whether the first line of a CSV file has the columns' names.
        sql: A SELECT statement over the data, whose rows are taken.

    Returns:
        The file written.

    Raises:
        ConfigError: The file exists or cannot be written.
        DataError: The data cannot be used.
    """
    stem = _slug(file_name(data) if is_remote(data) else Path(data).name)
    file = Path(path or f"{stem}.toml")
    if file.exists():
        raise ConfigError(
            f"{file} exists and is not overwritten; choose another name by --config, or delete it"
        )
    if is_remote(data):
        data = str(download(data, file.parent))
    proposal = propose(data, labels, header=header, sql=sql)
    text = toml_text(proposal, stem, _relative(data, file))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; choose another name by --config") from None
    if labels:
        # What was written is what a run will read.
        load_config(file)
    for line in _summary(proposal, file, data):
        print(line)
    return file


def toml_text(proposal: Proposal, name: str, location: str) -> str:
    """The proposal as TOML with comments.

    Args:
        proposal: What to write.
        name: The pipeline's name.
        location: Where the data are, as it stands in the file.
    """
    document = tomlkit.document()
    _comment(document, f"Proposed by looking at {proposal.rows:,} rows; all of it may be changed.")
    document.add(tomlkit.nl())
    document.add("name", tomlkit.string(name))
    data = tomlkit.table().add("path", tomlkit.string(location))
    _add_dialect(data, proposal.dialect)
    if proposal.missing:
        _comment(data, "Texts that seem to stand for a missing value.")
        data.add("missing", _array(proposal.missing))
    for column, doubts in proposal.doubts.items():
        _comment(data, f"Perhaps missing values, to be listed under `missing`: {column}: {doubts}")
    _add_splits(data, proposal.splits)
    for line in proposal.repeated:
        _comment(data, f"{line[0].upper()}{line[1:]}.")
    document.add("data", data)
    if proposal.tasks:
        document.add("tasks", _tasks(proposal.tasks, proposal))
    else:
        document.add(tomlkit.nl())
        _comment(document, _NO_TASK if proposal.candidates else _NO_CANDIDATE)
    if proposal.candidates:
        document.add(tomlkit.nl())
        tasks = tomlkit.document().add("tasks", _tasks(proposal.candidates, proposal))
        _comment(document, tasks.as_string().rstrip())
    document.add("features", _features(proposal))
    document.add("training", _training(proposal.training))
    return document.as_string()


def _add_dialect(data: Table, dialect: Dialect) -> None:
    """Writes how the files are written, where it is not the plain way."""
    comments = {
        "separator": "between the cells",
        "quote": "around texts",
        "encoding": "of the text",
        "skip": "lines above the table",
        "header": "the first line is data",
        "decimal": "before the decimal digits",
        "thousands": "between groups of three digits",
        "units": "beside numbers, not a part of their values",
        "scales": "after numbers: thousands, millions",
        "accounting": "(12) is -12",
        "sql": "the rows that are read",
    }
    for key, item in _dialect_items(dialect).items():
        data.add(key, item.comment(comments[key]))


def _dialect_items(dialect: Dialect) -> dict[str, Item]:
    return {
        key: tomlkit.item(list(value) if isinstance(value, tuple) else value)
        for key, value in dialect.model_dump(exclude_defaults=True).items()
    }


def _add_splits(data: Table, splits: SplitProposal) -> None:
    """Writes by which group rows are split, and what else may be right as comments."""
    if splits.splitting.group:
        _comment(data, "All rows of one come into the same split: the test is about new ones.")
        data.add("group", tomlkit.string(splits.splitting.group).comment(splits.why))
    for one in splits.suggestions:
        column = tomlkit.string(one.column).as_string()
        instead = ", in the place of `group`" if splits.splitting.group else ""
        _comment(data, f"{one.key} = {column}  # {one.why}{instead}")


def _comment(container: tomlkit.TOMLDocument | Table, text: str) -> None:
    for line in text.split("\n"):
        # A comment must not hold control characters, which a column's name may.
        container.add(tomlkit.comment(re.sub(r"[\x00-\x1f\x7f]", " ", line)))


def _array(texts: Iterable[str]) -> Array:
    """A list of texts, on one line if it fits."""
    array = tomlkit.array()
    array.extend(map(tomlkit.string, texts))
    return array.multiline(len(array.as_string()) > _WIDTH - len("categorical = "))


def _tasks(tasks: Iterable[Task], proposal: Proposal) -> AoT:
    array = tomlkit.aot()
    array.extend(_task(task, proposal) for task in tasks)
    return array


def _task(task: Task, proposal: Proposal) -> Table:
    table = tomlkit.table()
    for key in ("name", "kind", "column"):
        table.add(key, tomlkit.string(getattr(task, key)))
    if task.positive is not None:
        positive = tomlkit.string(task.positive)
        table.add("positive", positive.comment("the label is 1 here, else 0"))
    if task.classes is not None:
        if no_classes := _no_classes(task, proposal):
            _comment(table, f"{no_classes}; list it if it is a class.")
        table.add("classes", _array(task.classes))
        is_text = task.column in proposal.text_columns
        if not is_text and all(re.fullmatch(r"-?\d+", name) for name in task.classes):
            _comment(table, 'kind = "regression"  # if these are amounts; without `classes` then')
    if task.kind == "regression" and task.column in proposal.ordinal:
        _comment(table, 'kind = "multiclass"  # if these are codes without an order')
    if task.kind == "regression":
        _comment(
            table, "log_scale = true  # for amounts from small to very large ones, never negative"
        )
    return table


def _no_classes(task: Task, proposal: Proposal) -> str:
    texts = proposal.no_classes.get(task.column, ())
    return f"Without {', '.join(map(shown, texts))}: taken for a missing value" if texts else ""


def _features(proposal: Proposal) -> Table:
    table = tomlkit.table()
    _comment(table, "Only what is known when a prediction is wanted may be a feature.")
    for leak in proposal.leaks:
        _comment(table, f"Possible leak: {leak}")
    table.add("numeric", _array(proposal.features.numeric))
    table.add("categorical", _array(proposal.features.categorical))
    if proposal.leaks:
        _comment(table, "To leave one of these out: remove it above, and say why below.")
    if proposal.features.dates:
        dates = {name: tomlkit.string(how) for name, how in proposal.features.dates.items()}
        table.add("dates", dates)
    if proposal.left_out:
        table.add("exclude", {k: tomlkit.string(v) for k, v in proposal.left_out.items()})
    return table


def _training(training: Training) -> Table:
    table = tomlkit.table()
    surgery = tomlkit.string(training.surgery)
    table.add("surgery", surgery.comment('or "none", or another method: docs/methods.md'))
    _comment(table, "Chosen for so many rows and columns; docs/training.md has all keys.")
    epochs = tomlkit.item(training.epochs)
    table.add("epochs", epochs.comment("at most: it stops when eval gets no better"))
    table.add("batch_size", training.batch_size)
    table.add("learning_rate", training.learning_rate)
    table.add("hidden_units", list(training.hidden_units or ()))
    table.add("encoding_bins", training.encoding_bins)
    return table


def _slug(name: str) -> str:
    stem = re.sub(
        r"(\.(csv|tsv|txt|data|parquet|jsonl|ndjson|arrow|feather|duckdb|tfrecords?))?(\.gz|\.zst)?$",
        "",
        name,
    )
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem)[:100].strip("-_") or "data"


def _relative(data: str, file: Path) -> str:
    """A path as it is written into a file: relative to the file's folder."""
    if "://" in data:
        return data
    return os.path.relpath(Path(data).expanduser(), file.absolute().parent)


def _summary(proposal: Proposal, file: Path, data: str) -> Iterator[str]:
    features = proposal.features
    yield f"{data}: {proposal.rows:,} rows"
    for task in proposal.tasks:
        detail = f", 1 is {shown(task.positive)}" if task.positive else ""
        yield f"  task {task.name}: {task.kind}{detail}"
        if no_classes := _no_classes(task, proposal):
            yield f"    {no_classes[0].lower()}{no_classes[1:]}"
    yield f"  {len(features.numeric)} numeric and {len(features.categorical)} categorical features"
    if features.dates:
        yield f"  dates, of which the parts are features: {brief_list(features.dates)}"
    for name, reason in proposal.left_out.items():
        yield f"  no feature: {shown(name)} ({reason})"
    for line in _reading(proposal):
        yield f"  {line}"
    if proposal.missing:
        yield f"  taken for missing values: {', '.join(map(repr, proposal.missing))}"
    for name, doubts in proposal.doubts.items():
        yield f"  perhaps missing values: {brief(name)}: {doubts}"
    for line in (*_splits(proposal.splits), *proposal.repeated, *_leaks(proposal.leaks)):
        yield f"  {line}"
    if len(proposal.tasks) == 1:
        yield "  one task has nothing to conflict with: for a comparison add another [[tasks]]"
    yield f"Wrote {file}. Read it, change what is wrong, then:"
    if proposal.tasks:
        folder = shlex.quote(file.stem)
        yield (
            f"  tfx-pcgrad run --config {shlex.quote(str(file))}"
            f" --output {folder}{' --compare' if len(proposal.tasks) > 1 else ''}"
        )
    elif not proposal.candidates:
        yield "  add to it what is to be predicted: no column looks like a label"
    else:
        named = " ".join(f"--label {shlex.quote(task.column)}" for task in proposal.candidates[:2])
        yield (
            "  name in it what is to be predicted, or delete it and have it written again, say with"
            f" {named}"
        )


def _splits(splits: SplitProposal) -> Iterator[str]:
    if group := splits.splitting.group:
        yield f"all rows of one {brief(group)} come into the same split ({splits.why})"
    for one in splits.suggestions:
        yield f"perhaps {one.key} = {shown(one.column)} under [data], {one.why}"


def _leaks(leaks: Sequence[Leak]) -> Iterator[str]:
    for leak in leaks[:MOST_LEAKS]:
        yield f"possible leak: {leak}"
    if more := len(leaks[MOST_LEAKS:]):
        yield f"possible leaks: {more} weaker ones are in the file"


def _reading(proposal: Proposal) -> Iterator[str]:
    """How the data are read, as far as it is not the plain way."""
    if items := _dialect_items(proposal.dialect):
        listed = ", ".join(f"{key} = {item.as_string()}" for key, item in items.items())
        yield f"read with {listed}"
    if proposal.repeated_headers:
        yield f"rows that repeat the header are left out: {proposal.repeated_headers:,}"
    for name, why in proposal.mistakes.items():
        yield f"{brief(name)}: {why}, taken for missing"
