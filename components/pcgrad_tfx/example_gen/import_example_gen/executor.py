"""Executor of ImportExampleGen: the checks, then TFX's own executor."""

from __future__ import annotations

from tfx.components.example_gen.import_example_gen import executor

from pcgrad_tfx.data.tfrecord_checks import check_tfrecord
from pcgrad_tfx.example_gen.checked_executor import CheckedExecutor


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_tfrecord` on every input split, then imports the examples as TFX does."""

    check = staticmethod(check_tfrecord)
