"""What to compile for whom, and what a pod can reach."""

from __future__ import annotations

import argparse
import dataclasses
import re

from pydantic import ValidationError

from pcgrad_pipelines.config import ConfigError, PipelineConfig
from pcgrad_pipelines.data_settings import Data
from pcgrad_pipelines.kubeflow.forms import lies_in
from pcgrad_pipelines.kubeflow.settings import KFP, VERTEX, KubeflowSettings, option
from pcgrad_tfx.config.validation_messages import problem_lines

# Where the image has its Python packages; see Dockerfile.
_SITE_PACKAGES = "/opt/site-packages"

_PIPELINE_ROOTS = {KFP: ("minio://", "s3://", "gs://"), VERTEX: ("gs://",)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to compile for whom; all of it checked.

    Attributes:
        target: KFP or VERTEX.
        config: What to learn from which data.
        kubeflow: How the steps run.
        image: The container image of all steps.
        pipeline_root: Where the artifacts go.
        data: A CSV file or a folder of them, as the pods see it.
        push_destination: The folder that the model goes to.
        beam_args: Beam's options.
        is_distributed: Whether Beam's workers run elsewhere.
    """

    target: str
    config: PipelineConfig
    kubeflow: KubeflowSettings
    image: str
    pipeline_root: str
    data: str
    push_destination: str
    beam_args: list[str]
    is_distributed: bool


def with_options(settings: KubeflowSettings, args: argparse.Namespace) -> KubeflowSettings:
    """The settings of a configuration with options in the place of its own values.

    Args:
        settings: What the table `[kubeflow]` says.
        args: The options.

    Raises:
        ConfigError: If an option is wrong.
    """
    fields = KubeflowSettings.model_fields
    try:
        return settings.with_options({name: getattr(args, name, None) for name in fields})
    except ValidationError as error:
        lines = (line.partition(": ") for line in problem_lines(error, KubeflowSettings))
        raise ConfigError(
            "\n".join(
                f"{option(key) if key in fields else key}{colon}{rest}"
                for key, colon, rest in lines
            )
        ) from None


def check_target(settings: KubeflowSettings, target: str) -> None:
    """Checks that the target has all that is set.

    Raises:
        ConfigError: If it has not.
    """
    if target == VERTEX and (name := settings.for_vertex()) is not None:
        raise ConfigError(f"{settings.where(name)} is for --target {KFP}; remove it")


def required(settings: KubeflowSettings, name: str) -> str:
    """The value of a field.

    Raises:
        ConfigError: If there is none.
    """
    value: str | None = getattr(settings, name)
    if not value:
        raise ConfigError(f"{option(name)} is missing; add it, or `{name}` under [kubeflow]")
    return value


def check_pipeline_root(root: str, target: str, distributed: bool) -> None:
    """Checks where the artifacts are to go.

    Args:
        root: The pipeline root.
        target: Where the pipeline is to run.
        distributed: Whether Beam's workers run elsewhere.

    Raises:
        ConfigError: If it is none for that target.
    """
    schemes = _PIPELINE_ROOTS[target]
    if not root.startswith(schemes):
        raise ConfigError(f"--pipeline-root: {root!r} does not begin with {' or '.join(schemes)}")
    if distributed and not root.startswith("gs://"):
        raise ConfigError(
            f"--pipeline-root: the workers of that --beam-runner cannot open {root}; give gs://…"
        )


def check_place(name: str, place: str | None, target: str, settings: KubeflowSettings) -> str:
    """Checks a folder that must outlive the pods.

    Args:
        name: The field that it is of.
        place: The folder.
        target: Where the pipeline is to run.
        settings: What else there is, as volumes.

    Returns:
        The folder.

    Raises:
        ConfigError: If it is missing, or pods cannot reach it, or it is lost with them.
    """
    remedy = "give gs://…" + (", or a path on a --volume" if target == KFP else "")
    if place is None:
        raise ConfigError(f"{option(name)} is missing; {remedy}")
    if "://" in place:
        if not place.startswith("gs://"):
            raise ConfigError(f"{settings.where(name)}: TensorFlow cannot open {place}; {remedy}")
    elif not any(lies_in(place, mount.path) for mount in settings.volume):
        raise ConfigError(
            f"{settings.where(name)}: {place!r} is on no volume and is lost with the pod; {remedy}"
        )
    return place


def data_location(given: str | None, data: Data, target: str) -> str:
    """Where the pods find the data.

    Args:
        given: The option `--data`.
        data: The configuration's place. Data that ship in a Python package are in the image, too.
        target: Where the pipeline is to run.

    Returns:
        A file or folder.

    Raises:
        ConfigError: If they cannot reach it.
    """
    remedy = "give --data gs://…" + (", or a path on a --volume" if target == KFP else "")
    if given is None and data.package is not None:
        return f"{_SITE_PACKAGES}/{data.package.replace('.', '/')}/{data.resource}"
    place = given or data.location
    if given is None and "://" not in place:
        raise ConfigError(f"{place} is on this machine, where pods cannot read it; {remedy}")
    if "://" in place and not place.startswith("gs://"):
        raise ConfigError(f"--data: TensorFlow cannot open {place}; {remedy}")
    if not place.startswith(("/", "gs://")):
        raise ConfigError(f"--data: {place!r} is no absolute path; {remedy}")
    if "tfrecord" in place.rstrip("/").rpartition("/")[2]:
        raise ConfigError(
            f"--data: {place}: on Kubeflow and Vertex AI data are a CSV, Parquet or JSON lines "
            "file, a pattern of them (trips/*.parquet), or a folder of .csv files"
        )
    return place


def check_name(name: str) -> None:
    """Checks the pipeline's name, which becomes part of names in Kubernetes.

    Raises:
        ConfigError: If it cannot.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", name):
        raise ConfigError(
            f"name: {name!r}: on Kubeflow it is made of lower-case letters, digits and -; "
            "change it in the TOML file"
        )
