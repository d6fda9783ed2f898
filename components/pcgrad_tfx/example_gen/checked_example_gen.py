"""Checks and an order of the rows around TFX's ExampleGens.

Each is a component and an executor: `CheckedExampleGen` packs the checks into the message that TFX
passes on, `CheckedExecutor` carries them out before and after the work of TFX's own executor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ClassVar, cast

import apache_beam as beam
import numpy as np
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx import v1 as tfx
from tfx.components.example_gen import base_example_gen_executor, component
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import (
    CUSTOM_CONFIG_KEY,
    EXAMPLES_KEY,
    INPUT_BASE_KEY,
    INPUT_CONFIG_KEY,
    OUTPUT_CONFIG_KEY,
)
from tfx.utils import io_utils, proto_utils
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.data.row_checks import MIN_ROWS, DataSummary
from pcgrad_tfx.data.split_checks import TimeBounds
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.shuffling import write_shuffled
from pcgrad_tfx.example_gen.splitting import output_config as splits_of
from pcgrad_tfx.example_gen.splitting import split_by_stratum, split_by_time


class CheckedExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Checks every input split, generates the examples as TFX does, counts them.

    To be put before one of TFX's executors.

    Attributes:
        check: `check_csv`, or a function with the same arguments.
        missing: While it runs: the texts that stand for a missing value.
        dialect: While it runs: how the files are written.
        splitting: While it runs: how the rows are split.
        bounds: While it runs: where a split by time cuts.
    """

    check: ClassVar[Callable[..., DataSummary]]
    missing: tuple[str, ...] = ()
    dialect: Dialect = PLAIN
    splitting: Splitting = BY_HASH
    bounds: TimeBounds | None = None

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the input and generates the examples.

        Raises:
            DataError: If a file must not be trained on, or the Beam runner lost rows.
        """
        checks = _unpack(_message(exec_properties, CUSTOM_CONFIG_KEY, tfx.proto.CustomConfig()))
        if not _message(exec_properties, OUTPUT_CONFIG_KEY, tfx.proto.Output()).split_config.splits:
            # The user's own splits, each checked by itself: how large they are is their decision.
            checks["min_rows"] = 1
        self.missing, self.dialect = tuple(checks["missing"]), checks["dialect"]
        self.splitting = checks["splitting"]
        base = exec_properties[INPUT_BASE_KEY]
        inputs = _message(exec_properties, INPUT_CONFIG_KEY, tfx.proto.Input()).splits
        summaries = [self.check(base, one.pattern, **checks) for one in inputs]
        splits = [summary.splits for summary in summaries if summary.splits is not None]
        # One where there is a split by time: it is of rows that are not split yet.
        self.bounds = splits[0].bounds if splits else None
        rows = sum(summary.rows for summary in summaries) - sum(one.left_out for one in splits)
        self._examples = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
        super().Do(input_dict, output_dict, exec_properties)
        found = _count(self._examples)
        if found != rows:
            raise DataError(
                f"the input has {rows:,} rows, but {found:,} examples were written: the Beam "
                "runner loses or repeats data; use another one"
            )

    def GenerateExamplesByBeam(  # noqa: N802, TFX's own name
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Writes the rows of each split, and leaves none for TFX's executor to write."""
        write_shuffled(self._split_rows(pipeline, exec_properties), self._examples)
        return {}

    def _split_rows(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        if self.bounds is None and not self.splitting.stratify:
            return cast(
                dict[str, beam.PCollection],
                super().GenerateExamplesByBeam(pipeline, exec_properties),
            )
        (one,) = _message(exec_properties, INPUT_CONFIG_KEY, tfx.proto.Input()).splits
        read = self.GetInputSourceToExamplePTransform()
        rows = pipeline | "InputToRecord" >> read(exec_properties, one.pattern)
        if self.bounds is not None:
            return split_by_time(rows, self.bounds)
        return split_by_stratum(rows, self.splitting)


class CheckedExampleGen(component.FileBasedExampleGen):
    """TFX's file-based ExampleGen behind a check of every file.

    A subclass takes the place of TFX's component of its name: same name in the pipeline, same
    driver (spans, versions and caching work as usual), same examples. The checks are part of the
    cache key, so changing them runs the component again.

    Component `outputs` contains:

    - `examples`: Channel of type `standard_artifacts.Examples` for the output splits.
    """

    def __init__(
        self,
        input_base: str | RuntimeParameter,
        *,
        required: Collection[str] = (),
        numeric: Collection[str] = (),
        missing: Collection[str] = (),
        dialect: Dialect = PLAIN,
        splitting: Splitting | None = None,
        min_rows: int = MIN_ROWS,
        input_config: tfx.proto.Input | None = None,
        output_config: tfx.proto.Output | None = None,
        range_config: tfx.proto.RangeConfig | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            input_base: Folder of the files, or a runtime parameter that holds it.
            required: Columns that must exist and have a value in some row.
            numeric: Columns that must exist and hold nothing but numbers and missing values.
            missing: Texts that stand for a missing value, besides the empty one; TFRecords, from
                which a missing value is left out, are refused with any.
            dialect: How CSV files are written.
            splitting: How the rows are split, in the place of an `output_config`.
            min_rows: Smallest number of rows for the hash split of `output_config`; of splits
                given by `input_config`, each needs only one.
            input_config: Which files to read; by default all in the folder, as one split.
            output_config: How to split by hash; by default train and eval, 2:1.
            range_config: Which spans to read; by default the latest.
        """
        if splitting is not None:
            output_config = splits_of(splitting)
        checks = struct_pb2.Struct()
        # Sorted, because the order does not matter and must not miss the cache.
        columns = {"required": sorted(required), "numeric": sorted(numeric)}
        checks.update({**columns, "missing": sorted(missing), "min_rows": min_rows})
        checks.update({"dialect": dialect.model_dump(mode="json", exclude_defaults=True)})
        by = (splitting or BY_HASH).model_dump(mode="json", exclude_defaults=True)
        checks.update({"splitting": by})
        custom_config = tfx.proto.CustomConfig()
        custom_config.custom_config.Pack(checks)
        super().__init__(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config,
            custom_config=custom_config,
            range_config=range_config,
        )


def _message(exec_properties: dict[str, Any], key: str, empty: Any) -> Any:
    return proto_utils.json_to_proto(exec_properties[key], empty)


def _unpack(config: tfx.proto.CustomConfig) -> dict[str, Any]:
    packed = struct_pb2.Struct()
    config.custom_config.Unpack(packed)
    checks = json_format.MessageToDict(packed)
    # A Struct's numbers are floats.
    return checks | {
        "min_rows": int(checks["min_rows"]),
        "dialect": Dialect.model_validate(checks["dialect"]),
        "splitting": Splitting.model_validate(checks["splitting"]),
    }


def _count(examples: tfx.dsl.Artifact) -> int:
    """The number of examples: a Beam runner that loses some "succeeds" otherwise."""
    patterns = [
        io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))
        for split in artifact_utils.decode_split_names(examples.split_names)
    ]
    files = [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
    batches = tf.data.TFRecordDataset(files, "GZIP").batch(1024)
    return int(batches.reduce(np.int64(0), lambda count, one: count + tf.size(one, tf.int64)))
