"""Which tasks a saved model has learned, noted beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from pcgrad_tfx.config.tasks import Task, parse_tasks

# Beside the SavedModel's own assets, where TensorFlow Serving leaves it alone.
_TASKS_FILE = os.path.join("assets.extra", "tasks.json")


def definitions(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """What makes two tasks the same, by name; plain JSON values."""
    # How it is learned makes no other task of it.
    excluded = {"gate", "loss", "loss_weight", "class_weight"}
    excluded |= {"huber_delta", "focal_gamma", "label_smoothing"}
    return {task.name: task.model_dump(mode="json", exclude=excluded) for task in tasks}


def write_definitions(saved_model: str, tasks: Sequence[Task]) -> None:
    """Notes in a SavedModel's folder which tasks it learned."""
    path = os.path.join(saved_model, _TASKS_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        json.dump(definitions(tasks), file, indent=2)


def learned_same_tasks(saved_model: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a SavedModel learned just these tasks.

    Args:
        saved_model: The folder.
        wanted: `definitions` of the tasks.

    Returns:
        Whether the definitions are equal; False for a model that does not tell.
    """
    try:
        with tf.io.gfile.GFile(os.path.join(saved_model, _TASKS_FILE)) as file:
            # An older version did not write the keys that have come since, but for their defaults.
            learned = definitions(parse_tasks(dict(json.load(file)).values()))
            return learned == wanted
    # There is no such file, the model is a file, or the file ends in the middle.
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError, TypeError, ValueError):
        return False
