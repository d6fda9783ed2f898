"""Sends a compiled pipeline to open-source Kubeflow Pipelines or to Vertex AI."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.formatting import one_line

Json = dict[str, Any]


class SubmitError(RuntimeError):
    """A run that could not be started; the message is one line."""


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


def submit_to_kfp(path: Path, host: str, parameters: Mapping[str, Any]) -> str:
    """Starts a run on open-source Kubeflow Pipelines.

    Args:
        path: The compiled pipeline.
        host: Address of the server.
        parameters: Values of runtime parameters.

    Returns:
        The run's id.

    Raises:
        SubmitError: If the server cannot be reached or refuses.
    """
    host = host if "://" in host else f"https://{host}"
    _check_server(host)
    import kfp
    import kfp_server_api
    import urllib3

    try:
        run = kfp.Client(host=host).create_run_from_pipeline_package(
            str(path),
            arguments=dict(parameters),
            # The server itself does not read it.
            pipeline_root=read_spec(path).get("defaultPipelineRoot"),
        )
    except kfp_server_api.ApiException as error:
        detail = error.body or error.reason
        raise SubmitError(f"{host} refuses: {error.status} {one_line(detail)}") from None
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise SubmitError(f"--host: {host}: {one_line(error)}") from None
    return str(run.run_id)


def _check_server(host: str) -> None:
    """Asks whether there is one: the client asks for half a minute, then shows a traceback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{host.rstrip('/')}/apis/v2beta1/healthz", timeout=10) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise SubmitError(f"--host: {host} answers {error.code} {error.reason}") from None
    except json.JSONDecodeError:
        raise SubmitError(
            f"--host: {host} is not the API of Kubeflow Pipelines; is there a login in front of it?"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SubmitError(f"--host: cannot reach {host} ({reason}); is the server up?") from None


def submit_to_vertex(path: Path, project: str, region: str, parameters: Mapping[str, Any]) -> str:
    """Starts a run on Vertex AI.

    Args:
        path: The compiled pipeline.
        project: Google Cloud's project.
        region: The region to run in.
        parameters: Values of runtime parameters.

    Returns:
        The run's resource name.

    Raises:
        SubmitError: If there are no credentials, or Vertex AI refuses or cannot be reached.
    """
    from google.api_core import exceptions
    from google.auth import exceptions as auth_exceptions
    from google.cloud import aiplatform

    try:
        job = aiplatform.PipelineJob(
            display_name=read_spec(path)["pipelineInfo"]["name"],
            template_path=str(path),
            parameter_values=dict(parameters),
            project=project,
            location=region,
        )
        job.submit()
    except auth_exceptions.GoogleAuthError as error:
        raise SubmitError(
            f"Google Cloud: {one_line(error)}; try: gcloud auth application-default login"
        ) from None
    except (exceptions.GoogleAPIError, ValueError) as error:
        raise SubmitError(f"Vertex AI refuses: {one_line(error)}") from None
    return str(job.resource_name)
