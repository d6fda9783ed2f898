"""Which earlier model a new one may be compared with: one that learned the same tasks.

Without the same outputs the Evaluator cannot compute a baseline's metrics, and with other labels
behind the same names the comparison would mean nothing.
"""

from __future__ import annotations

import json

from absl import logging
from ml_metadata import MetadataStore
from tfx import types
from tfx import v1 as tfx
from tfx.utils import path_utils

from pcgrad_tfx.training.task_definitions import learned_same_tasks


class SameTasksModelStrategy(tfx.dsl.experimental.LatestBlessedModelStrategy):
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
