"""Executor of ImportExampleGen: the checks, then TFX's own executor."""

from __future__ import annotations

from tfx.components.example_gen.import_example_gen import executor

from pcgrad_tfx.checked_executor import CheckedExecutor
from pcgrad_tfx.tfrecord_checks import check_tfrecord


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_tfrecord` on every input split, then imports the examples as TFX does."""

    check = staticmethod(check_tfrecord)
