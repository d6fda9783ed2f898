"""Resuming an interrupted training at the last completed epoch.

TFX deletes a failed execution's outputs and gives the next one new folders, so the checkpoints live
outside every artifact, in a folder named by a hash of all that determines the training.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from typing import Any

import keras
import tensorflow as tf
from absl import logging
from tfx import v1 as tfx
from tfx.utils import io_utils

from pcgrad.keras import ConflictStatistics, MultiTaskModel
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves the state of training after every epoch; must be the last callback.

    All weights, the states of the optimizer, of the surgery and of random layers, what is known
    about conflicts and of the best epoch, and the log folder.

    Args:
        model: The compiled and built model.
        best: Of the same training.
        folder: Where to save.
        log_dir: Logs that belong to the training, saved and restored with it.
        writes: Whether it saves; of several workers one does, and all restore.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        best: BestEpoch,
        folder: str,
        log_dir: str,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._log_dir = log_dir
        self._writes = writes
        self._epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        variables = [v.value for v in [*model.variables, *model.optimizer.variables]]
        followed = [metric for metric in model.metrics if isinstance(metric, ConflictStatistics)]
        self._checkpoint = tf.train.Checkpoint(
            epochs=self._epochs,
            variables=variables,
            best=best.state,
            conflicts=[variable for metric in followed for variable in metric.state],
            surgery=model.surgery_variables,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=1)

    def restore(self) -> int:
        """Restores the last completed epoch, if any.

        Returns:
            The number of completed epochs.
        """
        latest = self._manager.latest_checkpoint
        if latest:
            self._checkpoint.restore(latest).assert_consumed()
            logs = self._logs(int(self._epochs.numpy()))
            if self._writes and tfx.dsl.io.fileio.exists(logs):
                io_utils.copy_dir(logs, self._log_dir)
            logging.info("Resuming training after epoch %d.", int(self._epochs.numpy()))
        return int(self._epochs.numpy())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves; a callback before this one ends a training that has diverged."""
        if not self._writes:
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
        if self._writes:
            tfx.dsl.io.fileio.rmtree(self._folder)

    def _logs(self, epochs: int) -> str:
        return posixpath.join(self._folder, f"logs-{epochs}")


def discard_damaged(folder: str) -> None:
    """Deletes a training's checkpoint, and says so, if not all of it can be read.

    Args:
        folder: From `checkpoint_folder`.
    """
    try:
        latest = tf.train.latest_checkpoint(folder)
        if latest:
            reader = tf.train.load_checkpoint(latest)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # It has a checksum.
    # Which error it is depends on which byte is wrong.
    except Exception as error:
        logging.warning("%s: %s", folder, error)
        print(f"The checkpoint in {folder} is damaged; training begins anew.", flush=True)
        tfx.dsl.io.fileio.rmtree(folder)


def checkpoint_folder(root: str, *key: Any) -> str:
    """The folder of one training.

    Args:
        root: Folder of all trainings' checkpoints.
        *key: JSON values that determine the training: inputs and configuration.

    Returns:
        A folder under the root, named by their hash.
    """
    text = json.dumps(key, sort_keys=True)
    return posixpath.join(root, hashlib.sha256(text.encode()).hexdigest()[:16])
