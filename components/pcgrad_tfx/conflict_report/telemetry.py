"""Reads what a training left in its log folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeVar

import tensorflow as tf
from pydantic import BaseModel, Field, ValidationError

from pcgrad_tfx.conflict_report.probes import Probes
from pcgrad_tfx.training.callbacks.best_epoch import GAIN
from pcgrad_tfx.training.callbacks.record import HISTORY_FILE, TRAINING_FILE

CONFLICTS_FILE = "conflicts.jsonl"  # of `pcgrad.keras.ConflictMonitor`


class Pair(BaseModel, frozen=True):
    """How often two tasks' gradients oppose each other in the training's own steps.

    Attributes:
        tasks: Their names.
        steps: In how many steps both had a gradient.
        conflicting: The share of these steps with a negative product; None without any.
    """

    tasks: tuple[str, str]
    steps: int
    conflicting: float | None


class RunPair(Pair, populate_by_name=True):
    """A pair over a whole training, as `pcgrad.keras.ConflictStatistics.run_pairs` tells it.

    Attributes:
        samples: The number of means that the standard error comes from, those of blocks of steps.
        conflicting_error: The standard error of `conflicting`; None if there were too few samples.
    """

    samples: int = Field(alias="blocks")
    conflicting_error: float | None = Field(alias="conflicting_standard_error_of_block_means")


class Epoch(BaseModel, frozen=True):
    """What `ConflictMonitor` wrote after an epoch.

    Attributes:
        epoch: From 0.
        pairs: The epoch's means.
        gradient_norms: The epoch's mean norm of each task's gradient.
        run_pairs: The means over all steps so far.
        probes: Of the training so far; None if it was not probed.
    """

    epoch: int
    pairs: tuple[Pair, ...]
    gradient_norms: dict[str, float | None]
    run_pairs: tuple[RunPair, ...]
    probes: Probes | None = None


class History(BaseModel, frozen=True):
    """Keras's logs of an epoch; see `pcgrad_tfx.training.callbacks.record`."""

    epoch: int
    logs: dict[str, float | None]


class Record(BaseModel, frozen=True):
    """How a model was trained; see `pcgrad_tfx.training.callbacks.record`."""

    settings: dict[str, Any]
    rows: dict[str, int]
    versions: dict[str, str]


_Model = TypeVar("_Model", bound=BaseModel)
_Line = TypeVar("_Line", Epoch, History)


class Telemetry(BaseModel, frozen=True):
    """All of a training's logs.

    Attributes:
        tasks: Their names.
        epochs: In their order, at least one.
        history: In the order of the epochs; empty if Keras's logs were not written.
        record: None if it was not written.
    """

    tasks: tuple[str, ...]
    epochs: tuple[Epoch, ...]
    history: tuple[History, ...]
    record: Record | None

    @property
    def run_pairs(self) -> tuple[RunPair, ...]:
        """The pairs over the whole training, as far as its statistics reach back."""
        return self.epochs[-1].run_pairs

    @property
    def probes(self) -> Probes | None:
        """Of the whole training; None if it was not probed."""
        return self.epochs[-1].probes

    @property
    def batch_size(self) -> int | None:
        """Rows of a step, if that is known."""
        size = self.record.settings.get("batch_size") if self.record else None
        return size if isinstance(size, int) else None

    @property
    def kept(self) -> History | None:
        """The epoch whose weights are the model's; None if that is not known."""
        if self.record is None or not self.record.settings.get("restore_best"):
            return None
        judged = [line for line in self.history if line.logs.get(GAIN) is not None]
        return max(judged, key=lambda line: line.logs[GAIN] or 0.0, default=None)

    @property
    def uncounted_steps(self) -> int:
        """Steps of earlier epochs that `run_pairs` does not know of: training was resumed."""
        if not self.run_pairs:
            return 0
        steps = sum(epoch.pairs[0].steps for epoch in self.epochs)
        return max(0, steps - self.run_pairs[0].steps)


def read_telemetry(folder: str) -> Telemetry:
    """Reads the logs of a training.

    Args:
        folder: The Trainer's `model_run`.

    Returns:
        What is there; of an epoch that was trained twice, by resuming, the second time.

    Raises:
        ValueError: There is no telemetry, or a file is not what it should be; one line that names
            the file and the remedy.
    """
    epochs = _last_of_each_epoch(_read_lines(folder, CONFLICTS_FILE, Epoch))
    if not epochs:
        raise ValueError(
            f"{os.path.join(folder, CONFLICTS_FILE)}: there is no epoch in it; train with "
            "pcgrad_tfx.trainer.run_fn, or add pcgrad.keras.ConflictMonitor(fn_args.model_run_dir) "
            "to the callbacks of `fit`"
        )
    history = _last_of_each_epoch(_read_lines(folder, HISTORY_FILE, History))
    path = os.path.join(folder, TRAINING_FILE)
    record = _parse(path, _read(path), Record) if tf.io.gfile.exists(path) else None
    last = epochs[-1]
    probed = tuple(last.probes.tasks) if last.probes else ()
    tasks = tuple(last.gradient_norms) or probed or _tasks_with_a_loss(history)
    return Telemetry(tasks=tasks, epochs=epochs, history=history, record=record)


def _read(path: str) -> str:
    with tf.io.gfile.GFile(path) as file:
        text: str = file.read()
    return text


def _read_lines(folder: str, name: str, kind: type[_Line]) -> list[_Line]:
    path = os.path.join(folder, name)
    if not tf.io.gfile.exists(path):
        return []
    lines = _read(path).splitlines()
    return [_parse(f"{path}, line {i}", line, kind) for i, line in enumerate(lines, 1)]


def _parse(place: str, text: str, kind: type[_Model]) -> _Model:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise ValueError(
            f"{place}: {key}: {problem['msg']}; train again with the installed version"
        ) from None


def _last_of_each_epoch(lines: Iterable[_Line]) -> tuple[_Line, ...]:
    by_epoch = {line.epoch: line for line in lines}
    return tuple(by_epoch[epoch] for epoch in sorted(by_epoch))


def _tasks_with_a_loss(history: Iterable[History]) -> tuple[str, ...]:
    """A single task has no gradient norms."""
    names = [name for line in history for name in line.logs if name.endswith("_loss")]
    tasks = [name.removesuffix("_loss") for name in names if not name.startswith("val_")]
    return tuple(dict.fromkeys(tasks))
