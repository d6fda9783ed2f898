"""A callback that prints a line for each epoch, and a progress bar where a person is watching."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import keras
from absl import logging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.formatting import significant
from pcgrad_tfx.training.callbacks.loss_ranges import LossRange

WIDTH = 100

_SHORT_NAMES = {
    "auc": "AUC",
    "sparse_categorical_accuracy": "accuracy",
    "mean_absolute_error": "MAE",
}


class EpochLines(keras.callbacks.Callback):
    """Prints a line of at most 100 columns for each epoch; all of Keras's numbers are logged.

    A line has the loss, and for each task one metric on eval, of regressions the mean absolute
    error in the label's unit. Where that is too long it has, for the tasks that share a metric,
    the mean and the worst, if there is room; of regressions R² on the scale that is learned, or
    the gain over a constant prediction for another loss than squared errors.

    A context manager: on a terminal it shows a progress bar, which an error must not leave there.

    Args:
        tasks: The tasks.
        loss_ranges: By task, on eval.
        log_dir: Where all numbers are, for the reader of a shortened line.
        console: Where to print; a console of rich on standard output by default.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        loss_ranges: Mapping[str, LossRange],
        log_dir: str,
        console: Console | None = None,
    ) -> None:
        super().__init__()
        self._tasks = tasks
        self._ranges = loss_ranges
        self._log_dir = log_dir
        self._console = console or Console()
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            # Standard error is a log's.
            redirect_stderr=False,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("", visible=False)
        self._begun = 0.0
        self._pointed_to_rest = False

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the bar anew."""
        self._begun = time.monotonic()
        self._progress.reset(
            self._bar,
            total=self.params["steps"],
            description=self._position(epoch),
            visible=True,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar on."""
        self._progress.update(self._bar, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the epoch's line."""
        logs = logs or {}
        position = self._position(epoch)
        logging.info("%s: %s", position, ", ".join(f"{k}={v:.6g}" for k, v in logs.items()))
        seconds = time.monotonic() - self._begun
        start = f"  {position}  {seconds:.1f} s  loss {significant(logs['loss'], 4)}"
        line = "  ".join([start, *self._each_task(logs)])
        if len(line) > WIDTH:
            lines = ["  ".join([start, *parts]) for parts in self._over_tasks(logs)]
            line = next((line for line in lines if len(line) <= WIDTH), start)
            if not self._pointed_to_rest:
                line += f"\n    all tasks: tensorboard --logdir {self._log_dir}"
                self._pointed_to_rest = True
        # As it is: no mark-up, no colours, no line breaks of rich's own.
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _position(self, epoch: int) -> str:
        epochs = self.params["epochs"]
        return f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"

    def _each_task(self, logs: Mapping[str, float]) -> Iterator[str]:
        for task in self._tasks:
            for metric, short in _SHORT_NAMES.items():
                value = self._eval_value(task, metric, logs)
                if value is not None:
                    yield f"{task.name} {short} {significant(value, 4)}"

    def _over_tasks(self, logs: Mapping[str, float]) -> tuple[list[str], list[str]]:
        """The means of the tasks that share a metric; with the worst task, and without."""
        values: dict[str, dict[str, float]] = defaultdict(dict)
        for task in self._tasks:
            for metric, short in _SHORT_NAMES.items():
                value = self._eval_value(task, metric, logs)
                # NaN: the task has no label in eval.
                if value is None or math.isnan(value):
                    continue
                if task.kind != "regression":
                    values[short][task.name] = value
                elif task.name in self._ranges:
                    measure = "R²" if task.loss == "mean_squared_error" else "gain"
                    gain = self._ranges[task.name].gain(logs[f"val_{task.name}_loss"])
                    values[measure][task.name] = gain
        means, worst = [], []
        for name, by_task in values.items():
            means.append(f"{name} {significant(statistics.fmean(by_task.values()))}")
            lowest = min(by_task, key=by_task.__getitem__)
            worst.append(f"{means[-1]}, worst {significant(by_task[lowest])} ({lowest})")
        return worst, means

    def _eval_value(self, task: Task, name: str, logs: Mapping[str, float]) -> float | None:
        # With a single task Keras leaves its name out.
        return logs.get(f"val_{task.name}_{name}", logs.get(f"val_{name}"))
