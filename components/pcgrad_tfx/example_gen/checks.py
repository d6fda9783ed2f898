"""Checks within an ExampleGen of what it reads and writes; how the pipeline hands them over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils

from pcgrad_tfx.data.row_checks import DataSummary
from pcgrad_tfx.errors import DataError


def pack_checks(
    required: Collection[str], numeric: Collection[str], missing: Collection[str], min_rows: int
) -> tfx.proto.CustomConfig:
    """Packs the arguments of a check into the message that ExampleGen passes on."""
    checks = struct_pb2.Struct()
    # Sorted, because the order does not matter and must not miss the cache.
    columns = {"required": sorted(required), "numeric": sorted(numeric)}
    checks.update({**columns, "missing": sorted(missing), "min_rows": min_rows})
    config = tfx.proto.CustomConfig()
    config.custom_config.Pack(checks)
    return config


def _unpack_checks(custom_config: str) -> dict[str, Any]:
    config = proto_utils.json_to_proto(custom_config, tfx.proto.CustomConfig())
    packed = struct_pb2.Struct()
    config.custom_config.Unpack(packed)
    checks = json_format.MessageToDict(packed)
    return checks | {"min_rows": int(checks["min_rows"])}  # A Struct's numbers are floats.


@dataclasses.dataclass(frozen=True)
class CheckedInput:
    """What is known of an ExampleGen's input.

    Attributes:
        missing: Texts that stand for a missing value.
        rows: Number of rows of all input splits.
    """

    missing: tuple[str, ...]
    rows: int


def check_input(exec_properties: dict[str, Any], check: Callable[..., DataSummary]) -> CheckedInput:
    """Checks the files of all input splits.

    Args:
        exec_properties: ExampleGen's; `custom_config` holds the checks.
        check: `check_csv`, or a function with the same arguments.

    Returns:
        What was read.

    Raises:
        DataError: If a file must not be trained on.
    """

    def message(key: str, empty: Any) -> Any:
        return proto_utils.json_to_proto(exec_properties[key], empty)

    checks = _unpack_checks(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
    output = message(standard_component_specs.OUTPUT_CONFIG_KEY, tfx.proto.Output())
    if not output.split_config.splits:
        # The user's own splits, each checked by itself: how large they are is their decision.
        checks["min_rows"] = 1
    splits = message(standard_component_specs.INPUT_CONFIG_KEY, tfx.proto.Input()).splits
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    rows = sum(check(base, split.pattern, **checks).rows for split in splits)
    return CheckedInput(tuple(checks["missing"]), rows)


def check_output(examples: tfx.dsl.Artifact, rows: int) -> None:
    """Counts the examples: a Beam runner that loses some "succeeds" otherwise.

    Args:
        examples: What an ExampleGen has written.
        rows: How many rows it was given.

    Raises:
        DataError: There are more or fewer examples than rows.
    """
    patterns = [
        io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))
        for split in artifact_utils.decode_split_names(examples.split_names)
    ]
    files = [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
    records = tf.data.TFRecordDataset(files, "GZIP")
    found = int(
        records.batch(1024).reduce(np.int64(0), lambda count, one: count + tf.size(one, tf.int64))
    )
    if found != rows:
        raise DataError(
            f"the input has {rows:,} rows, but {found:,} examples were written: the Beam runner "
            "loses or repeats data; use another one"
        )
