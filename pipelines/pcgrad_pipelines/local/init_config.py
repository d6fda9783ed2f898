"""`tfx-pcgrad init`: writes a proposal as a TOML file with comments."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import shown
from pcgrad_tfx.inspection.proposal import Proposal, propose

_WIDTH = 100
_NO_TASK = """\
# What is to be predicted is yours to say: take the # away from one or more of these tasks,
# and remove their columns from the features."""
_NO_CANDIDATE = "# What is to be predicted is yours to say: no column looks like a label."


def init_config(data: str, path: str | None, labels: Sequence[str]) -> Path:
    """Looks at data, writes a configuration for them and says what to do next.

    Args:
        data: A file or folder of data.
        path: The file to write; by default named like the data, in the working directory.
        labels: The columns to predict.

    Returns:
        The file written.

    Raises:
        ConfigError: The file exists or cannot be written.
        DataError: The data cannot be used.
    """
    stem = _slug(Path(data.rstrip("/")).name)
    file = Path(path or f"{stem}.toml")
    if file.exists():
        raise ConfigError(
            f"{file} exists and is not overwritten; choose another name by --config, or delete it"
        )
    proposal = propose(data, labels)
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
    blocks = [
        [f"# Proposed by looking at {proposal.rows:,} rows; all of it may be changed."],
        [f"name = {quoted(name)}"],
        ["[data]", f"path = {quoted(location)}", *_missing(proposal)],
        *([*_task(task, proposal)] for task in proposal.tasks),
        [] if proposal.tasks else [_NO_TASK if proposal.candidates else _NO_CANDIDATE],
        *([*map(_commented, _task(task, proposal))] for task in proposal.candidates),
        [*_features(proposal)],
        [*_left_out(proposal)],
        [*_training(proposal)],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def quoted(text: str) -> str:
    """A text as a TOML string: JSON's escapes are TOML's, too."""
    # All that TOML wants escaped and JSON does not.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _missing(proposal: Proposal) -> Iterator[str]:
    if proposal.missing:
        yield "# Texts that seem to stand for a missing value."
        yield f"missing = {_list(proposal.missing)}"


def _task(task: Task, proposal: Proposal) -> Iterator[str]:
    yield "[[tasks]]"
    yield f"name = {quoted(task.name)}"
    yield f'kind = "{task.kind}"'
    yield f"column = {quoted(task.column)}"
    if task.positive is not None:
        yield f"positive = {quoted(task.positive)}  # the label is 1 here, else 0"
    if task.classes is not None:
        if no_classes := _no_classes(task, proposal):
            yield f"# {no_classes}; list it if it is a class."
        yield f"classes = {_list(task.classes)}"
        is_text = task.column in proposal.text_columns
        if not is_text and all(re.fullmatch(r"-?\d+", name) for name in task.classes):
            yield '# kind = "regression"  # if these are amounts; without `classes` then'
    if task.kind == "regression":
        yield "# log_scale = true  # for amounts from small to very large ones, never negative"


def _no_classes(task: Task, proposal: Proposal) -> str:
    texts = proposal.no_classes.get(task.column, ())
    return f"Without {', '.join(map(shown, texts))}: taken for a missing value" if texts else ""


def _features(proposal: Proposal) -> Iterator[str]:
    features = proposal.features
    yield "[features]"
    yield "# Only what is known when a prediction is wanted may be a feature."
    for leak in proposal.leaks:
        yield f"# Possible leak: {_one_line(str(leak))}"
    for group, columns in (
        ("numeric", features.numeric),
        ("categorical", features.categorical),
    ):
        yield f"{group} = {_list(columns)}"
    if proposal.leaks:
        yield "# To leave one of these out: remove it above, and say why below."


def _left_out(proposal: Proposal) -> Iterator[str]:
    if proposal.left_out:
        yield "[features.exclude]"
        for name, reason in proposal.left_out.items():
            key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)
            yield f"{key} = {quoted(reason)}"


def _training(proposal: Proposal) -> Iterator[str]:
    training = proposal.training
    yield "[training]"
    yield f'surgery = "{training.surgery}"  # or "ppcgrad", or "none"'
    yield f"epochs = {training.epochs}  # fewer if the eval losses in the report rise again"
    yield f"batch_size = {training.batch_size}"
    yield f"learning_rate = {training.learning_rate}"


def _list(texts: Iterable[str]) -> str:
    """A list of texts, on one line if it fits."""
    items = [quoted(text) for text in texts]
    line = f"[{', '.join(items)}]"
    if len(line) <= _WIDTH - len("categorical = "):
        return line
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _commented(line: str) -> str:
    return "\n".join(f"# {part}" for part in line.split("\n"))


def _one_line(text: str) -> str:
    # A comment must not hold control characters, which a column's name may.
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)


def _slug(name: str) -> str:
    stem = re.sub(r"(\.csv|\.tfrecords?)?(\.gz)?$", "", name)
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
    for name, reason in proposal.left_out.items():
        yield f"  no feature: {shown(name)} ({reason})"
    if proposal.missing:
        yield f"  taken for missing values: {', '.join(map(repr, proposal.missing))}"
    for leak in proposal.leaks:
        yield f"  possible leak: {leak}"
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
