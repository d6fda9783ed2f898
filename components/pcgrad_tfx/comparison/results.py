"""What a comparison found, run by run: the file that it writes and that the report reads."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from pydantic import BaseModel

RESULTS_FILE = "comparison.json"

# The method that all others are compared with: the sum of the losses with the tasks' own weights.
EQUAL_WEIGHTS = "equal weights"


class Method(BaseModel, frozen=True, extra="forbid"):
    """A way of training.

    Attributes:
        name: As people read it: "equal weights", "PCGrad", "PPCGrad", "static weights" (the one of
            the grid that is best on the eval split) or "single task".
        loss_weights: Factors of the losses, by task, that were chosen for "static weights".
    """

    name: str
    loss_weights: dict[str, float] | None = None


class Run(BaseModel, frozen=True, extra="forbid"):
    """One method trained with one seed.

    Attributes:
        method: The method's name.
        seed: Of the initial weights and the order of the rows.
        eval: Each task's primary metric on the eval split; None where it is undefined.
        test: The same on the test split.
        pairs: `pcgrad.keras.ConflictStatistics.run_pairs` of the training, where it was followed.
        probes: The summary of `pcgrad.keras.ConflictProbe`, where the training was probed.
    """

    method: str
    seed: int
    eval: dict[str, float | None]
    test: dict[str, float | None]
    pairs: tuple[dict[str, Any], ...] = ()
    probes: dict[str, Any] | None = None


class StepTime(BaseModel, frozen=True, extra="forbid"):
    """What a training step costs, in units of the plain one.

    The plain step is that of equal weights as any framework does it: one backward pass of the
    weighted sum of the losses.

    Attributes:
        method: The method's name.
        ratio: Median of the ratios of steps that took turns.
        low: Lower quartile.
        high: Upper quartile.
    """

    method: str
    ratio: float
    low: float
    high: float


class ComparisonOutcome(BaseModel, frozen=True, extra="forbid"):
    """The content of `comparison.json`.

    Attributes:
        metrics: The primary metric's name ("auc", "r_squared"), by task in their order.
        methods: What was compared, equal weights first.
        seeds: Of the runs; each method was trained once with each.
        runs: All runs; of static weights those with the chosen weights.
        step_times: Of the methods that train all tasks at once.
        rows: Number of rows of each split.
        settings: How all were trained, plain JSON values.
    """

    metrics: dict[str, str]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    step_times: tuple[StepTime, ...]
    rows: dict[str, int]
    settings: dict[str, Any]


def write_comparison(comparison: ComparisonOutcome, folder: str) -> None:
    """Writes `comparison.json` into a folder, local or remote."""
    # On Kubeflow it is not there.
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, RESULTS_FILE), "w") as file:
        file.write(comparison.model_dump_json(indent=1))


def read_comparison(folder: str) -> ComparisonOutcome:
    """Reads what `write_comparison` wrote."""
    with tf.io.gfile.GFile(os.path.join(folder, RESULTS_FILE)) as file:
        return ComparisonOutcome.model_validate_json(file.read())
