"""What a comparison has to do: in several processes, with a progress bar, each result kept."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf
from pydantic import BaseModel
from rich.progress import Progress
from typing_extensions import Self

from pcgrad_tfx.comparison.processes import Inputs, run_all

Model = TypeVar("Model", bound=BaseModel)

# Lines on a comparison that nobody watches.
_LINES = 10


class Finished:
    """Results by their keys.

    Args:
        folder: Outside all artifacts, which TFX deletes after a failure; None keeps nothing.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    def read(self, key: str, kind: type[Model]) -> Model | None:
        """A finished result, if there is one."""
        if self._folder is None or not tf.io.gfile.exists(self._path(key)):
            return None
        with tf.io.gfile.GFile(self._path(key)) as file:
            return kind.model_validate_json(file.read())

    def write(self, key: str, result: BaseModel) -> None:
        """Keeps a result; whenever the process is killed, it is there whole or not at all."""
        if self._folder is None:
            return
        tf.io.gfile.makedirs(self._folder)
        path = self._path(key)
        with tf.io.gfile.GFile(f"{path}.part", "w") as file:
            file.write(result.model_dump_json())
        tf.io.gfile.rename(f"{path}.part", path, overwrite=True)

    def delete(self) -> None:
        """Deletes the results of a comparison that is finished."""
        if self._folder is not None and tf.io.gfile.exists(self._folder):
            tf.io.gfile.rmtree(self._folder)

    def _path(self, key: str) -> str:
        assert self._folder is not None
        return os.path.join(self._folder, f"run-{key}.json")


@dataclasses.dataclass(frozen=True)
class Step:
    """A piece of the work.

    Attributes:
        key: What tells it from all others, in a file's name.
        kind: Of its result.
        call: What makes the result; it can be pickled.
    """

    key: str
    kind: type[BaseModel]
    call: Callable[[Inputs], BaseModel]


class Work:
    """Does the steps of a comparison; to be used as a context.

    Args:
        inputs: For each step.
        processes: So many run at once.
        finished: What was done before an interruption, and what is done now.
        total: How many steps there will be.
    """

    def __init__(self, inputs: Inputs, processes: int, finished: Finished, total: int) -> None:
        self._inputs = inputs
        self._processes = processes
        self._finished = finished
        self._total = total
        self._done = 0
        self._begun = time.monotonic()
        self._is_watched = sys.stdout.isatty()
        self._progress = Progress(
            transient=True,
            # Standard error is a log's, which rich would bring to the terminal.
            redirect_stderr=False,
            disable=not self._is_watched,
            # Over all of the work: of the last half minute only, the time that is left swings.
            speed_estimate_period=math.inf,
        )
        self._bar = self._progress.add_task("  Trainings", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def do(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Does steps, except those that are finished.

        Returns:
            The results by the steps' keys.
        """
        found = {step.key: self._finished.read(step.key, step.kind) for step in steps}
        left = [step for step in steps if found[step.key] is None]
        # Not an advance, which would count as speed.
        self._progress.update(self._bar, completed=self._count(len(steps) - len(left)))
        done = run_all(self._inputs, [step.call for step in left], self._processes)
        for number, result in done:
            key = left[number].key
            found[key] = result
            self._finished.write(key, result)
            self._count(1)
            self._progress.advance(self._bar)
        return found

    def _count(self, steps: int) -> int:
        """Counts steps that are done, and returns how many there are; says so now and then."""
        lines = _LINES * self._done // self._total
        self._done += steps
        if not self._is_watched and _LINES * self._done // self._total > lines:
            seconds = time.monotonic() - self._begun
            print(
                f"Comparison: {self._done} of {self._total} trainings, {seconds:.0f} s", flush=True
            )
        return self._done
