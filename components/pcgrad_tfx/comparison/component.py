"""Component that compares ways of training on the same data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import v1 as tfx
from tfx.types import artifact, standard_artifacts

from pcgrad_tfx import component
from pcgrad_tfx.comparison import executor


class ComparisonResults(artifact.Artifact):
    """A folder with `comparison.json`; see `pcgrad_tfx.comparison.results`."""

    # A module and a class in it, by which a step on Kubeflow imports it.
    TYPE_NAME = "pcgrad_tfx.ComparisonResults"


class Comparison(
    component.Component,
    executor=executor.Executor,
    parameters={"custom_config": str},
    inputs={
        "examples": standard_artifacts.Examples,
        "transformed_examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
    },
    outputs={"comparison": ComparisonResults},
):
    """Trains the same model in several ways, with several seeds, and scores it on the test split.

    Equal weights, PCGrad and other methods, static loss weights, and each task alone: for each
    of them settings are searched on the eval split, with the same budget, and the best are trained
    with every seed. With one seed all begin with the same weights and see the same batches.

    Component `outputs` contains:

    - `comparison`: Channel of type `ComparisonResults`.
    """

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
            examples=examples,
            transformed_examples=transformed_examples,
            transform_graph=transform_graph,
            custom_config=json.dumps(dict(custom_config), sort_keys=True),
        )
