"""A callback that writes which tasks conflict: TensorBoard scalars, JSON lines."""

from __future__ import annotations

import importlib.util
import json
import math
import posixpath
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.model import MultiTaskModel
from pcgrad.keras.probing.conflict_probe import ConflictProbe


class ConflictMonitor(keras.callbacks.Callback):
    """Writes the pairwise cosines, the conflicts and the gradients' norms of a `MultiTaskModel`.

    After each epoch, to `log_dir/conflicts.jsonl`, one JSON object an epoch: `pairs` with the
    epoch's means, `gradient_norms` by task (before the surgery, after the loss weights), and
    `run_pairs` with the means over all steps so far, whose standard errors come from the means of
    at least 20 blocks of steps. That is what the surgery sees: the gradients of single batches, of
    which much is noise. What the tasks themselves do is in `probes`, if a `ConflictProbe` is given:
    its summary so far, else null. What is undefined is null. If TensorBoard is installed (newer
    TensorFlow releases do not bring it), also as the scalars `cosine/<task>/<task>`,
    `conflicting/<task>/<task>` and `gradient_norm/<task>`, the epoch as step.

    Args:
        log_dir: A folder, local or remote; made if missing.
        probe: Of the same training, before this one in the list of callbacks.
        follow: Whether steps without surgery (or with one that needs no Gram matrix, or with
            `gramian="features"`) are followed, too: they then take one backward pass for each task.
    """

    def __init__(
        self, log_dir: str, probe: ConflictProbe | None = None, follow: bool = True
    ) -> None:
        super().__init__()
        self._log_dir = str(log_dir)
        self._probe = probe
        self._follow = follow

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the log files.

        Raises:
            TypeError: The model is no `MultiTaskModel`.
        """
        if not isinstance(self.model, MultiTaskModel):
            raise TypeError(
                f"ConflictMonitor: the model is a {type(self.model).__name__}, which knows of no "
                "conflicts: make it a pcgrad.keras.MultiTaskModel"
            )
        self._were_followed = self.model.follows_conflicts
        self.model.follows_conflicts = self._were_followed or self._follow
        tf.io.gfile.makedirs(self._log_dir)
        if importlib.util.find_spec("tensorboard"):
            self._writer = tf.summary.create_file_writer(self._log_dir)
        else:
            self._writer = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's conflicts."""
        pairs = self.model.conflicts()
        norms = self.model.gradient_norms()
        if self._writer:
            with self._writer.as_default(step=epoch):
                for pair in pairs:
                    name = "/".join(pair["tasks"])
                    tf.summary.scalar(f"cosine/{name}", pair["mean_cosine"])
                    tf.summary.scalar(f"conflicting/{name}", pair["conflicting"])
                for task, norm in norms.items():
                    tf.summary.scalar(f"gradient_norm/{task}", norm)
        line = {
            "epoch": epoch,
            "pairs": [_as_json(pair) for pair in pairs],
            "gradient_norms": _as_json(norms),
            "run_pairs": [_as_json(pair) for pair in self.model.conflicts(whole_run=True)],
            "probes": (self._probe.summary() or None) if self._probe else None,
        }
        path = posixpath.join(self._log_dir, "conflicts.jsonl")
        with tf.io.gfile.GFile(path, "a") as lines:
            lines.write(json.dumps(line) + "\n")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log files."""
        self.model.follows_conflicts = self._were_followed
        if self._writer:
            self._writer.close()


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    """With null for NaN, which is not JSON."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
