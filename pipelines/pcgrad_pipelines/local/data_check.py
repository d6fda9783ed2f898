"""The look at a configuration's data before anything runs."""

from __future__ import annotations

import dataclasses

from pcgrad_pipelines.config import PipelineConfig
from pcgrad_tfx.data.files import DataFiles
from pcgrad_tfx.inspection.inspect_data import inspect_data


@dataclasses.dataclass(frozen=True)
class CheckedData:
    """Data that can be trained on.

    Attributes:
        config: The configuration, complete.
        files: The data's files.
        remarks: What a person should know of the data, one line each.
    """

    config: PipelineConfig
    files: DataFiles
    remarks: tuple[str, ...]


def check_config_data(config: PipelineConfig, source: str) -> CheckedData:
    """Checks the data of a configuration, and completes it by them.

    Args:
        config: The configuration, perhaps a draft (see `load_config`).
        source: The name of the file that it was read from, for messages.

    Raises:
        DataError: The data cannot be trained on, or do not fit the configuration; in one line.
    """
    found = inspect_data(
        config.data.location,
        source,
        tasks=config.tasks,
        features=config.features,
        missing=config.data.missing,
        dialect=config.data.dialect,
        splitting=config.data.splitting,
        slices=config.evaluation.slices,
    )
    complete = config.model_copy(update={"tasks": found.tasks, "features": found.features})
    return CheckedData(complete, found.files, found.remarks)
