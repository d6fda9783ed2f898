"""Executor of CuratedSchema."""

from __future__ import annotations

import os
from typing import Any

from tfx import v1 as tfx
from tfx.components.schema_gen import executor as schema_gen
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

TEXT_KEY = "text"
SCHEMA_KEY = "schema"


class Executor(base_executor.BaseExecutor):
    """Writes the schema as SchemaGen does."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the file.

        Args:
            input_dict: Not used.
            output_dict: `schema`, one artifact.
            exec_properties: `text`, which the component has checked.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        folder = artifact_utils.get_single_uri(output_dict[SCHEMA_KEY])
        path = os.path.join(folder, schema_gen.DEFAULT_FILE_NAME)
        io_utils.write_string_file(path, exec_properties[TEXT_KEY])
