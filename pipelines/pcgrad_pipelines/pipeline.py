"""The DAG: from CSV files to a pushed multi-task model."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Literal

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.comparison.component import Comparison
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.features import Features, required_columns
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.conflict_report import ConflictReport
from pcgrad_tfx.evaluation.baseline import SameTasksModelStrategy
from pcgrad_tfx.evaluation.eval_config import eval_config
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen
from pcgrad_tfx.example_gen.import_example_gen import ImportExampleGen
from pcgrad_tfx.pushing.pusher import Pusher
from pcgrad_tfx.training.task_definitions import definitions
from pcgrad_tfx.validation.curated_schema import CuratedSchema
from pcgrad_tfx.validation.validation_gate import ValidationGate
from pcgrad_tfx.validation.whole_examples import Evaluator, StatisticsGen, Transform

PREPROCESSING_FN = "pcgrad_tfx.preprocessing.preprocessing_fn"
RUN_FN = "pcgrad_tfx.trainer.run_fn"


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


def create_pipeline(
    *,
    pipeline_name: str,
    pipeline_root: str,
    data_root: str | RuntimeParameter,
    tasks: Sequence[Task],
    features: Features,
    training: Training,
    push_destination: str | RuntimeParameter,
    data_pattern: str = "*.csv",
    data_splits: Mapping[str, str] | None = None,
    data_format: Literal["csv", "tfrecord"] = "csv",
    missing_values: Sequence[str] = (),
    schema: str | None = None,
    slices: Sequence[Sequence[str]] = (),
    train_steps: int | None = None,
    eval_steps: int | None = None,
    model_fn: str | None = None,
    checkpoint_root: str | None = None,
    parameters: BaseNode | None = None,
    baseline: BaseNode | None = None,
    comparison: ComparisonSettings | None = None,
    enable_cache: bool = True,
    metadata_connection_config: tfx.types.metadata_store_pb2.ConnectionConfig | None = None,
    beam_pipeline_args: Sequence[str] = (),
) -> tfx.dsl.Pipeline:
    """Creates the pipeline.

    Runtime parameters are for Kubeflow and Vertex AI, where every run can have other values of
    them; the local runners take their defaults.

    Args:
        pipeline_name: Name under which ML Metadata knows it.
        pipeline_root: Folder of all artifacts.
        data_root: Folder of the data.
        tasks: What to learn.
        features: What to learn from.
        training: How to train.
        push_destination: Folder that the blessed model is pushed to, as a numbered version. A
            runtime parameter holds the JSON of a `PushDestination`:
            `{"filesystem": {"base_directory": "…"}}`.
        data_pattern: Which files of `data_root` to read; they are split 8:1:1 by hash.
        data_splits: In place of `data_pattern` the user's own splits: the files of "train", "eval"
            and "test".
        data_format: How they are written: CSV, or TFRecords of tf.Example.
        missing_values: Texts that stand for a missing value in CSV files, besides the empty one.
        schema: The text of a curated schema; inferred from the data without one, in which case
            only an empty split is found, no other anomaly.
        slices: Raw columns to slice the evaluation by; gates look at the overall slice.
        train_steps: Steps of training instead of `training.epochs`.
        eval_steps: Batches of each evaluation during training; all by default.
        model_fn: Import path of a function that builds the model instead of ours.
        checkpoint_root: Folder outside the artifacts, from which an interrupted training resumes.
        parameters: A node with an output `hyperparameters`, which override `training`; say
            `TrainingParameters`.
        baseline: The node that finds the last blessed model, with the outputs `model` and
            `model_blessing`; by default `latest_blessed_model(tasks, …)`.
        comparison: How to compare methods; they are not compared without it.
        enable_cache: Whether to reuse the results of unchanged components.
        metadata_connection_config: Of ML Metadata; not needed on Kubeflow.
        beam_pipeline_args: Beam's options for the data components.

    Returns:
        The pipeline: CsvExampleGen or ImportExampleGen, StatisticsGen, schema, ExampleValidator,
        ValidationGate, Transform, parameters, Trainer, Comparison, ConflictReport, baseline,
        Evaluator, Pusher.
    """
    # What a component does not use stays out of its configuration, and so of its cache key.
    plain_features = features.model_dump(mode="json", exclude={"exclude"})
    required, numeric = required_columns(features, tasks, slices)

    common = {
        "input_base": data_root,
        "required": required,
        "numeric": numeric,
        "input_config": tfx.proto.Input(
            splits=[
                tfx.proto.Input.Split(name=name, pattern=pattern)
                for name, pattern in (data_splits or {"all": data_pattern}).items()
            ]
        ),
        "output_config": None if data_splits else _eight_to_one_to_one(),
    }
    if data_format == "csv":
        example_gen = CsvExampleGen(**common, missing=missing_values)
    else:
        example_gen = ImportExampleGen(**common)
    statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"])
    if schema is not None:
        schema_gen = CuratedSchema(schema)
    else:
        # Without shapes a feature may be missing in a request, as in the training data.
        schema_gen = tfx.components.SchemaGen(
            statistics=statistics_gen.outputs["statistics"], infer_feature_shape=False
        )
    schema_channel = schema_gen.outputs["schema"]
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_channel
    )
    validation_gate = ValidationGate(
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
    )
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_channel,
        preprocessing_fn=PREPROCESSING_FN,
        # The test split is transformed inside the served model only.
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "tasks": list(definitions(tasks).values()),
            "features": plain_features,
            "code_version": code_version("pcgrad_tfx.transform.preprocessing"),
        },
    )
    transform.add_upstream_node(validation_gate)
    trainer_config = {
        **training.model_dump(mode="json", exclude_none=True),
        "tasks": [task.model_dump(mode="json", exclude={"gate"}) for task in tasks],
        "features": plain_features,
        "model_fn": model_fn,
        "checkpoint_root": checkpoint_root,
        "code_version": code_version("pcgrad_tfx.training.trainer"),
    }
    trainer = tfx.components.Trainer(
        run_fn=RUN_FN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_channel,
        hyperparameters=parameters.outputs["hyperparameters"] if parameters else None,
        train_args=tfx.proto.TrainArgs(splits=["train"], num_steps=train_steps),
        eval_args=tfx.proto.EvalArgs(splits=["eval"], num_steps=eval_steps),
        custom_config=trainer_config,
    )
    compare = None
    if comparison is not None:
        compare = Comparison(
            examples=example_gen.outputs["examples"],
            transformed_examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            custom_config={
                # It has methods and seeds of its own.
                **{k: v for k, v in trainer_config.items() if k not in ("surgery", "seed")},
                "code_version": code_version("pcgrad_tfx.comparison.executor"),
                "comparison": comparison.model_dump(mode="json", exclude_none=True),
            },
        )
    report = ConflictReport(
        model_run=trainer.outputs["model_run"],
        comparison=compare.outputs["comparison"] if compare else None,
        name=pipeline_name,
        data=_source(data_root, data_pattern, data_splits),
    )
    baseline = baseline or latest_blessed_model(tasks, trainer.outputs["model"])
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        example_splits=["test"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config(tasks, slices=slices),
        schema=schema_channel,
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=_folder(push_destination),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            validation_gate,
            transform,
            *([parameters] if parameters else []),
            trainer,
            *([compare] if compare else []),
            report,
            baseline,
            evaluator,
            pusher,
        ],
        enable_cache=enable_cache,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=list(beam_pipeline_args),
    )


def _eight_to_one_to_one() -> tfx.proto.Output:
    shares = {"train": 8, "eval": 1, "test": 1}
    return tfx.proto.Output(
        split_config=tfx.proto.SplitConfig(
            splits=[
                tfx.proto.SplitConfig.Split(name=name, hash_buckets=share)
                for name, share in shares.items()
            ]
        )
    )


def _source(
    root: str | RuntimeParameter, pattern: str, splits: Mapping[str, str] | None
) -> dict[str, str]:
    """Where the data lie, for the report; nothing where only a run knows it."""
    if not isinstance(root, str):
        return {}
    return {"Source": root if splits else posixpath.join(root, pattern)}


def _folder(destination: str | RuntimeParameter) -> tfx.proto.PushDestination | RuntimeParameter:
    if isinstance(destination, RuntimeParameter):
        return destination
    return tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=destination)
    )
