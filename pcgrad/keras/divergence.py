"""A callback that stops a diverging training, and says which task it began with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.model import MultiTaskModel
from pcgrad.keras.optimizers import steps_taken


class RaiseOnDivergence(keras.callbacks.Callback):
    """Ends the `fit` of a `MultiTaskModel` with an error when a loss or a weight is not finite.

    Losses are looked at in every step, weights and the losses of validation after every epoch. A
    gradient that is not finite makes the weights so, and with them the losses of all tasks in the
    next step; the error names the task or tasks whose gradient was the first. Steps that a
    `LossScaleOptimizer` leaves out are no divergence, and are not counted.

    Raises:
        FloatingPointError: In `fit`; names the step, counted over all epochs, and the tasks.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises an error if a loss is not finite."""
        infinite = _infinite_losses(logs)
        if infinite and (training := _training_of(self.model)):
            infinite = _without(infinite, training.undefined_now())
        if infinite:
            self._raise(infinite, in_step=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises an error if a weight is not finite, or a loss of validation."""
        infinite = _infinite_losses(logs)
        if infinite and (training := _training_of(self.model)):
            infinite = _without(infinite, training.undefined())
        if infinite or has_diverged(self.model):
            self._raise(infinite)

    def _raise(self, infinite: list[str], in_step: bool = False) -> None:
        step = int(steps_taken(self.model.optimizer))
        training = _training_of(self.model)
        steps = training.conflicts.nonfinite_steps() if training and training.conflicts else {}
        if isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer):
            # It leaves out the steps whose gradients are not finite, mostly for its scale, and
            # does not count them.
            steps, step = {}, step + in_step
        longest = max(steps.values(), default=0)
        first = [task for task, count in steps.items() if count == longest > 0]
        if first:
            what = f"the gradient of {_tasks(first)}"
            step -= longest - 1
        elif infinite:
            what = f"`{infinite[0]}`"
        else:
            what = "a weight"
        raise FloatingPointError(
            f"training diverged in step {step}: {what} is not finite; lower the learning rate or "
            "look for extreme values in the labels and features"
        )


def has_diverged(model: keras.Model) -> bool:
    """Whether any weight is NaN or infinite."""
    floating = [v for v in model.trainable_variables if tf.as_dtype(v.dtype).is_floating]
    return not all(bool(tf.reduce_all(tf.math.is_finite(v))) for v in floating)


def _infinite_losses(logs: dict[str, Any] | None) -> list[str]:
    """The names of losses that are not finite; those of tasks before that of them all."""
    losses = {name: value for name, value in (logs or {}).items() if name.endswith("loss")}
    infinite = [name for name, value in losses.items() if not np.isfinite(value)]
    return sorted(infinite, key=lambda name: name in ("loss", "val_loss"))


def _without(infinite: list[str], undefined: set[str]) -> list[str]:
    """Leaves out the losses of tasks without labels: undefined, not infinite.

    The total loss is one of them if no task had a label.
    """
    left = [name for name in infinite if name not in undefined]
    return left if set(left) - {"loss", "val_loss"} or len(left) == len(infinite) else []


def _training_of(model: keras.Model) -> CompiledTraining | None:
    return model._training if isinstance(model, MultiTaskModel) else None


def _tasks(names: list[str]) -> str:
    quoted = [f"task {name!r}" for name in names]
    return " and ".join(quoted) if len(quoted) < 3 else f"tasks {', '.join(map(repr, names))}"
