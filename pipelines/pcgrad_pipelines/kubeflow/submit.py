"""What is sent to a server, Kubeflow's or Vertex AI's, and how a run can end."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pcgrad_tfx.config.validation_messages import nearest

Json = dict[str, Any]


class SubmitError(RuntimeError):
    """A run that could not be started; the message is one line."""


class Outcome(enum.Enum):
    """How a run ended, in words that follow its id."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "was canceled"
    LOST = "is out of reach and may go on"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to run.

    Attributes:
        path: The compiled pipeline.
        parameters: Values of runtime parameters.
        name: Of the run; by default the pipeline's and the time.
        service_account: As whom the steps run.
        cron: When it recurs; None: it runs once, now.
        experiment: Of Kubeflow, which the run belongs to; None: the default one.
        namespace: Of a multi-user Kubeflow.
        version: Under which name the pipeline is uploaded to Kubeflow before; None: it is not.
        network: Of Google Cloud, that Vertex AI's job is peered with.
        encryption_key: Of Google Cloud's Key Management Service.
    """

    path: Path
    parameters: Mapping[str, Any]
    name: str | None = None
    service_account: str | None = None
    cron: str | None = None
    experiment: str | None = None
    namespace: str | None = None
    version: str | None = None
    network: str | None = None
    encryption_key: str | None = None


def read_spec(path: Path) -> Json:
    """Reads the PipelineSpec of a compiled pipeline, of either kind.

    Args:
        path: What `tfx-pcgrad compile` has written.

    Returns:
        The PipelineSpec.

    Raises:
        SubmitError: If it is no such file.
    """
    try:
        document = next(iter(yaml.safe_load_all(path.read_text(encoding="utf-8"))), None)
    except OSError as error:
        raise SubmitError(f"{path}: {error.strerror}; name a compiled pipeline") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        document = None
    spec = document.get("pipelineSpec", document) if isinstance(document, dict) else None
    if not isinstance(spec, dict) or "root" not in spec:
        raise SubmitError(
            f"{path}: no compiled pipeline; name a file that `tfx-pcgrad compile` has written"
        )
    return spec


def parse_parameters(given: Sequence[str], spec: Json) -> Json:
    """Reads the runtime parameters of a run.

    Args:
        given: Of the form NAME=VALUE. A push destination may be a plain folder.
        spec: The PipelineSpec.

    Returns:
        The values, of the declared types.

    Raises:
        SubmitError: If one is unknown or of another type.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise SubmitError(f"--parameter: {item!r} is not of the form NAME=VALUE")
        if name not in declared:
            raise SubmitError(f"--parameter: unknown {name!r}; {nearest(name, declared)}")
        try:
            values[name] = _VALUES[declared[name]["parameterType"]](text)
        except ValueError:
            kind = _KINDS[declared[name]["parameterType"]]
            raise SubmitError(f"--parameter: {name}: {text!r} is not {kind}") from None
        if name == "push_destination" and not text.lstrip().startswith("{"):
            values[name] = push_destination(text)
    return values


_VALUES = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}
_KINDS = {"NUMBER_INTEGER": "a whole number", "NUMBER_DOUBLE": "a number"}


def push_destination(folder: str) -> str:
    """The JSON of a `PushDestination`, as Pusher's runtime parameter holds it."""
    return json.dumps({"filesystem": {"base_directory": folder}})


def check_cron(cron: str | None, with_seconds: bool) -> None:
    """Checks that the times of a recurring run have the fields that a server reads.

    Args:
        cron: The times, None for a run that does not recur.
        with_seconds: Whether they begin with the seconds, as Kubeflow's do.

    Raises:
        SubmitError: If they have more or fewer.
    """
    if cron is None or cron.startswith("@"):
        return
    given = len(re.sub(r"^(CRON_)?TZ=\S+ ", "", cron).split())
    fields, example = (6, "0 0 3 * * *") if with_seconds else (5, "0 3 * * *")
    if given != fields:
        raise SubmitError(
            f"--cron: {cron!r} has {given} fields; give {fields}, as '{example}' for 3 o'clock"
        )
