"""Executor of CsvExampleGen: the checks, then the work of TFX's own executor."""

from __future__ import annotations

import functools
from collections.abc import Callable

import apache_beam as beam
from tfx.components.example_gen.csv_example_gen import executor

from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.example_gen.checked_executor import CheckedExecutor
from pcgrad_tfx.example_gen.csv_example_gen.reading import ReadCsv


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_csv` on every input split, then generates the examples as TFX does."""

    check = staticmethod(check_csv)

    def GetInputSourceToExamplePTransform(  # noqa: N802, TFX's own name
        self,
    ) -> Callable[..., beam.PTransform]:
        """What reads an input split, as TFX asks for it."""
        return functools.partial(ReadCsv, missing=self.missing)
