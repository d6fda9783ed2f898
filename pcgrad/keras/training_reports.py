"""What a trained `MultiTaskModel` can tell of its training."""

from __future__ import annotations

from typing import Any

from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.conflict_statistics import ConflictStatistics


class TrainingReports:
    """The reports of a model that has been compiled and trained; mixed into `MultiTaskModel`."""

    compiled: bool
    _training: CompiledTraining | None

    def conflicts(self, whole_run: bool = False) -> list[dict[str, Any]]:
        """Which tasks conflicted in `fit`, pair by pair.

        Args:
            whole_run: All steps since `compile`, instead of those of the last epoch.

        Returns:
            For each pair of tasks a dict of `tasks` (two names), `steps` (in which its cosine was
            defined), `mean_cosine` and `conflicting` (share of these steps with a negative inner
            product); NaN where there was no such step. Of the whole run also `blocks`, and of both
            means `…_standard_error_of_block_means`: from the means of at least 20 blocks of steps,
            because successive steps resemble each other. Empty for a single task.

        Raises:
            ValueError: The model is not compiled.
        """
        statistics = self._conflict_statistics()
        if statistics is None:
            return []
        return statistics.run_pairs() if whole_run else statistics.pairs()

    def gradient_norms(self) -> dict[str, float]:
        """The mean norm, over the last epoch's steps, of each task's gradient by shared variables.

        Before the surgery, after the loss weights, without the scale of a `LossScaleOptimizer`.

        Returns:
            Norm by task, NaN if it was never finite; empty for a single task.

        Raises:
            ValueError: The model is not compiled.
        """
        statistics = self._conflict_statistics()
        return {} if statistics is None else statistics.norms()

    def describe_gramian(self) -> str:
        """How the inner products of the task gradients are taken, variable by variable, and why.

        Raises:
            ValueError: The model has not been trained since `compile`.
        """
        if self._training is None or not self._training.gramian_description:
            raise ValueError("no step has been traced yet: call `compile` and `fit` first")
        return self._training.gramian_description

    def _conflict_statistics(self) -> ConflictStatistics | None:
        return self._compiled_training().conflicts

    def _compiled_training(self) -> CompiledTraining:
        if self._training is None:
            raise ValueError("the model is not compiled: call `compile` and `fit` first")
        return self._training
