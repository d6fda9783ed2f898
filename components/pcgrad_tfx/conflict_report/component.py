"""Component that makes a page about the conflicts of a training."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from absl import logging
from tfx import v1 as tfx
from tfx.types import artifact, standard_artifacts
from tfx.utils import io_utils

from pcgrad_tfx import component
from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.results import read_comparison
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report, write_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry

PAGE_FILE = "report.html"


class ConflictReportPage(artifact.Artifact):
    """A folder with `report.html`, which needs no other file, and `report.json`, its numbers.

    Attributes:
        HTML_FILE: What to show of it; see `pcgrad_tfx.kubeflow.pages`.
    """

    # Also the name of this class in the package; see `pcgrad_tfx.__init__`.
    TYPE_NAME = "pcgrad_tfx.ConflictReportPage"
    HTML_FILE: ClassVar[str] = PAGE_FILE


class Executor(component.Executor):
    """Writes `report.html` and `report.json`."""

    def run(self, inputs: Artifacts, outputs: Artifacts, properties: Mapping[str, Any]) -> None:
        """Reads the training's logs, and the comparison if there is one.

        Raises:
            ValueError: The training has left no telemetry.
        """
        report = make_report(
            properties["name"],
            json.loads(properties["data"]),
            read_telemetry(inputs["model_run"].uri),
            read_comparison(inputs["comparison"].uri) if "comparison" in inputs else None,
        )
        folder = outputs["report"].uri
        write_report(report, folder)
        io_utils.write_string_file(os.path.join(folder, PAGE_FILE), render(report))
        for sentence in report.verdict:
            logging.info(sentence)


class ConflictReport(
    component.Component,
    executor=Executor,
    parameters={"name": str, "data": str, "code_version": str},
    inputs={"model_run": standard_artifacts.ModelRun, "comparison": ComparisonResults},
    outputs={"report": ConflictReportPage},
    optional={"comparison"},
):
    """Tells what the tasks cost each other and, after a comparison, whether surgery helps.

    The Trainer must have used `pcgrad.keras.ConflictMonitor` with `fn_args.model_run_dir`, as
    `pcgrad_tfx.trainer.run_fn` does. Without probes in its lines the page shows in how many steps
    gradients opposed each other, and gives no verdict. Settings, versions and learning curves are
    shown if it used `pcgrad_tfx.training.callbacks.record.TrainingRecord`, too.

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
    digest = hashlib.sha256(code_version(__name__).encode())
    templates = importlib.resources.files(__package__).joinpath("templates").iterdir()
    for file in sorted(templates, key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
