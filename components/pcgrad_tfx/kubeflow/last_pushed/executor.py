"""Executor of LastPushedModel."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from absl import logging
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from pcgrad_tfx.pushing.versions import loading_problem, versions
from pcgrad_tfx.training.task_definitions import learned_same_tasks

PUSH_DESTINATION_KEY = "push_destination"
TASKS_KEY = "tasks"
MODEL_KEY = "model"
MODEL_BLESSING_KEY = "model_blessing"

# The custom property, with value 1, of an output artifact that stands for nothing.
ABSENT_PROPERTY = "absent"


def is_absent(artifact: tfx.dsl.Artifact) -> bool:
    """Whether an artifact of LastPushedModel stands for nothing."""
    return bool(artifact.get_int_custom_property(ABSENT_PROPERTY))


class Executor(base_executor.BaseExecutor):
    """Copies the newest version that learned the same tasks, or marks the outputs as absent."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Looks at the push destination.

        Args:
            input_dict: Not used.
            output_dict: `model` and `model_blessing`, one artifact each.
            exec_properties: `push_destination`, a folder or the JSON of a `PushDestination`;
                `tasks`, the JSON of their `baseline.definitions`.

        Raises:
            ValueError: If the push destination names no folder, or is none.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(output_dict[MODEL_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[MODEL_BLESSING_KEY])
        folder = _pushed_to(exec_properties[PUSH_DESTINATION_KEY])
        pushed = _find(folder, json.loads(exec_properties[TASKS_KEY]))
        if pushed is None:
            logging.info("%s: no model of these tasks has been pushed yet.", folder)
            for artifact in (model, blessing):
                artifact.set_int_custom_property(ABSENT_PROPERTY, 1)
            return
        logging.info("%s is the baseline.", pushed)
        io_utils.copy_dir(pushed, path_utils.serving_model_dir(model.uri))
        # As Evaluator does. The model's id, which it notes too, is not known yet.
        io_utils.write_string_file(os.path.join(blessing.uri, constants.BLESSED_FILE_NAME), "")
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.BLESSED_VALUE
        )
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
        )


def _pushed_to(destination: str) -> str:
    """The folder that a path or the JSON of a `PushDestination` names."""
    folder = destination
    if destination.lstrip().startswith("{"):
        try:
            message = json_format.Parse(destination, tfx.proto.PushDestination())
        except json_format.ParseError as error:
            problem = " ".join(str(error).split())
            raise ValueError(
                f"{PUSH_DESTINATION_KEY}: {destination!r} is no PushDestination: {problem}; write "
                'it as {"filesystem": {"base_directory": "…"}}'
            ) from None
        folder = message.filesystem.base_directory
    if not folder:
        raise ValueError(
            f"{PUSH_DESTINATION_KEY}: {destination!r} names no folder; give a path, or "
            '{"filesystem": {"base_directory": "…"}}'
        )
    return folder


def _find(folder: str, tasks: Mapping[str, Any]) -> str | None:
    """The newest version that learned the tasks and can be loaded."""
    for version in versions(folder):
        path = os.path.join(folder, version)
        if not learned_same_tasks(path, tasks):
            logging.warning("%s learned other tasks: it is no baseline.", path)
        elif problem := loading_problem(path):
            logging.warning("%s cannot be loaded (%s): it is no baseline.", path, problem)
        else:
            return path
    return None
