"""Compiles the pipeline for open-source Kubeflow Pipelines or Vertex AI."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import yaml
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_pipelines.config import ConfigError
from pcgrad_pipelines.data_settings import Data
from pcgrad_pipelines.kubeflow import spec as kubeflow_spec
from pcgrad_pipelines.kubeflow.options import Settings
from pcgrad_pipelines.kubeflow.pods import platform_spec
from pcgrad_pipelines.kubeflow.settings import KFP
from pcgrad_pipelines.kubeflow.submit import push_destination
from pcgrad_pipelines.pipeline import RunSettings, create_pipeline
from pcgrad_tfx.data.csv_checks import csv_location
from pcgrad_tfx.data.files import DataFiles, find_data
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.kubeflow.last_pushed import LastPushedModel
from pcgrad_tfx.kubeflow.training_parameters import TrainingParameters

# In place of TFX's own entry point, which expects what Vertex AI hands to a step.
_ENTRY_POINT = [
    *("python", "-m", "pcgrad_tfx.kubeflow.entrypoint"),
    f"--tfx_version={tfx.__version__}",
]


def compile_pipeline(settings: Settings, path: Path) -> dict[str, Any]:
    """Compiles the pipeline into a file.

    Args:
        settings: What to compile.
        path: The file: for open-source Kubeflow Pipelines YAML, for Vertex AI JSON.

    Returns:
        The runtime parameters and their defaults.

    Raises:
        ConfigError: If the settings name a component that there is not, or the configuration data
            with splits of their own, or more columns than Kubeflow can hand over.
    """
    _refuse_own_splits(settings.config.data)
    parameters = _runtime_parameters(settings)
    commands = None  # TFX's own.
    if settings.target == KFP:
        commands = _ENTRY_POINT + ["--keep_gcs"] * settings.is_distributed
    config = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
        default_image=settings.image, default_commands=commands, use_pipeline_spec_2_1=True
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(config)
    job = runner.run(_create_pipeline(settings, parameters), write_out=False)

    spec = job["pipelineSpec"]
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    kubeflow_spec.set_defaults(spec, defaults)
    kubeflow_spec.check_components(spec, settings.kubeflow)
    kubeflow_spec.set_resources(spec, settings.kubeflow, settings.target)
    kubeflow_spec.set_environment(spec, settings.kubeflow)
    kubeflow_spec.set_retries(spec, settings.kubeflow, settings.target)
    if settings.target == KFP:
        # Of changes in the files they look at the server's cache sees nothing.
        examples = [] if settings.kubeflow.cache_examples else ["CsvExampleGen"]
        uncached = ["LastPushedModel", *examples]
        kubeflow_spec.adapt_to_kfp(spec, settings.pipeline_root, uncached)
        kubeflow_spec.check_size(spec)
        platform = platform_spec(kubeflow_spec.containers(spec), settings.kubeflow)
        documents = [spec] if platform is None else [spec, platform]
        text = yaml.safe_dump_all(documents, allow_unicode=True)
    else:
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return defaults


def _runtime_parameters(settings: Settings) -> dict[str, RuntimeParameter]:
    training = settings.config.training
    values = {
        "data_root": csv_location(settings.data, settings.config.data.dialect)[0],
        "push_destination": push_destination(settings.push_destination),
        "surgery": training.surgery,
        # 0: as many as the rule chooses for the data.
        "epochs": training.epochs or 0,
        "learning_rate": training.learning_rate,
        "seed": training.seed,
    }
    return {
        name: RuntimeParameter(name=name, ptype=type(value), default=value)
        for name, value in values.items()
    }


def _create_pipeline(
    settings: Settings, parameters: dict[str, RuntimeParameter]
) -> tfx.dsl.Pipeline:
    training = dict(parameters)
    data_root, destination = training.pop("data_root"), training.pop("push_destination")
    base, pattern = csv_location(settings.data, settings.config.data.dialect)
    run = RunSettings(
        pipeline_root=settings.pipeline_root,
        push_destination=destination,
        data_root=data_root,
        checkpoint_root=settings.kubeflow.checkpoint_root,
        parameters=TrainingParameters(**training),
        baseline=_baseline(settings, destination),
        enable_cache=settings.kubeflow.cache,
        beam_pipeline_args=settings.beam_args,
    )
    return create_pipeline(settings.config, DataFiles(base, {"all": pattern}, "csv"), run)


def _baseline(settings: Settings, destination: RuntimeParameter) -> BaseNode:
    if settings.target == KFP:
        return LastPushedModel(destination, settings.config.tasks)
    # Vertex AI knows no strategies but TFX's own.
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")


def _refuse_own_splits(data: Data) -> None:
    """The specification knows one pattern, whose files are split by hash."""
    own = None
    if "://" not in data.location and Path(data.location).is_dir():
        # What else may be wrong there, where pods do not look, does not matter.
        with contextlib.suppress(DataError):
            own = find_data(data.location).splits
    if own is not None:
        raise ConfigError(
            f"{data.location}: has splits of its own ({', '.join(own)}), which are for the local "
            "runner: on Kubeflow and Vertex AI the files of one folder are split 8:1:1; put them "
            "into one folder and let `path` in the TOML file be that"
        )
