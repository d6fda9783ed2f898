"""The runner's options whose values have a form of their own, and what a pod can reach."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from pcgrad_pipelines.config import ConfigError, Data, PipelineConfig
from pcgrad_pipelines.kubeflow.pods import ForSteps
from pcgrad_tfx.config.validation_messages import nearest

KFP, VERTEX = "kfp", "vertex"

# Where the image has its Python packages; see Dockerfile.
_SITE_PACKAGES = "/opt/site-packages"

# The launcher's own mounts. Source: `addContainerExecutorTemplate` in
# backend/src/v2/compiler/argocompiler/container.go of kubeflow/pipelines.
_LAUNCHER_MOUNTS = ("/gcs", "/minio", "/s3")

_PIPELINE_ROOTS = {KFP: ("minio://", "s3://", "gs://"), VERTEX: ("gs://",)}

# Gigabytes of 10⁹ bytes, the unit of a specification.
_GIGABYTES = {
    "M": 1e-3,
    "G": 1.0,
    "T": 1e3,
    "Mi": 2**20 / 1e9,
    "Gi": 2**30 / 1e9,
    "Ti": 2**40 / 1e9,
}
_MEMORY = re.compile(rf"(?P<number>[0-9]*\.?[0-9]+)(?P<unit>{'|'.join(_GIGABYTES)})")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a step may use; None is left to the cluster.

    Attributes:
        cpu: Cores.
        memory: Gigabytes (10⁹ bytes).
        accelerator: What Kubernetes or Vertex AI calls it, "nvidia.com/gpu" or "NVIDIA_TESLA_T4".
        accelerators: How many of them.
    """

    cpu: float | None = None
    memory: float | None = None
    accelerator: str | None = None
    accelerators: int = 0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to compile for whom; all of it checked.

    Attributes:
        target: KFP or VERTEX.
        config: What to learn from which data.
        image: The container image of all steps.
        pipeline_root: Where the artifacts go.
        data: A CSV file or a folder of them, as the pods see it.
        push_destination: The folder that the model goes to.
        checkpoint_root: Where an interrupted training resumes from.
        resources: What components may use.
        retries: How often Transform and Trainer are started again.
        environment: Variables of all steps.
        pods: What pods get beside, as volumes.
        enable_cache: Whether to reuse the results of unchanged steps.
        cache_examples: Whether KFP may reuse the examples, too.
        beam_args: Beam's options.
        is_distributed: Whether Beam's workers run elsewhere.
    """

    target: str
    config: PipelineConfig
    image: str
    pipeline_root: str
    data: str
    push_destination: str
    checkpoint_root: str | None
    resources: dict[str, Resources]
    retries: int
    environment: dict[str, str]
    pods: list[ForSteps]
    enable_cache: bool
    cache_examples: bool
    beam_args: list[str]
    is_distributed: bool


def parse_resources(given: Sequence[str]) -> dict[str, Resources]:
    """Reads `--resources`.

    Args:
        given: Of the form COMPONENT:cpu=4,memory=16G,accelerator=nvidia.com/gpu:1.

    Returns:
        The resources by component.

    Raises:
        ConfigError: If one is not of that form.
    """
    resources: dict[str, Resources] = {}
    for item in given:
        component, _, settings = item.partition(":")
        if component in resources:
            raise ConfigError(f"--resources: {component} is given twice; join them by a comma")
        wanted = Resources()
        for setting in settings.split(","):
            name, equals, value = setting.partition("=")
            if not component or not equals:
                raise ConfigError(
                    f"--resources: {item!r} is not of the form COMPONENT:cpu=4,memory=16G,"
                    "accelerator=TYPE:COUNT"
                )
            if name == "cpu":
                wanted = dataclasses.replace(wanted, cpu=_positive(value, "cpu", item))
            elif name == "memory":
                wanted = dataclasses.replace(wanted, memory=_gigabytes(value, item))
            elif name == "accelerator":
                kind, _, count = value.rpartition(":")
                if not kind or not count.isdecimal() or int(count) == 0:
                    raise ConfigError(f"--resources: {item}: {value!r} is not TYPE:COUNT")
                wanted = dataclasses.replace(wanted, accelerator=kind, accelerators=int(count))
            else:
                choices = nearest(name, ("cpu", "memory", "accelerator"))
                raise ConfigError(f"--resources: {item}: unknown {name!r}; {choices}")
        resources[component] = wanted
    return resources


def _positive(value: str, name: str, item: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"--resources: {item}: {name} {value!r} is not a number above 0")
    return number


def _gigabytes(value: str, item: str) -> float:
    match = _MEMORY.fullmatch(value)
    if match is None:
        units = ", ".join(_GIGABYTES)
        raise ConfigError(
            f"--resources: {item}: memory {value!r} is not a number with a unit ({units}), as 16G"
        )
    return _positive(match["number"], "memory", item) * _GIGABYTES[match["unit"]]


def parse_volumes(given: Sequence[str]) -> dict[str, str]:
    """Reads `--volume`.

    Args:
        given: Of the form CLAIM=/path.

    Returns:
        The path of each PersistentVolumeClaim.

    Raises:
        ConfigError: If one is not of that form, or clashes with another or with Kubeflow's own.
    """
    volumes: dict[str, str] = {}
    for item in given:
        claim, _, path = item.partition("=")
        if not _DNS_LABEL.fullmatch(claim) or not path.startswith("/") or not path.strip("/"):
            raise ConfigError(f"--volume: {item!r} is not of the form CLAIM=/path")
        if any(_lies_in(path, mount) for mount in _LAUNCHER_MOUNTS):
            raise ConfigError(
                f"--volume: {item}: Kubeflow itself mounts there; choose another path"
            )
        if claim in volumes:
            raise ConfigError(f"--volume: {claim} is given twice; mount it once, higher up")
        volumes[claim] = path.rstrip("/")
    return volumes


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


def check_place(option: str, place: str | None, target: str, volumes: dict[str, str]) -> str:
    """Checks a folder that must outlive the pods.

    Args:
        option: What names it.
        place: The folder.
        target: Where the pipeline is to run.
        volumes: The path of each PersistentVolumeClaim.

    Returns:
        The folder.

    Raises:
        ConfigError: If it is missing, or pods cannot reach it, or it is lost with them.
    """
    remedy = "give gs://…" + (", or a path on a --volume" if target == KFP else "")
    if place is None:
        raise ConfigError(f"{option} is missing; {remedy}")
    if "://" in place:
        if not place.startswith("gs://"):
            raise ConfigError(f"{option}: TensorFlow cannot open {place}; {remedy}")
    elif not any(_lies_in(place, path) for path in volumes.values()):
        raise ConfigError(f"{option}: {place!r} is on no volume and is lost with the pod; {remedy}")
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


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
