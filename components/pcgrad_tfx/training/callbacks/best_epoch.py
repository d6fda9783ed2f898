"""The best epoch of a training: when to stop, and which weights to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad_tfx.training.callbacks.loss_ranges import LossRange

GAIN = "val_gain"


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the best epoch, and stops a training that gets no better.

    An epoch is judged on eval, by the mean over the tasks of their gain over a constant prediction,
    which is 0 for a constant and 1 for a perfect prediction; of squared errors it is R², on the
    scale that is learned. It is added to Keras's logs as `val_gain`: this callback comes before
    those that read them, and before one that swaps weights for an evaluation.

    Args:
        model: The compiled and built model.
        loss_ranges: Of the tasks that are judged, on eval.
        patience: Epochs in a row without a better one after which training stops; 0: never.
        keeps_weights: Whether `restore` brings the best epoch's weights back. They take as much
            memory as the model's.
    """

    def __init__(
        self,
        model: keras.Model,
        loss_ranges: Mapping[str, LossRange],
        patience: int,
        keeps_weights: bool,
    ) -> None:
        super().__init__()
        self._ranges = dict(loss_ranges)
        self._patience = patience
        self._running = 0
        self._newest: float | None = None
        self._gain = tf.Variable(-math.inf, dtype=tf.float64, trainable=False)
        self._epoch = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._of_model = [weight.value for weight in model.weights] if keeps_weights else []
        self._kept = [tf.Variable(value, trainable=False) for value in self._of_model]

    @property
    def epoch(self) -> int | None:
        """The number of the best epoch, from 0; None if no task has labels in eval."""
        epoch = int(self._epoch.numpy())
        return epoch if epoch >= 0 else None

    @property
    def gain(self) -> float:
        """The mean gain of the best epoch."""
        return float(self._gain.numpy())

    @property
    def state(self) -> list[tf.Variable]:
        """What a checkpoint must hold, so that a resumed training ends as an uninterrupted one."""
        return [self._gain, self._epoch, *self._kept]

    def is_over(self, epochs: int) -> bool:
        """Whether a training stops after so many epochs."""
        best = self.epoch
        return bool(self._patience) and best is not None and epochs - 1 - best >= self._patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch, which an evaluation does not know."""
        self._running = epoch

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Judges the epoch with the weights that were evaluated: the moving average, if any."""
        found = logs or {}
        gains = [one.gain(found[f"{name}_loss"]) for name, one in self._ranges.items()]
        self._newest = float(np.mean(gains)) if gains else None
        if self._newest is not None and self._newest > self.gain:
            self._gain.assign(self._newest)
            self._epoch.assign(self._running)
            for kept, value in zip(self._kept, self._of_model, strict=True):
                kept.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the gain to the logs, and stops."""
        if logs is not None and self._newest is not None:
            logs[GAIN] = self._newest
        if self.is_over(epoch + 1):
            self.model.stop_training = True

    def restore(self) -> None:
        """Gives the model the weights of the best epoch."""
        if self.epoch is not None:
            for kept, value in zip(self._kept, self._of_model, strict=True):
                value.assign(kept)
