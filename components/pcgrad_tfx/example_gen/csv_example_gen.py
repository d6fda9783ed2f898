"""CsvExampleGen that refuses bad files, in one line, before anything is generated."""

from __future__ import annotations

import functools
from collections.abc import Callable

import apache_beam as beam
from tfx.components.example_gen.csv_example_gen import executor
from tfx.dsl.components.base import executor_spec

from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.example_gen.checked_example_gen import CheckedExampleGen, CheckedExecutor
from pcgrad_tfx.example_gen.csv_decoding import ReadCsv


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_csv` on every input split, then generates the examples as TFX does."""

    check = staticmethod(check_csv)

    def GetInputSourceToExamplePTransform(  # noqa: N802, TFX's own name
        self,
    ) -> Callable[..., beam.PTransform]:
        """What reads an input split, as TFX asks for it."""
        return functools.partial(ReadCsv, missing=self.missing, dialect=self.dialect)


class CsvExampleGen(CheckedExampleGen):
    """TFX's CsvExampleGen behind `pcgrad_tfx.data.csv_checks.check_csv`.

    It also reads other dialects, compressed files, Parquet and JSON lines, and takes further texts
    for a missing value.
    Arguments and outputs are those of `CheckedExampleGen`.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
