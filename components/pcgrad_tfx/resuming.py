"""Resuming an interrupted training at the last completed epoch.

TFX deletes a failed execution's outputs and gives the next one new folders, so the checkpoints live
outside every artifact, in a folder named by a hash of all that determines the training.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
from typing import Any

import keras
import tensorflow as tf
from absl import logging
from tfx import v1 as tfx
from tfx.utils import io_utils

from pcgrad.keras import ConflictStatistics


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves the state of training after every epoch; must be the last callback.

    All weights, the optimizer's state, the states of random layers, what is known about conflicts,
    and the log folder.

    Args:
        model: The compiled and built model.
        folder: Where to save.
        log_dir: Logs that belong to the training, saved and restored with it.
    """

    def __init__(self, model: keras.Model, folder: str, log_dir: str) -> None:
        super().__init__()
        self._folder = folder
        self._log_dir = log_dir
        self._epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        variables = [v.value for v in [*model.variables, *model.optimizer.variables]]
        followed = [metric for metric in model.metrics if isinstance(metric, ConflictStatistics)]
        checkpoint = tf.train.Checkpoint(
            epochs=self._epochs,
            variables=variables,
            conflicts=[variable for metric in followed for variable in metric.state],
        )
        self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=1)

    def restore(self) -> int:
        """Restores the last completed epoch, if any.

        Returns:
            The number of completed epochs.
        """
        if self._manager.restore_or_initialize():
            logs = self._logs(int(self._epochs))
            if tfx.dsl.io.fileio.exists(logs):
                io_utils.copy_dir(logs, self._log_dir)
            logging.info("Resuming training after epoch %d.", int(self._epochs))
        return int(self._epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves, unless training has diverged: there is nothing to go on from then."""
        losses = [value for name, value in (logs or {}).items() if name.endswith("loss")]
        if has_diverged(self.model) or not all(map(math.isfinite, losses)):
            return
        self._epochs.assign(epoch + 1)
        # The logs are of one epoch as the checkpoint is, whichever of the two is interrupted.
        if tfx.dsl.io.fileio.exists(self._logs(epoch + 1)):
            tfx.dsl.io.fileio.rmtree(self._logs(epoch + 1))
        io_utils.copy_dir(self._log_dir, self._logs(epoch + 1))
        self._manager.save()
        if tfx.dsl.io.fileio.exists(self._logs(epoch)):
            tfx.dsl.io.fileio.rmtree(self._logs(epoch))

    def delete(self) -> None:
        """Deletes the checkpoints of a training that has been saved as a model."""
        tfx.dsl.io.fileio.rmtree(self._folder)

    def _logs(self, epochs: int) -> str:
        return posixpath.join(self._folder, f"logs-{epochs}")


def has_diverged(model: keras.Model) -> bool:
    """Whether any weight is NaN or infinite."""
    floating = [v for v in model.trainable_variables if tf.as_dtype(v.dtype).is_floating]
    return not all(bool(tf.reduce_all(tf.math.is_finite(v))) for v in floating)


def checkpoint_folder(root: str, *determinants: Any) -> str:
    """The folder of one training.

    Args:
        root: Folder of all trainings' checkpoints.
        *determinants: JSON values that determine the training: inputs and configuration.

    Returns:
        A folder under the root, named by their hash.
    """
    text = json.dumps(determinants, sort_keys=True)
    return posixpath.join(root, hashlib.sha256(text.encode()).hexdigest()[:16])
