"""Component that hands training settings to the Trainer, as a Tuner does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import keras_tuner
from pydantic import ValidationError
from tfx.types import standard_artifacts
from tfx.utils import io_utils
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx import component
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.validation_messages import problem_lines

SETTINGS = {"surgery": str, "epochs": int, "learning_rate": float, "seed": int}

# The Tuner's name for it; the Trainer reads whatever file is alone in the folder.
_FILE_NAME = "best_hyperparameters.txt"


class Executor(component.Executor):
    """Writes the settings as TFX's Tuner does: the config of a `keras_tuner.HyperParameters`."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Checks the settings that are given and writes the file.

        Raises:
            ValueError: If a value is wrong.
        """
        hyperparameters = keras_tuner.HyperParameters()
        for name, value in check_settings(properties).items():
            hyperparameters.Fixed(name, value)
        path = os.path.join(outputs["hyperparameters"].uri, _FILE_NAME)
        io_utils.write_string_file(path, json.dumps(hyperparameters.get_config()))


class TrainingParameters(
    component.Component,
    executor=Executor,
    parameters=SETTINGS,
    outputs={"hyperparameters": standard_artifacts.HyperParameters},
    optional=SETTINGS,
):
    """Settings that can change from run to run, without compiling the pipeline again.

    A Trainer's `custom_config` is part of a compiled pipeline. Its `hyperparameters` are an
    artifact, and override it: `Trainer(hyperparameters=parameters.outputs["hyperparameters"], …)`.

    Component `outputs` contains:

    - `hyperparameters`: Channel of type `standard_artifacts.HyperParameters`.
    """

    def __init__(
        self,
        surgery: str | RuntimeParameter | None = None,
        epochs: int | RuntimeParameter | None = None,
        learning_rate: float | RuntimeParameter | None = None,
        seed: int | RuntimeParameter | None = None,
    ) -> None:
        """Constructs the component.

        A setting that is not given overrides nothing; one that is a runtime parameter, of the
        `ptype` that its field has in `training_config.Training`, is checked in the run.

        Args:
            surgery: The name of a method, or JSON text of it and its arguments.
            epochs: Passes over the training data; 0: as many as are chosen for the data.
            learning_rate: Of the optimizer.
            seed: Of all that is random.

        Raises:
            ValueError: If a value, or a runtime parameter's default, is wrong.
        """
        values = (surgery, epochs, learning_rate, seed)
        settings = dict(zip(SETTINGS, values, strict=True))
        parameters = {n: v for n, v in settings.items() if isinstance(v, RuntimeParameter)}
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        super().__init__(**check_settings(settings | defaults) | parameters)


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks settings as the Trainer will.

    Args:
        settings: Values by the names of `SETTINGS`; None means not given, as do 0 epochs.

    Returns:
        The given ones, each of its type.

    Raises:
        ValueError: If a value is wrong; a line for each: the name, what is wrong, what would be
            right.
    """
    given = {name: settings[name] for name in SETTINGS if settings.get(name) is not None}
    # A runtime parameter of Kubeflow cannot be left open.
    if given.get("epochs") == 0:
        del given["epochs"]
    try:
        return Training.model_validate(given).model_dump(include=set(given))
    except ValidationError as error:
        raise ValueError("\n".join(problem_lines(error, Training))) from None
