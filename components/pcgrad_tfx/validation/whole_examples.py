"""StatisticsGen, Transform and Evaluator that refuse truncated files of examples.

They read by Beam, which takes a truncated file for a shorter one. Each takes the place of TFX's
component of this name: same arguments, same outputs.
"""

from __future__ import annotations

from typing import Any

from tfx import v1 as tfx
from tfx.components.evaluator import executor as evaluator
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.components.transform import executor as transform
from tfx.dsl.components.base import base_executor, executor_spec
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import EXAMPLE_SPLITS_KEY, EXAMPLES_KEY
from tfx.utils import io_utils, json_utils

from pcgrad_tfx.data.example_files import check_whole


class _WholeExamples(base_executor.BaseExecutor):
    """To be put before one of TFX's executors."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the files of `examples`, of all splits that are read.

        Raises:
            ValueError: A file is cut off or damaged.
        """
        only = json_utils.loads(exec_properties.get(EXAMPLE_SPLITS_KEY) or "null")
        for artifact in input_dict[EXAMPLES_KEY]:
            for split in only or artifact_utils.decode_split_names(artifact.split_names):
                folder = artifact_utils.get_split_uri([artifact], split)
                files = tfx.dsl.io.fileio.glob(io_utils.all_files_pattern(folder))
                check_whole(sorted(file for file in files if file.endswith(".gz")))
        super().Do(input_dict, output_dict, exec_properties)


class StatisticsGenExecutor(_WholeExamples, statistics_gen.Executor):
    """That of StatisticsGen."""


class TransformExecutor(_WholeExamples, transform.Executor):
    """That of Transform."""


class EvaluatorExecutor(_WholeExamples, evaluator.Executor):
    """That of Evaluator."""


class StatisticsGen(tfx.components.StatisticsGen):
    """TFX's StatisticsGen behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(StatisticsGenExecutor)


class Transform(tfx.components.Transform):
    """TFX's Transform behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(TransformExecutor)


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)
