"""The stages of the DAG, for `create_pipeline` and for pipelines of one's own.

Each takes the configuration and the channels that it reads, and returns its nodes:

    config = load_config("taxi.toml")
    ingestion = ingest(config, find_data(config.data.location, config.data.dialect))
    validation = validate(config, ingestion.statistics_gen.outputs["statistics"])
    pipeline = tfx.dsl.Pipeline("mine", root, components=[*ingestion, *validation, …])
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from typing import Any, NamedTuple

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_pipelines.config import PipelineConfig
from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.comparison.component import Comparison
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.features import required_columns, transformed_name
from pcgrad_tfx.config.splitting import BY_HASH
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.conflict_report import ConflictReport
from pcgrad_tfx.data.files import DataFiles
from pcgrad_tfx.evaluation.baseline import SameTasksModelStrategy
from pcgrad_tfx.evaluation.eval_config import eval_config
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen
from pcgrad_tfx.example_gen.import_example_gen import ImportExampleGen
from pcgrad_tfx.pushing.pusher import Pusher
from pcgrad_tfx.reference.component import Reference
from pcgrad_tfx.reference.settings import ReferenceSettings
from pcgrad_tfx.training.task_definitions import definitions
from pcgrad_tfx.validation.curated_schema import CuratedSchema
from pcgrad_tfx.validation.validation_gate import ValidationGate
from pcgrad_tfx.validation.whole_examples import Evaluator, StatisticsGen, Transform

PREPROCESSING_FN = "pcgrad_tfx.preprocessing.preprocessing_fn"
RUN_FN = "pcgrad_tfx.trainer.run_fn"


class IngestionNodes(NamedTuple):
    """Nodes that read the data."""

    example_gen: BaseNode
    statistics_gen: BaseNode


class ValidationNodes(NamedTuple):
    """Nodes that stop the pipeline where the data are not as the schema says."""

    schema_gen: BaseNode
    example_validator: BaseNode
    validation_gate: BaseNode


class TrainingNodes(NamedTuple):
    """Nodes that train; `reference` and `comparison` are None where they are not configured."""

    trainer: BaseNode
    reference: BaseNode | None
    comparison: BaseNode | None


class DeploymentNodes(NamedTuple):
    """Nodes that judge the model, and push it if it passes."""

    baseline: BaseNode
    evaluator: BaseNode
    pusher: BaseNode


def ingest(
    config: PipelineConfig, files: DataFiles, data_root: RuntimeParameter | None = None
) -> IngestionNodes:
    """Examples, in the splits train, eval and test, and their statistics.

    Args:
        config: The configuration.
        files: The data's files; they are split as the configuration says unless they have splits.
        data_root: Their folder, where it is a runtime parameter.
    """
    required, numeric = required_columns(config.features, config.tasks, config.evaluation.slices)
    arguments: dict[str, Any] = {
        "input_base": data_root or files.base,
        "required": required,
        "numeric": numeric,
        "input_config": tfx.proto.Input(
            splits=[
                tfx.proto.Input.Split(name=name, pattern=pattern)
                for name, pattern in files.patterns.items()
            ]
        ),
        "splitting": None if files.splits else config.data.splitting,
    }
    if files.format == "tfrecord":
        example_gen = ImportExampleGen(**arguments)
    else:
        example_gen = CsvExampleGen(
            **arguments, missing=config.data.missing, dialect=config.data.dialect
        )
    return IngestionNodes(example_gen, StatisticsGen(examples=example_gen.outputs["examples"]))


def validate(config: PipelineConfig, statistics: tfx.dsl.Channel) -> ValidationNodes:
    """The schema, the anomalies, and the gate that later stages wait for.

    Args:
        config: The configuration. Its schema is taken, or one is inferred: then only an empty
            split is found, no other anomaly.
        statistics: Of the examples.
    """
    if config.schema_text is not None:
        schema_gen = CuratedSchema(config.schema_text)
    else:
        # Without shapes a feature may be missing in a request, as in the training data.
        schema_gen = tfx.components.SchemaGen(statistics=statistics, infer_feature_shape=False)
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics, schema=schema_gen.outputs["schema"]
    )
    validation_gate = ValidationGate(
        statistics=statistics, anomalies=example_validator.outputs["anomalies"]
    )
    return ValidationNodes(schema_gen, example_validator, validation_gate)


def transform(
    config: PipelineConfig, examples: tfx.dsl.Channel, schema: tfx.dsl.Channel
) -> BaseNode:
    """Transform with our `preprocessing_fn`; it learns from the split train.

    Args:
        config: The configuration.
        examples: With the splits train and eval.
        schema: Of the raw columns.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=PREPROCESSING_FN,
        # The test split is transformed inside the served model only.
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "tasks": list(definitions(config.tasks).values()),
            "features": _features(config),
            "code_version": code_version("pcgrad_tfx.transform.preprocessing"),
        },
    )


