"""A callback that writes down how a model was trained, for whoever reads the logs later."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
import tfx

from pcgrad_tfx.formatting import without_nan

TRAINING_FILE = "training.json"
HISTORY_FILE = "history.jsonl"


class TrainingRecord(keras.callbacks.Callback):
    """Writes settings, versions and Keras's logs of each epoch.

    To `training.json` when training begins: `settings`, `rows` and `versions`. To `history.jsonl`
    after each epoch one line: `epoch` and `logs`, null for what is not finite. A training that is
    resumed appends to it, so that an epoch may be there twice; its last line counts.

    Args:
        log_dir: A folder, local or remote; made if missing.
        settings: How the model is trained, plain JSON values.
        rows: Number of rows, by split.
    """

    def __init__(self, log_dir: str, settings: Mapping[str, Any], rows: Mapping[str, int]) -> None:
        super().__init__()
        self._log_dir = str(log_dir)
        self._record = {"settings": dict(settings), "rows": dict(rows), "versions": versions()}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes what does not change from epoch to epoch."""
        tf.io.gfile.makedirs(self._log_dir)
        with tf.io.gfile.GFile(os.path.join(self._log_dir, TRAINING_FILE), "w") as file:
            file.write(json.dumps(self._record, indent=1))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's logs."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        with tf.io.gfile.GFile(os.path.join(self._log_dir, HISTORY_FILE), "a") as lines:
            lines.write(json.dumps({"epoch": epoch, "logs": without_nan(values)}) + "\n")


def versions() -> dict[str, str]:
    """The versions of what trains, by name."""
    found = {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tfx": tfx.__version__,
        "Python": platform.python_version(),
    }
    try:
        return {"tfx-pcgrad": importlib.metadata.version("tfx-pcgrad"), **found}
    except importlib.metadata.PackageNotFoundError:  # the source tree, not installed
        return found
