"""What a comparison found, run by run: the file that it writes and that the report reads."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from pydantic import BaseModel

RESULTS_FILE = "comparison.json"

# The method that all others are compared with: the sum of the losses with the tasks' own weights.
EQUAL_WEIGHTS = "equal weights"

# Of `ComparisonOutcome.references`.
TREES, LINEAR = "boosted trees", "linear model"


class Method(BaseModel, frozen=True, extra="forbid"):
    """A way of training.

    Attributes:
        name: As people read it: "equal weights", "PCGrad", "static weights", "single task" …
        loss_weights: Factors of the losses, by task, that were chosen for "static weights".
        settings: What was chosen on eval in the place of the configuration's values: fields of
            `Training`.
        settings_by_task: The same of each task alone, of "single task".
    """

    name: str
    loss_weights: dict[str, float] | None = None
    settings: dict[str, float] = {}
    settings_by_task: dict[str, dict[str, float]] = {}


class Improvement(BaseModel, frozen=True, extra="forbid"):
    """A training after its best epoch so far.

    Attributes:
        epochs: How many epochs it has made.
        test: As `Run.test`.
    """

    epochs: int
    test: dict[str, float | None]


class Run(BaseModel, frozen=True, extra="forbid"):
    """One method trained with one seed.

    Attributes:
        method: The method's name.
        seed: Of the initial weights and the order of the rows.
        eval: Each task's primary metric on the eval split; None where it is undefined.
        test: The same on the test split; empty where it was not looked at.
        epochs: How many epochs were made.
        improvements: The way to the best epoch, where it was followed.
        diverged: Whether the training diverged. It then counts as a constant prediction.
        pairs: `pcgrad.keras.ConflictStatistics.run_pairs` of the training, where it was followed.
        probes: The summary of `pcgrad.keras.ConflictProbe`, where the training was probed.
    """

    method: str
    seed: int
    eval: dict[str, float | None]
    test: dict[str, float | None] = {}
    epochs: int = 0
    improvements: tuple[Improvement, ...] = ()
    diverged: bool = False
    pairs: tuple[dict[str, Any], ...] = ()
    probes: dict[str, Any] | None = None


class Trial(BaseModel, frozen=True, extra="forbid"):
    """A training of the search.

    Attributes:
        method: The method's name.
        task: The one task that was trained, None for all.
        settings: As `Method.settings`.
        loss_weights: As `Method.loss_weights`.
        eval: As `Run.eval`.
        test: As `Run.test`; of static weights only, for the picture: nothing is chosen by it.
    """

    method: str
    task: str | None = None
    settings: dict[str, float] = {}
    loss_weights: dict[str, float] | None = None
    eval: dict[str, float | None]
    test: dict[str, float | None] = {}


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
        runs: All runs, with the chosen settings and weights.
        step_times: Of the methods that train all tasks at once.
        rows: Number of rows of each split.
        settings: How all were trained, plain JSON values.
        search: So many settings were tried for each method; 0: none was tuned.
        trials: The trainings of the search.
        references: Other models' metrics on the test split, by their name and by task.
    """

    metrics: dict[str, str]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    step_times: tuple[StepTime, ...]
    rows: dict[str, int]
    settings: dict[str, Any]
    search: int = 0
    trials: tuple[Trial, ...] = ()
    references: dict[str, dict[str, float | None]] = {}


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
