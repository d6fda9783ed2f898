"""Executor of ConflictReport."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from absl import logging
from tfx.utils import io_utils

from pcgrad_tfx import component
from pcgrad_tfx.comparison.results import read_comparison
from pcgrad_tfx.component import Artifacts
from pcgrad_tfx.conflict_report.artifact import PAGE_FILE
from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report, write_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry


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
