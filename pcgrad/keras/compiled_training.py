"""What a compiled `MultiTaskModel` trains with, and the metrics of its training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from pcgrad.keras.conflict_statistics import ConflictStatistics
from pcgrad.keras.task_losses import TaskLosses
from pcgrad.weightings import Weighting

# The name of the metric that holds the regularization losses. Those of the tasks end in "_loss".
REGULARIZATION = "regularization_of_all_layers"


class CompiledTraining:
    """What `compile` makes; a plain object, so that Keras does not track its metrics twice.

    Attributes:
        losses: The tasks' losses.
        surgery: Gram matrix → weights, or `None`.
        gramian: How the Gram matrix is made: "tape", "layerwise" or "auto".
        gramian_description: How it was, by variable; empty before the first step.
        arguments: Of `compile`, for saving.
        loss_means: The metric of each task's loss.
        regularization: The metric of the regularization losses.
        conflicts: What `fit` reports about conflicts; `None` with a single task.
    """

    def __init__(
        self,
        losses: TaskLosses,
        surgery: Weighting | None,
        gramian: str,
        arguments: dict[str, Any],
    ) -> None:
        self.losses = losses
        self.surgery = surgery
        self.gramian = gramian
        self.gramian_description = ""
        self.arguments = arguments
        self.loss_means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in losses.names}
        self.regularization = keras.metrics.Mean(name=REGULARIZATION)
        several = len(losses.names) > 1
        self.conflicts = ConflictStatistics(losses.names) if several else None
        self._is_evaluating = False

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics of the current phase: evaluation neither shows nor resets the conflicts."""
        means = [*self.loss_means.values(), self.regularization]
        return means if self.conflicts is None or self._is_evaluating else [*means, self.conflicts]

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Marks the phase of evaluation."""
        before, self._is_evaluating = self._is_evaluating, True
        try:
            yield
        finally:
            self._is_evaluating = before