def train(
    config: PipelineConfig,
    *,
    examples: tfx.dsl.Channel,
    transform: BaseNode,
    schema: tfx.dsl.Channel,
    parameters: BaseNode | None = None,
    checkpoint_root: str | None = None,
) -> TrainingNodes:
    """The Trainer with our `run_fn`, boosted trees as a reference, and the comparison of methods.

    Args:
        config: The configuration.
        examples: What Transform was given; trees and comparison are scored on their split test.
        transform: The Transform component.
        schema: Of the raw columns.
        parameters: A node with an output `hyperparameters`, which override the configuration's.
        checkpoint_root: Folder from which an interrupted training resumes.
    """
    custom_config = {
        **config.training.model_dump(mode="json", exclude_none=True),
        "tasks": [task.model_dump(mode="json", exclude={"gate"}) for task in config.tasks],
        "features": _features(config),
        "checkpoint_root": checkpoint_root,
        "code_version": code_version("pcgrad_tfx.training.trainer"),
    }
    trainer = tfx.components.Trainer(
        run_fn=RUN_FN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        hyperparameters=parameters.outputs["hyperparameters"] if parameters else None,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config=custom_config,
    )
    transformed = {
        "examples": examples,
        "transformed_examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
    }
    reference = comparison = None
    if config.reference.enabled:
        categorical = [transformed_name(column) for column in config.features.categorical]
        reference = Reference(**transformed, tasks=config.tasks, categorical=categorical)
    if config.comparison is not None:
        comparison = Comparison(
            **transformed,
            custom_config={
                # It has methods and seeds of its own.
                **{k: v for k, v in custom_config.items() if k not in ("surgery", "seed")},
                "code_version": code_version("pcgrad_tfx.comparison.executor"),
                "comparison": _comparison(config.comparison, config.reference),
            },
        )
    return TrainingNodes(trainer, reference, comparison)


def _comparison(comparison: ComparisonSettings, reference: ReferenceSettings) -> dict[str, Any]:
    settings = comparison.model_dump(mode="json", exclude_none=True)
    return settings | {"reference": comparison.reference and reference.enabled}


def report(config: PipelineConfig, training: TrainingNodes, files: DataFiles | None) -> BaseNode:
    """The page on the tasks' conflicts.

    Args:
        config: The configuration.
        training: What it reports on.
        files: The data's files, which it names; None where only a run knows them.
    """
    data = {}
    if files is not None:
        data["Source"] = files.base
        if not files.splits:
            data["Source"] = posixpath.join(files.base, files.patterns["all"])
            if config.data.splitting != BY_HASH:
                data["Splits"] = str(config.data.splitting)
    comparison = training.comparison
    return ConflictReport(
        model_run=training.trainer.outputs["model_run"],
        comparison=comparison.outputs["comparison"] if comparison else None,
        name=config.name,
        data=data,
    )


def latest_blessed_model(tasks: Sequence[Task], trained: tfx.dsl.Channel) -> tfx.dsl.Resolver:
    """The node that finds the baseline: the last blessed model of these tasks in ML Metadata.

    Args:
        tasks: What it must have learned.
        trained: The model that it is the baseline of, which is not compared with itself.
    """
    return tfx.dsl.Resolver(
        strategy_class=SameTasksModelStrategy,
        config={"tasks": json.dumps(definitions(tasks))},
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        trained=trained,
    ).with_id("LatestBlessedModel")


def deploy(
    config: PipelineConfig,
    *,
    examples: tfx.dsl.Channel,
    model: tfx.dsl.Channel,
    schema: tfx.dsl.Channel,
    baseline: BaseNode,
    push_destination: str | RuntimeParameter,
) -> DeploymentNodes:
    """The Evaluator, on the split test, and the Pusher.

    Args:
        config: The configuration. Its slices are evaluated, too; gates look at all rows.
        examples: The raw examples.
        model: The trained model.
        schema: Of the raw columns.
        baseline: The node with the last blessed model, output `model`.
        push_destination: Folder of the pushed versions, or the JSON of a `PushDestination` as a
            runtime parameter.
    """
    evaluator = Evaluator(
        examples=examples,
        example_splits=["test"],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config(config.tasks, slices=config.evaluation.slices),
        schema=schema,
    )
    if isinstance(push_destination, str):
        push_destination = tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=push_destination)
        )
    pusher = Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        push_destination=push_destination,
    )
    return DeploymentNodes(baseline, evaluator, pusher)


def _features(config: PipelineConfig) -> dict[str, Any]:
    # What a component does not use stays out of its configuration, and so of its cache key.
    return config.features.model_dump(mode="json", exclude={"exclude"})
