"""CsvExampleGen that refuses bad files, in one line, before anything is generated."""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from tfx import v1 as tfx
from tfx.components.example_gen.csv_example_gen import executor
from tfx.dsl.components.base import executor_spec
from tfx.types.standard_component_specs import INPUT_CONFIG_KEY, OUTPUT_CONFIG_KEY
from tfx.utils import proto_utils

from pcgrad_tfx.data.csv_checks import check_csv
from pcgrad_tfx.example_gen.checked_example_gen import CheckedExampleGen, CheckedExecutor
from pcgrad_tfx.example_gen.csv_decoding import ReadCsv
from pcgrad_tfx.example_gen.shuffling import write_streamed
from pcgrad_tfx.example_gen.splitting import at_time


class Executor(CheckedExecutor, executor.Executor):
    """Runs `check_csv` on every input split, then generates the examples as TFX does."""

    check = staticmethod(check_csv)

    def GetInputSourceToExamplePTransform(  # noqa: N802, TFX's own name
        self,
    ) -> Callable[..., beam.PTransform]:
        """What reads an input split, as TFX asks for it."""
        return functools.partial(ReadCsv, missing=self.missing, dialect=self.dialect)

    def GenerateExamplesByBeam(  # noqa: N802, TFX's own name
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Writes the rows of each split: without Beam where all is done in this process.

        Beam's in-process engine holds all rows in memory.
        """
        output = proto_utils.json_to_proto(
            exec_properties[OUTPUT_CONFIG_KEY], tfx.proto.Output()
        ).split_config
        is_elsewhere = self._beam_pipeline_args or self._make_beam_pipeline_fn
        # Strata are split when all rows are known.
        if is_elsewhere or self.splitting.stratify:
            return super().GenerateExamplesByBeam(pipeline, exec_properties)
        write_streamed(self._rows(exec_properties, output), self._examples)
        return {}

    def _rows(
        self, exec_properties: dict[str, Any], output: tfx.proto.SplitConfig
    ) -> Iterator[tuple[str, bytes]]:
        """The rows, each with the name of its split, which TFX would give it, too."""
        names = [split.name for split in output.splits]
        ends = list(itertools.accumulate(split.hash_buckets for split in output.splits))
        group = output.partition_feature_name
        config = exec_properties[INPUT_CONFIG_KEY]
        for split in proto_utils.json_to_proto(config, tfx.proto.Input()).splits:
            read = ReadCsv(exec_properties, split.pattern, self.missing, self.dialect)
            for example in read.stream():
                row = example.SerializeToString(deterministic=True)
                if self.bounds is not None:
                    place = at_time(example, self.bounds)
                    # What lies in a gap is in no split.
                    if place < len(names):
                        yield names[place], row
                elif names:
                    key = row
                    if group:
                        key = example.features.feature[group].SerializeToString(deterministic=True)
                    bucket = int(hashlib.sha256(key).hexdigest(), 16) % ends[-1]
                    yield names[bisect.bisect(ends, bucket)], row
                else:
                    yield split.name, row


class CsvExampleGen(CheckedExampleGen):
    """TFX's CsvExampleGen behind `pcgrad_tfx.data.csv_checks.check_csv`.

    It also reads other dialects, compressed files, Parquet, JSON lines, Arrow and the rows of a
    query, and takes further texts for a missing value.
    Arguments and outputs are those of `CheckedExampleGen`.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
