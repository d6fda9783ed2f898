"""Component that stops a pipeline on anomalies in the data."""

from __future__ import annotations

from typing import ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec

from pcgrad_tfx.validation.validation_gate import executor


class ValidationGateSpec(component_spec.ComponentSpec):
    """Inputs of ValidationGate."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {}
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.STATISTICS_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.ExampleStatistics
        ),
        executor.ANOMALIES_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.ExampleAnomalies
        ),
    }
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}


class ValidationGate(base_component.BaseComponent):
    """Fails, and with it the pipeline, if the data has anomalies or a split is empty.

    TFX's ExampleValidator only writes down what it finds. What must not run on bad data runs
    after the gate: `transform.add_upstream_node(validation_gate)`.

    Component `outputs` contains: nothing. Whether a node runs after the gate is a matter of
    order; a file that every stock component would have to take as an input is not needed for it.
    """

    SPEC_CLASS = ValidationGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, statistics: tfx.types.BaseChannel, anomalies: tfx.types.BaseChannel) -> None:
        """Constructs the component.

        Args:
            statistics: Channel of type `standard_artifacts.ExampleStatistics`, of StatisticsGen.
            anomalies: Channel of type `standard_artifacts.ExampleAnomalies`, of ExampleValidator.
        """
        super().__init__(spec=ValidationGateSpec(statistics=statistics, anomalies=anomalies))
