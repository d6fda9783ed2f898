"""The DAG: from the data's files to a pushed multi-task model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_pipelines import stages
from pcgrad_pipelines.config import PipelineConfig
from pcgrad_tfx.data.files import DataFiles


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where a configuration is run, and how.

    Runtime parameters are for Kubeflow and Vertex AI, where every run can have other values of
    them; the local runners take their defaults.

    Attributes:
        pipeline_root: Folder of all artifacts.
        push_destination: Folder that the blessed model is pushed to, as a numbered version. A
            runtime parameter holds the JSON of a `PushDestination`:
            `{"filesystem": {"base_directory": "…"}}`.
        data_root: The folder of the data, where it is a runtime parameter.
        checkpoint_root: Folder outside the artifacts, from which an interrupted training resumes.
        parameters: A node with an output `hyperparameters`, which override the configuration's
            training; say `TrainingParameters`.
        baseline: The node that finds the last blessed model, with the outputs `model` and
            `model_blessing`; by default `stages.latest_blessed_model`.
        enable_cache: Whether to reuse the results of unchanged components.
        metadata_connection_config: Of ML Metadata; not needed on Kubeflow.
        beam_pipeline_args: Beam's options for the data components.
    """

    pipeline_root: str
    push_destination: str | RuntimeParameter
    data_root: RuntimeParameter | None = None
    checkpoint_root: str | None = None
    parameters: BaseNode | None = None
    baseline: BaseNode | None = None
    enable_cache: bool = True
    metadata_connection_config: tfx.types.metadata_store_pb2.ConnectionConfig | None = None
    beam_pipeline_args: Sequence[str] = ()


def create_pipeline(
    config: PipelineConfig, files: DataFiles, settings: RunSettings
) -> tfx.dsl.Pipeline:
    """Creates the pipeline, stage by stage.

    Args:
        config: What to learn from which data; complete.
        files: The data's files, as `find_data` finds them.
        settings: Where to run it, and how.

    Returns:
        The pipeline: CsvExampleGen or ImportExampleGen, StatisticsGen, schema, ExampleValidator,
        ValidationGate, Transform, parameters, Trainer, Reference, Comparison, ConflictReport,
        baseline, Evaluator, Pusher.
    """
    ingestion = stages.ingest(config, files, settings.data_root)
    examples = ingestion.example_gen.outputs["examples"]
    validation = stages.validate(config, ingestion.statistics_gen.outputs["statistics"])
    schema = validation.schema_gen.outputs["schema"]
    transform = stages.transform(config, examples, schema)
    transform.add_upstream_node(validation.validation_gate)
    training = stages.train(
        config,
        examples=examples,
        transform=transform,
        schema=schema,
        parameters=settings.parameters,
        checkpoint_root=settings.checkpoint_root,
    )
    model = training.trainer.outputs["model"]
    report = stages.report(config, training, None if settings.data_root else files)
    deployment = stages.deploy(
        config,
        examples=examples,
        model=model,
        schema=schema,
        baseline=settings.baseline or stages.latest_blessed_model(config.tasks, model),
        push_destination=settings.push_destination,
    )
    nodes = [
        *ingestion,
        *validation,
        transform,
        settings.parameters,
        *training,
        report,
        *deployment,
    ]
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=settings.pipeline_root,
        components=[node for node in nodes if node is not None],
        enable_cache=settings.enable_cache,
        metadata_connection_config=settings.metadata_connection_config,
        beam_pipeline_args=list(settings.beam_pipeline_args),
    )
