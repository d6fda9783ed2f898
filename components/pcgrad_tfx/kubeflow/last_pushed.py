"""Component that finds the baseline at the push destination, where no ML Metadata can be asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.evaluator import constants
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx import component
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.formatting import one_line
from pcgrad_tfx.pushing.versions import check_writable, loading_problem, versions
from pcgrad_tfx.training.task_definitions import definitions, learned_same_tasks

# The custom property, with value 1, of an output artifact that stands for nothing.
ABSENT_PROPERTY = "absent"


def is_absent(artifact: tfx.dsl.Artifact) -> bool:
    """Whether an artifact of LastPushedModel stands for nothing."""
    return bool(artifact.get_int_custom_property(ABSENT_PROPERTY))


class Executor(component.Executor):
    """Copies the newest version that learned the same tasks, or marks the outputs as absent."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Looks at the push destination.

        Raises:
            ValueError: If `push_destination` names no folder, is none, or cannot be written to:
                better now than when a model is trained.
        """
        model, blessing = outputs["model"], outputs["model_blessing"]
        folder = _pushed_to(properties["push_destination"])
        pushed = _find(folder, json.loads(properties["tasks"]))
        check_writable(folder)
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


class LastPushedModel(
    component.Component,
    executor=Executor,
    parameters={"push_destination": str, "tasks": str},
    outputs={"model": standard_artifacts.Model, "model_blessing": standard_artifacts.ModelBlessing},
):
    """Finds the last pushed model that learned the same tasks, on orchestrators without Resolver.

    Open-source Kubeflow Pipelines runs no Resolver. What was blessed is at the push destination,
    too: Pusher copies nothing else there.

    An output artifact of a component always exists. Where there is no such model, both outputs
    are marked (`last_pushed.is_absent`), and whoever starts the next executor has to leave
    out the marked inputs, as `pcgrad_tfx.kubeflow.entrypoint` does. The answer changes with what
    is pushed, which no orchestrator's cache sees: the component must run in every run.

    Component `outputs` contains:

    - `model`: Channel of type `standard_artifacts.Model`: a copy of the pushed model.
    - `model_blessing`: Channel of type `standard_artifacts.ModelBlessing`: always blessed.
    """

    def __init__(self, push_destination: str | RuntimeParameter, tasks: Sequence[Task]) -> None:
        """Constructs the component.

        Args:
            push_destination: The folder that Pusher pushes to, or the JSON of a `PushDestination`
                that names it; also a runtime parameter that holds one of them.
            tasks: The tasks that the model must have learned.
        """
        super().__init__(push_destination=push_destination, tasks=json.dumps(definitions(tasks)))


def _pushed_to(destination: str) -> str:
    """The folder that a path or the JSON of a `PushDestination` names."""
    folder = destination
    if destination.lstrip().startswith("{"):
        try:
            message = json_format.Parse(destination, tfx.proto.PushDestination())
        except json_format.ParseError as error:
            raise ValueError(
                f"push_destination: {destination!r} is no PushDestination: {one_line(error)}; "
                'write it as {"filesystem": {"base_directory": "…"}}'
            ) from None
        folder = message.filesystem.base_directory
    if not folder:
        raise ValueError(
            f"push_destination: {destination!r} names no folder; give a path, or "
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
