"""Component that makes a page about the conflicts of a training."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Mapping

from tfx import v1 as tfx
from tfx.types import standard_artifacts

from pcgrad_tfx import component
from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.conflict_report import executor
from pcgrad_tfx.conflict_report.artifact import ConflictReportPage


class ConflictReport(
    component.Component,
    executor=executor.Executor,
    parameters={"name": str, "data": str, "code_version": str},
    inputs={"model_run": standard_artifacts.ModelRun, "comparison": ComparisonResults},
    outputs={"report": ConflictReportPage},
    optional={"comparison"},
):
    """Tells whether the tasks conflict and, after a comparison, whether surgery helps.

    The Trainer must have used `pcgrad.keras.ConflictMonitor` with `fn_args.model_run_dir`, as
    `pcgrad_tfx.trainer.run_fn` does. Settings, versions and learning curves are shown if it used
    `pcgrad_tfx.training.record.TrainingRecord`, too.

    Component `outputs` contains:

    - `report`: Channel of type `ConflictReportPage`: `report.html` and `report.json`.
    """

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
            model_run=model_run,
            comparison=comparison,
            name=name,
            data=json.dumps(dict(data or {})),
            code_version=_code_version(),
        )


def _code_version() -> str:
    """Fingerprint of what makes the page, so that TFX's cache does not keep an older one."""
    digest = hashlib.sha256(code_version(executor.__name__).encode())
    templates = importlib.resources.files(__package__).joinpath("templates").iterdir()
    for file in sorted(templates, key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
