"""Which earlier model a new one may be compared with: one that learned the same tasks.

Without the same outputs the Evaluator cannot compute a baseline's metrics, and with other labels
behind the same names the comparison would mean nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from ml_metadata import MetadataStore
from tfx import types
from tfx import v1 as tfx
from tfx.utils import path_utils

from pcgrad_tfx.tasks import Task

# Beside the SavedModel's own assets, where TensorFlow Serving leaves it alone.
_TASKS_FILE = os.path.join("assets.extra", "tasks.json")


def definitions(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """What makes two tasks the same, by name; plain JSON values."""
    excluded = {"gate", "loss_weight"}
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
            return bool(json.load(file) == wanted)
    # There is no such file, the model is a file, or the file ends in the middle.
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError, ValueError):
        return False


class LatestComparableModelStrategy(tfx.dsl.experimental.LatestBlessedModelStrategy):
    """Like `LatestBlessedModelStrategy`, among the other models that learned the same tasks.

    The model that has just been trained is not its own baseline: the same run once more is
    evaluated as before, which is in the cache.

    Args:
        tasks: `definitions` of the tasks as JSON: a pipeline's specification has no place for
            the null values in it.
    """

    def __init__(self, tasks: str) -> None:
        self._tasks = json.loads(tasks)

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Finds the model and its blessing.

        Args:
            store: ML Metadata.
            input_dict: `model` and `model_blessing`, all that there are; `trained`, the model that
                a baseline is wanted for.

        Returns:
            `model` and `model_blessing`, empty lists without such a model; `trained`, as it is.
        """
        trained = input_dict["trained"]
        excluded = {artifact.id for artifact in trained}
        candidates = {
            "model": [
                model
                for model in input_dict["model"]
                if model.id not in excluded and self._learned_same_tasks(model)
            ],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = super().resolve_artifacts(store, candidates)
        return None if resolved is None else {**resolved, "trained": trained}

    def _learned_same_tasks(self, model: types.Artifact) -> bool:
        if learned_same_tasks(path_utils.serving_model_path(model.uri), self._tasks):
            return True
        logging.warning("%s learned other tasks: it is no baseline.", model.uri)
        return False
