"""Component that makes a page about the conflicts of a training."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from typing import ClassVar

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec

from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.conflict_report import executor
from pcgrad_tfx.conflict_report.artifact import ConflictReportPage


class ConflictReportSpec(component_spec.ComponentSpec):
    """A training, a comparison if there is one, and the page made of them."""

    PARAMETERS: ClassVar[dict[str, component_spec.ExecutionParameter]] = {
        executor.NAME_KEY: component_spec.ExecutionParameter(type=str),
        executor.DATA_KEY: component_spec.ExecutionParameter(type=str),
        executor.CODE_VERSION_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.MODEL_RUN_KEY: component_spec.ChannelParameter(
            type=tfx.types.standard_artifacts.ModelRun
        ),
        executor.COMPARISON_KEY: component_spec.ChannelParameter(
            type=ComparisonResults, optional=True
        ),
    }
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {
        executor.REPORT_KEY: component_spec.ChannelParameter(type=ConflictReportPage)
    }


class ConflictReport(base_component.BaseComponent):
    """Tells whether the tasks conflict and, after a comparison, whether surgery helps.

    The Trainer must have used `pcgrad.keras.ConflictMonitor` with `fn_args.model_run_dir`, as
    `pcgrad_tfx.trainer.run_fn` does. Settings, versions and learning curves are shown if it used
    `pcgrad_tfx.training.record.TrainingRecord`, too.

    Component `outputs` contains:

    - `report`: Channel of type `ConflictReportPage`: `report.html` and `report.json`.
    """

    SPEC_CLASS = ConflictReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model_run: tfx.types.BaseChannel,
        name: str,
        data: Mapping[str, str] | None = None,
        comparison: tfx.types.BaseChannel | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            model_run: Channel of type `standard_artifacts.ModelRun`, of a Trainer.
            name: What the page is about, shown below its title: the pipeline's name, say.
            data: What is known about the data: texts by what they are about, say
                `{"Source": "trips.csv"}`.
            comparison: Channel of type `ComparisonResults`, of a Comparison on the same data.
        """
        super().__init__(
            spec=ConflictReportSpec(
                model_run=model_run,
                comparison=comparison,
                name=name,
                data=json.dumps(dict(data or {})),
                code_version=_code_version(),
                report=tfx.dsl.Channel(type=ConflictReportPage),
            )
        )


def _code_version() -> str:
    """Fingerprint of what makes the page, so that TFX's cache does not keep an older one."""
    digest = hashlib.sha256(code_version(executor.__name__).encode())
    templates = importlib.resources.files(__package__).joinpath("templates").iterdir()
    for file in sorted(templates, key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
