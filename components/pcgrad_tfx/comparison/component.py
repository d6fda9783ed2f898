"""Component that compares ways of training on the same data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, component_spec

from pcgrad_tfx.comparison import executor


class ComparisonResults(artifact.Artifact):
    """A folder with `comparison.json`; see `pcgrad_tfx.comparison.results`."""

    # A module and a class in it, by which a step on Kubeflow imports it.
    TYPE_NAME = "pcgrad_tfx.ComparisonResults"


class ComparisonSpec(component_spec.ComponentSpec):
    """Data, the transform graph, a configuration, and the results."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {
        executor.CUSTOM_CONFIG_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.Examples
        ),
        executor.TRANSFORMED_EXAMPLES_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.Examples
        ),
        executor.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.TransformGraph
        ),
    }
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.COMPARISON_KEY: component_spec.ChannelParameter(type=ComparisonResults)
    }


class Comparison(base_component.BaseComponent):
    """Trains the same model in several ways, with several seeds, and scores it on the test split.

    Equal weights, PCGrad, PPCGrad, a grid of static loss weights of which the best on the eval
    split is scored, and each task alone. With one seed all begin with the same weights and see the
    same batches; only the way of training differs.

    Component `outputs` contains:

    - `comparison`: Channel of type `ComparisonResults`.
    """

    SPEC_CLASS = ComparisonSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: tfx.types.BaseChannel,
        transformed_examples: tfx.types.BaseChannel,
        transform_graph: tfx.types.BaseChannel,
        custom_config: Mapping[str, Any],
    ) -> None:
        """Constructs the component.

        Args:
            examples: Channel of type `standard_artifacts.Examples`, of an ExampleGen; the split
                "test" is used, for scores only.
            transformed_examples: Channel of the same type, of Transform, with "train" and "eval".
            transform_graph: Channel of type `standard_artifacts.TransformGraph`.
            custom_config: As a Trainer with our `run_fn` takes it, except that `surgery` and `seed`
                do not count; and `comparison`, the JSON of a `ComparisonSettings`. With a
                `checkpoint_root` an interrupted comparison goes on where it was.

        Raises:
            ValueError: The configuration is wrong.
        """
        executor.parse_config(custom_config)
        super().__init__(
            spec=ComparisonSpec(
                examples=examples,
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                custom_config=json.dumps(dict(custom_config), sort_keys=True),
                comparison=tfx.dsl.Channel(type=ComparisonResults),
            )
        )
