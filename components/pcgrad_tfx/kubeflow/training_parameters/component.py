"""Component that hands training settings to the Trainer, as a Tuner does."""

from __future__ import annotations

from typing import ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.kubeflow.training_parameters import executor


class TrainingParametersSpec(component_spec.ComponentSpec):
    """The settings, each of which may be left out, and the artifact made of them."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {
        name: component_spec.ExecutionParameter(type=kind, optional=True)
        for name, kind in executor.SETTINGS.items()
    }
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.HYPERPARAMETERS_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.HyperParameters
        )
    }


class TrainingParameters(base_component.BaseComponent):
    """Settings that can change from run to run, without compiling the pipeline again.

    A Trainer's `custom_config` is part of a compiled pipeline. Its `hyperparameters` are an
    artifact, and override it: `Trainer(hyperparameters=parameters.outputs["hyperparameters"], …)`.

    Component `outputs` contains:

    - `hyperparameters`: Channel of type `standard_artifacts.HyperParameters`.
    """

    SPEC_CLASS = TrainingParametersSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

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
            surgery: "pcgrad", "ppcgrad" or "none".
            epochs: Passes over the training data.
            learning_rate: Of the optimizer.
            seed: Of all that is random.

        Raises:
            ValueError: If a value, or a runtime parameter's default, is wrong.
        """
        settings = {
            "surgery": surgery,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "seed": seed,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        parameters = {n: value for n, value in given.items() if isinstance(value, RuntimeParameter)}
        defaults = {n: value.default for n, value in parameters.items()}
        checked = executor.check_settings(given | defaults)
        channel = tfx.dsl.Channel(type=tfx.types.standard_artifacts.HyperParameters)
        super().__init__(
            spec=TrainingParametersSpec(hyperparameters=channel, **(checked | parameters))
        )
