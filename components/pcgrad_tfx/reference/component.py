"""Component that trains boosted trees on the rows that the network learns from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx.types import artifact, standard_artifacts

from pcgrad_tfx import component
from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.config.tasks import Task, parse_tasks
from pcgrad_tfx.data.example_files import check_whole, count_rows, example_files
from pcgrad_tfx.evaluation.scores import primary_metric
from pcgrad_tfx.evaluation.splits import TEST, TRAIN, read_test_split, split_files
from pcgrad_tfx.reference.models import grow
from pcgrad_tfx.reference.results import ReferenceOutcome, TaskScore, write_reference
from pcgrad_tfx.reference.rows import (
    READ_ROWS,
    Rows,
    Values,
    affordable,
    check_features,
    collect,
    every,
)
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.training.task_definitions import definitions


class ReferenceScores(artifact.Artifact):
    """A folder with `reference.json`; see `pcgrad_tfx.reference.results`."""

    # Also the name of this class in the package; see `pcgrad_tfx.__init__`.
    TYPE_NAME = "pcgrad_tfx.ReferenceScores"


class Executor(component.Executor):
    """Trains the trees of each task, and scores them."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Learns from the split train alone, and scores on the split test of `examples`.

        Raises:
            ValueError: A task or a feature does not fit, or a split is empty.
        """
        tasks = parse_tasks(json.loads(properties["tasks"]))
        categorical = json.loads(properties["categorical"])
        tft_output = tft.TFTransformOutput(inputs["transform_graph"].uri)
        data = InputData(tft_output, tasks, READ_ROWS)
        check_features(data)
        train_files = example_files(split_files(inputs["transformed_examples"], TRAIN))
        check_whole([*train_files, *example_files(split_files(inputs["examples"], TEST))])
        all_rows, columns = count_rows(train_files), len(data.feature_spec)
        batches = data.batches(train_files, every=every(all_rows, columns))
        train, is_category = collect(batches, categorical, TRAIN)
        batches = read_test_split(inputs["examples"], tft_output, data)
        test, _ = collect(batches, categorical, TEST)
        chosen = affordable(tasks, len(train.features), columns)
        outcome = ReferenceOutcome(
            tasks=tuple(_score(task, train, test, is_category) for task in chosen),
            rows=len(train.features),
            all_rows=all_rows,
            left_out=tuple(task.name for task in tasks if task not in chosen),
        )
        write_reference(outcome, outputs["reference"].uri)


class Reference(
    component.Component,
    executor=Executor,
    parameters={"tasks": str, "categorical": str, "code_version": str},
    inputs={
        "examples": standard_artifacts.Examples,
        "transformed_examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
    },
    outputs={"reference": ReferenceScores},
):
    """Trains scikit-learn's HistGradientBoosting for each task, with its defaults.

    The trees learn from the split train, as the network does: the same transformed features,
    labels, masks and weights; of a task with a `log_scale`, on that scale. They need neither
    Trainer nor model, and so may be trained at the same time.

    Component `outputs` contains:

    - `reference`: Channel of type `ReferenceScores`.
    """

    def __init__(
        self,
        examples: tfx.types.BaseChannel,
        transformed_examples: tfx.types.BaseChannel,
        transform_graph: tfx.types.BaseChannel,
        tasks: Sequence[Task],
        categorical: Sequence[str] = (),
    ) -> None:
        """Constructs the component.

        Args:
            examples: Channel of type `standard_artifacts.Examples`, of an ExampleGen; the split
                "test" is used, for scores only.
            transformed_examples: Channel of the same type, of Transform, with "train".
            transform_graph: Channel of type `standard_artifacts.TransformGraph`.
            tasks: The tasks.
            categorical: The transformed features that hold ids, by decreasing frequency; all others
                are numbers.
        """
        super().__init__(
            examples=examples,
            transformed_examples=transformed_examples,
            transform_graph=transform_graph,
            # How a network learns a task makes no other trees.
            tasks=json.dumps(list(definitions(tasks).values())),
            categorical=json.dumps(list(categorical)),
            code_version=code_version(__name__),
        )


def _score(task: Task, train: Rows, test: Rows, is_category: Values) -> TaskScore:
    labels, weights = test.labels[task.name], test.weights[task.name]
    trees = grow(task, train, is_category)
    value = None
    if trees is not None:
        value = primary_metric(task, labels, trees.predict(test.features), weights)
    return TaskScore(
        task=task.name,
        metric=task.primary_metric.name,
        value=value,
        test_rows=int(np.count_nonzero(np.isfinite(labels) & (weights > 0))),
    )
