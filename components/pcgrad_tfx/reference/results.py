"""What boosted trees reached: the file that the component writes and that a run shows."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
from pydantic import BaseModel

from pcgrad_tfx.formatting import listed

RESULTS_FILE = "reference.json"

# Within it, trees and network are equally good.
_MARGIN = 0.02

# So many can be read in a sentence.
_MOST_NAMES = 5


class TaskScore(BaseModel, frozen=True, extra="forbid"):
    """The trees of one task.

    Attributes:
        task: The task's name.
        metric: The name of the primary metric, higher is better.
        value: On the test split; None where it is undefined.
        test_rows: The rows that the value is of: those with a label and a weight.
    """

    task: str
    metric: str
    value: float | None
    test_rows: int

    def is_ahead_of(self, value: float) -> bool:
        """Whether the trees are better than a model's value, by more than chance may explain.

        By 0.02 or, of few rows, by 1/√N: about two standard errors of an AUC of balanced classes.
        """
        if self.value is None:
            return False
        return self.value - value > max(_MARGIN, 1 / math.sqrt(self.test_rows))


class ReferenceOutcome(BaseModel, frozen=True, extra="forbid"):
    """The content of `reference.json`.

    Attributes:
        tasks: Those that have trees, in their order.
        rows: Number of rows of train that the trees were given.
        all_rows: Number of rows of train.
        left_out: The tasks that would have taken too long.
    """

    tasks: tuple[TaskScore, ...]
    rows: int
    all_rows: int
    left_out: tuple[str, ...] = ()

    def sentences(self, values: Mapping[str, float]) -> list[str]:
        """Says where the trees are ahead, and what they were not given.

        Args:
            values: The network's primary metrics, by task.
        """
        said = []
        if ahead := [score.task for score in self.tasks if score.is_ahead_of(values[score.task])]:
            said.append(
                f"Boosted trees are ahead on {_counted(ahead)}: there the network, not gradient "
                "surgery, is what to improve."
            )
        if self.rows < self.all_rows:
            said.append(
                f"Boosted trees were given {self.rows:,} of the {self.all_rows:,} rows of train."
            )
        if self.left_out:
            said.append(f"Boosted trees of {_counted(self.left_out)} would have taken too long.")
        return said


def _counted(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= _MOST_NAMES else f"{len(names)} tasks"


def write_reference(outcome: ReferenceOutcome, folder: str) -> None:
    """Writes `reference.json` into a folder, local or remote."""
    # On Kubeflow it is not there.
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, RESULTS_FILE), "w") as file:
        file.write(outcome.model_dump_json(indent=1))


def read_reference(folder: str) -> ReferenceOutcome:
    """Reads what `write_reference` wrote."""
    with tf.io.gfile.GFile(os.path.join(folder, RESULTS_FILE)) as file:
        return ReferenceOutcome.model_validate_json(file.read())
