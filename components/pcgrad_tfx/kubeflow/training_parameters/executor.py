"""Executor of TrainingParameters."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import keras_tuner
from pydantic import ValidationError
from tfx import v1 as tfx
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.validation_messages import problem_lines

HYPERPARAMETERS_KEY = "hyperparameters"
SETTINGS = {"surgery": str, "epochs": int, "learning_rate": float, "seed": int}

# The Tuner's name for it; the Trainer reads whatever file is alone in the folder.
_FILE_NAME = "best_hyperparameters.txt"


class Executor(base_executor.BaseExecutor):
    """Writes the settings as TFX's Tuner does: the config of a `keras_tuner.HyperParameters`."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the settings and writes the file.

        Args:
            input_dict: Not used.
            output_dict: `hyperparameters`, one artifact.
            exec_properties: `surgery`, `epochs`, `learning_rate` and `seed`, as far as given.

        Raises:
            ValueError: If a value is wrong.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        hyperparameters = keras_tuner.HyperParameters()
        for name, value in check_settings(exec_properties).items():
            hyperparameters.Fixed(name, value)
        folder = artifact_utils.get_single_uri(output_dict[HYPERPARAMETERS_KEY])
        content = json.dumps(hyperparameters.get_config())
        io_utils.write_string_file(os.path.join(folder, _FILE_NAME), content)


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks settings as the Trainer will.

    Args:
        settings: Values by the names of `SETTINGS`; None means not given.

    Returns:
        The given ones, each of its type.

    Raises:
        ValueError: If a value is wrong; a line for each: the name, what is wrong, what would be
            right.
    """
    given = {name: settings[name] for name in SETTINGS if settings.get(name) is not None}
    try:
        return Training.model_validate(given).model_dump(include=set(given))
    except ValidationError as error:
        raise ValueError("\n".join(problem_lines(error, Training))) from None
