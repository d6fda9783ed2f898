"""Executor of ValidationGate."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import v1 as tfx
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from pcgrad_tfx.errors import DataError, brief, shown

STATISTICS_KEY = "statistics"
ANOMALIES_KEY = "anomalies"

# The table stays readable, however wide the data are.
_MAX_ROWS = 30
_MAX_DETAIL = 120


class Anomaly(NamedTuple):
    """A row of the table that the gate shows."""

    split: str
    column: str
    anomaly: str
    detail: str


class Executor(base_executor.BaseExecutor):
    """Fails on anomalies and on empty splits."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Looks at what StatisticsGen and ExampleValidator have written.

        Args:
            input_dict: `statistics` and `anomalies`, one artifact each.
            output_dict: Not used.
            exec_properties: Not used.

        Raises:
            DataError: If a split has no examples, or if there are anomalies. The message's first
                line tells the first of them and the remedy; the table of all follows.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        _check_splits(artifact_utils.get_single_instance(input_dict[STATISTICS_KEY]))
        found = _read_anomalies(artifact_utils.get_single_instance(input_dict[ANOMALIES_KEY]))
        if found:
            raise DataError(_report(found))


def _check_splits(statistics: tfx.dsl.Artifact) -> None:
    splits = artifact_utils.decode_split_names(statistics.split_names)
    for split in splits:
        datasets = stats_artifact_utils.load_statistics(statistics, split).proto().datasets
        if not any(dataset.num_examples for dataset in datasets):
            raise DataError(
                f"split {split!r} has no examples (the splits are {', '.join(splits)}); "
                "add data or change the splits"
            )


def _read_anomalies(artifact: tfx.dsl.Artifact) -> list[Anomaly]:
    found = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(
            artifact_utils.get_split_uri([artifact], split), example_validator.DEFAULT_FILE_NAME
        )
        anomalies = anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
        infos = sorted(anomalies.anomaly_info.items())
        if anomalies.HasField("dataset_anomaly_info"):
            infos.insert(0, ("(all)", anomalies.dataset_anomaly_info))
        found += [
            Anomaly(split, column, reason.short_description, _one_line(reason.description))
            for column, info in infos
            for reason in info.reason
        ]
    return found


def _one_line(description: str) -> str:
    """TFDV's description, which cites values from the data, without what would break the table."""
    return brief(" ".join(description.split()), _MAX_DETAIL)


def _report(found: list[Anomaly]) -> str:
    split, column, anomaly, detail = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    rows = [tuple(name.capitalize() for name in Anomaly._fields)]
    rows += [(a.split, brief(a.column), a.anomaly, a.detail) for a in found[:_MAX_ROWS]]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(found) > _MAX_ROWS:
        table.append(f"… and {len(found) - _MAX_ROWS} more")
    first_line = (
        f"split {split!r}, column {shown(column)}: {anomaly}: {detail.rstrip('.')}{more}; "
        "correct the data or, if they are right, the schema"
    )
    return "\n".join([first_line, "", *table])
