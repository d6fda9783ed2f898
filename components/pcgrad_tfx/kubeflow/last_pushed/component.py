"""Component that finds the baseline at the push destination."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.kubeflow.last_pushed import executor
from pcgrad_tfx.training.task_definitions import definitions


class LastPushedModelSpec(component_spec.ComponentSpec):
    """Where to look for which tasks; the same outputs as those of a Resolver for the baseline."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {
        executor.PUSH_DESTINATION_KEY: component_spec.ExecutionParameter(type=str),
        executor.TASKS_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.MODEL_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.Model
        ),
        executor.MODEL_BLESSING_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.ModelBlessing
        ),
    }


class LastPushedModel(base_component.BaseComponent):
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

    SPEC_CLASS = LastPushedModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        push_destination: str | RuntimeParameter,
        tasks: Sequence[Task],
    ) -> None:
        """Constructs the component.

        Args:
            push_destination: The folder that Pusher pushes to, or the JSON of a `PushDestination`
                that names it; also a runtime parameter that holds one of them.
            tasks: The tasks that the model must have learned.
        """
        super().__init__(
            spec=LastPushedModelSpec(
                push_destination=push_destination,
                tasks=json.dumps(definitions(tasks)),
                model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
                model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
            )
        )
