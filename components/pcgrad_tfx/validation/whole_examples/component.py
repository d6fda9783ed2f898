"""StatisticsGen, Transform and Evaluator that refuse truncated files of examples.

Each takes the place of TFX's component of this name: same arguments, same outputs.
"""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from pcgrad_tfx.validation.whole_examples import executor


class StatisticsGen(tfx.components.StatisticsGen):
    """TFX's StatisticsGen behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.StatisticsGenExecutor)


class Transform(tfx.components.Transform):
    """TFX's Transform behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.TransformExecutor)


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator behind `pcgrad_tfx.data.example_files.check_whole`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.EvaluatorExecutor)
