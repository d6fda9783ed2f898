"""ImportExampleGen that refuses bad files, in one line, before anything is imported."""

from __future__ import annotations

from tfx.components.example_gen.import_example_gen import executor
from tfx.dsl.components.base import executor_spec

from pcgrad_tfx.data.tfrecord_checks import check_tfrecord
from pcgrad_tfx.example_gen.checked_example_gen import CheckedExampleGen, CheckedExecutor


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_tfrecord` on every input split, then imports the examples as TFX does."""

    check = staticmethod(check_tfrecord)


class ImportExampleGen(CheckedExampleGen):
    """TFX's ImportExampleGen for TFRecords of tf.Example, behind `check_tfrecord`.

    Arguments and outputs are those of `CheckedExampleGen`.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
