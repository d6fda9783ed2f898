"""Executor of ConflictReport."""

from __future__ import annotations

import json
import os
from typing import Any

from absl import logging
from tfx import v1 as tfx
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from pcgrad_tfx.comparison.results import read_comparison
from pcgrad_tfx.conflict_report.artifact import PAGE_FILE
from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report, write_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry

MODEL_RUN_KEY = "model_run"
COMPARISON_KEY = "comparison"
NAME_KEY = "name"
DATA_KEY = "data"
CODE_VERSION_KEY = "code_version"
REPORT_KEY = "report"


class Executor(base_executor.BaseExecutor):
    """Writes `report.html` and `report.json`."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the training's logs, and the comparison if there is one.

        Args:
            input_dict: `model_run`, one artifact; `comparison`, one or none.
            output_dict: `report`, one artifact.
            exec_properties: `name`, and `data` as JSON; `code_version` is not read.

        Raises:
            ValueError: The training has left no telemetry.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        comparison = None
        if input_dict.get(COMPARISON_KEY):
            comparison = read_comparison(artifact_utils.get_single_uri(input_dict[COMPARISON_KEY]))
        report = make_report(
            exec_properties[NAME_KEY],
            json.loads(exec_properties[DATA_KEY]),
            read_telemetry(artifact_utils.get_single_uri(input_dict[MODEL_RUN_KEY])),
            comparison,
        )
        folder = artifact_utils.get_single_uri(output_dict[REPORT_KEY])
        write_report(report, folder)
        io_utils.write_string_file(os.path.join(folder, PAGE_FILE), render(report))
        for sentence in report.verdict:
            logging.info(sentence)
