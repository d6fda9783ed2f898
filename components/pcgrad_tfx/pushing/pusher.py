"""TFX's Pusher, but a server never sees a part of a model."""

from __future__ import annotations

import os
import time
from typing import Any

from absl import logging
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.pusher import executor as tfx_pusher
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as keys
from tfx.utils import io_utils
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.pushing.versions import push


class Executor(tfx_pusher.Executor):
    """Pushes a blessed model to a folder."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed.

        Raises:
            OSError: The model could not be copied as a whole; the push destination is as before.
        """
        destination = json_format.Parse(
            exec_properties[keys.PUSH_DESTINATION_KEY], tfx.proto.PushDestination()
        )
        if not destination.HasField("filesystem") or not self.CheckBlessing(input_dict):
            super().Do(input_dict, output_dict, exec_properties)
            return
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict[keys.PUSHED_MODEL_KEY])
        model = self.GetModelPath(input_dict)
        # First the copy that stays in the pipeline: what is published last cannot fail any more.
        io_utils.copy_dir(model, pushed.uri)
        path = push(model, destination.filesystem.base_directory)
        self._MarkPushed(pushed, pushed_destination=path, pushed_version=os.path.basename(path))
        logging.info("The model is at %s.", path)


class Pusher(tfx.components.Pusher):
    """TFX's Pusher with safe copies: a full disk or a killed process publishes nothing.

    A model that is the newest version at the push destination already is not pushed again. The
    arguments and outputs are those of `tfx.components.Pusher`.

    Component `outputs` contains:

    - `pushed_model`: Channel of type `standard_artifacts.PushedModel`.
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        push_destination: tfx.proto.PushDestination | RuntimeParameter,
        custom_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the component.

        Args:
            push_destination: The folder to push to.
            custom_config: As in TFX's Pusher.
            **kwargs: The channels of TFX's Pusher: `model`, `model_blessing`, `infra_blessing`.
        """
        config = dict(custom_config or {})
        if not isinstance(push_destination, RuntimeParameter):
            # Versions come and go at the push destination, which TFX's cache does not see: it must
            # be looked at in every run. (What is compiled for a cluster should not differ.)
            config["looked_at"] = time.time_ns()
        super().__init__(push_destination=push_destination, custom_config=config, **kwargs)
