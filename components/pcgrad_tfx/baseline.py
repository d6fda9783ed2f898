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
from tfx.types import standard_artifacts
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
    except tf.errors.NotFoundError:
        return False


class LatestComparableModelStrategy(tfx.dsl.experimental.LatestBlessedModelStrategy):
    """Like `LatestBlessedModelStrategy`, among the models that learned the same tasks.

    Args:
        tasks: `definitions` of the tasks as JSON: a pipeline's specification has no place for
            the null values in it.
    """

    def __init__(self, tasks: str) -> None:
        self._tasks = json.loads(tasks)

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Finds the model and its blessing; two empty lists without such a model."""
        candidates = {
            key: [artifact for artifact in artifacts if self._is_candidate(artifact)]
            for key, artifacts in input_dict.items()
        }
        return super().resolve_artifacts(store, candidates)

    def _is_candidate(self, artifact: types.Artifact) -> bool:
        if not isinstance(artifact, standard_artifacts.Model):
            return True
        if learned_same_tasks(path_utils.serving_model_path(artifact.uri), self._tasks):
            return True
        logging.warning("%s learned other tasks: it is no baseline.", artifact.uri)
        return False
