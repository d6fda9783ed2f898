"""How a pipeline is compiled for Kubeflow: the table `[kubeflow]`, and options of the same names.

A field of `KubeflowSettings` is both: `node_selector` is `--node-selector`. Its description is the
option's help, and one function reads the texts of either.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, Field, PlainValidator, PrivateAttr, model_validator

from pcgrad_pipelines.kubeflow.forms import (
    Annotation,
    Label,
    Mount,
    Requests,
    Resources,
    Retries,
    SecretVariable,
    Timeout,
    Variable,
)
from pcgrad_pipelines.kubeflow.placement import NodeAffinity, NodeLabel, Toleration

KFP, VERTEX = "kfp", "vertex"

RUNTIME_PARAMETERS = "runtime parameters (their defaults; a run may have others, see --parameter)"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Option:
    """What the command line says of a field beside its description.

    Attributes:
        metavar: How a value is written.
        group: The heading in the help; None: none.
        kfp_only: Whether Vertex AI has nothing like it.
    """

    metavar: str | None = None
    group: str | None = "running"
    kfp_only: bool = False


def _several(
    read: Callable[[str], T], separator: str | None = None, key: Callable[[T], Any] | None = None
) -> PlainValidator:
    """A list of texts, one text, or a table of the texts KEY separator VALUE.

    Args:
        read: Makes a value of a text.
        separator: Between key and value of a table; None: there are no tables.
        key: Of which no two values may have the same.
    """

    def validate(given: Any) -> tuple[T, ...]:
        if separator is not None and isinstance(given, Mapping):
            given = [f"{name}{separator}{_text(value)}" for name, value in given.items()]
        items = given if isinstance(given, (list, tuple)) else [given]
        values = tuple(
            # Read before, where an option is added to a table.
            cast("T", item) if dataclasses.is_dataclass(item) else read(_text(item))
            for item in items
        )
        names = [] if key is None else list(map(key, values))
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0] or 'all steps'} is given twice; give it once")
        return values

    return PlainValidator(validate)


def _text(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise ValueError(f"{given!r} is not a text in quotes")
    return str(given)


_by_name, _by_component, _by_key = map(attrgetter, ("name", "component", "key"))


class KubeflowSettings(BaseModel, frozen=True, extra="forbid"):
    """How the pipeline is compiled for Kubeflow or Vertex AI.

    Attributes:
        image: The container image of all steps.
        pipeline_root: Where the artifacts go.
        data: A CSV file or a folder of them, as the pods see it.
        push_destination: The folder that the model goes to.
        checkpoint_root: Where an interrupted training resumes from.
        volume: The PersistentVolumeClaims of every step.
        secret_volume: The Secrets that every step finds as files.
        env: The environment variables of every step.
        secret_env: Those that come from Secrets.
        resources: What steps may use.
        requests: What a node must have free for a step.
        retries: How often steps are started again.
        timeout: When an attempt of a step is stopped.
        node_selector: The labels that a step's node must have.
        node_affinity: On which nodes a step runs, or is better run.
        toleration: The taints of nodes on which a step may run.
        label: The labels of all pods.
        annotation: The annotations of all pods.
        image_pull_policy: When the image is pulled.
        image_pull_secret: The Secrets that it is pulled with.
        cache: Whether to reuse the results of unchanged steps.
        cache_examples: Whether Kubeflow may reuse the examples, too.
    """

    image: Annotated[str | None, Option("NAME", None)] = Field(
        None, description="the container image; see Dockerfile"
    )
    pipeline_root: Annotated[str | None, Option("URI", None)] = Field(
        None,
        description="where the artifacts go: minio://…, s3://… or gs://…, on Vertex AI gs://…",
    )
    data: Annotated[str | None, Option("PLACE", RUNTIME_PARAMETERS)] = Field(
        None,
        description="a CSV file or a folder of them, as the pods see it (default: data that ship "
        "in a package are in the image)",
    )
    push_destination: Annotated[str | None, Option("FOLDER", RUNTIME_PARAMETERS)] = Field(
        None,
        description="where the model goes: gs://…, or a path on a --volume (default: pushed_model "
        "in the pipeline root if that is gs://…)",
    )
    checkpoint_root: Annotated[str | None, Option("FOLDER")] = Field(
        None,
        description="where an interrupted training resumes from: gs://…, or a path on a --volume",
    )
    resources: Annotated[
        tuple[Resources, ...],
        _several(Resources.read, ":", _by_component),
        Option("STEP:SETTINGS"),
    ] = Field(
        (),
        description="what a step may use, as Trainer:cpu=4,memory=16G,accelerator=nvidia.com/gpu:1",
    )
    requests: Annotated[
        tuple[Requests, ...],
        _several(Requests.read, ":", _by_component),
        Option("[STEP:]SETTINGS", kfp_only=True),
    ] = Field(
        (Requests(None, cpu=1.0, memory=2.0),),
        description="what a node must have free for every step, or one, unless --resources limits "
        'it (default: cpu=1,memory=2G); "none" leaves it to the cluster',
    )
    retries: Annotated[
        tuple[Retries, ...], _several(Retries.read, ":", _by_component), Option("[STEP:]N")
    ] = Field((), description="start every step, or one, again if it fails (default: 0 times)")
    timeout: Annotated[
        tuple[Timeout, ...],
        _several(Timeout.read, ":", _by_component),
        Option("[STEP:]TIME", kfp_only=True),
    ] = Field((), description="stop every step, or one, after so long, as 90m or Trainer:8h")
    volume: Annotated[
        tuple[Mount, ...],
        _several(Mount.read, "=", _by_name),
        Option("CLAIM=PATH", kfp_only=True),
    ] = Field((), description="mount a PersistentVolumeClaim into every step")
    secret_volume: Annotated[
        tuple[Mount, ...],
        _several(Mount.read, "=", _by_name),
        Option("SECRET=PATH", kfp_only=True),
    ] = Field((), description="mount a Secret into every step; its keys are files")
    env: Annotated[
        tuple[Variable, ...], _several(Variable.read, "=", _by_name), Option("NAME=VALUE")
    ] = Field((), description="an environment variable of every step")
    secret_env: Annotated[
        tuple[SecretVariable, ...],
        _several(SecretVariable.read, "=", _by_name),
        Option("NAME=SECRET:KEY", kfp_only=True),
    ] = Field((), description="an environment variable of every step from a Secret")
    node_selector: Annotated[
        tuple[NodeLabel, ...],
        _several(NodeLabel.read, "=", lambda one: ":".join(filter(None, (one.component, one.key)))),
        Option("[STEP:]LABEL=VALUE", kfp_only=True),
    ] = Field((), description="run every step, or one, on nodes with that label")
    node_affinity: Annotated[
        tuple[NodeAffinity, ...],
        _several(NodeAffinity.read),
        Option("[STEP:]SELECTOR[@WEIGHT]", kfp_only=True),
    ] = Field(
        (),
        description="run every step, or one, on nodes that a selector fits, as 'zone in (a,b)'; "
        "with a weight of 1 to 100 rather there",
    )
    toleration: Annotated[
        tuple[Toleration, ...],
        _several(Toleration.read),
        Option("[STEP:]KEY[=VALUE]:EFFECT", kfp_only=True),
    ] = Field((), description="let every step, or one, run on nodes with that taint")
    label: Annotated[
        tuple[Label, ...], _several(Label.read, "=", _by_key), Option("KEY=VALUE", kfp_only=True)
    ] = Field((), description="a label of all pods")
    annotation: Annotated[
        tuple[Annotation, ...],
        _several(Annotation.read, "=", _by_key),
        Option("KEY=VALUE", kfp_only=True),
    ] = Field((), description="an annotation of all pods")
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"] | None, Option("WHEN", kfp_only=True)
    ] = Field(None, description="when the image is pulled: Always, IfNotPresent or Never")
    image_pull_secret: Annotated[
        tuple[str, ...], _several(str), Option("SECRET", kfp_only=True)
    ] = Field((), description="a Secret to pull the image with")
    cache: Annotated[bool, Option()] = Field(
        True, description="reuse the results of unchanged steps (default), or run every step"
    )
    cache_examples: Annotated[bool, Option(kfp_only=True)] = Field(
        False,
        description="let Kubeflow reuse the examples, too, although it does not see whether the "
        "files have changed: only if new data get a new folder",
    )

    _given_as_options: frozenset[str] = PrivateAttr(frozenset())

    @model_validator(mode="after")
    def _check_names(self) -> KubeflowSettings:
        mounts = [*self.volume, *self.secret_volume]
        for what, names in {
            "volume": [mount.name for mount in mounts],
            "path": [mount.path for mount in mounts],
            "environment variable": [
                *(variable.name for variable in self.env),
                *(variable.name for variable in self.secret_env),
            ],
        }.items():
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"the {what} {twice[0]} is there twice; leave one out")
        return self

    def with_options(self, options: Mapping[str, Any]) -> KubeflowSettings:
        """Returns a copy in which options have taken the place of what the table says.

        Args:
            options: Texts or values by field; None leaves a field as it is.

        Raises:
            ValidationError: If an option is wrong.
        """
        given = {name: value for name, value in options.items() if value is not None}
        before = {name: getattr(self, name) for name in self.model_fields_set}
        settings = KubeflowSettings.model_validate(before | given)
        settings._given_as_options = frozenset(given)
        return settings

    def where(self, name: str) -> str:
        """What a message calls a field: the option if it was given, else the key."""
        return option(name) if name in self._given_as_options else f"kubeflow.{name}"

    def components(self) -> Iterator[tuple[str, str]]:
        """The steps that fields name: the field, the step."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else ():
                if (component := getattr(one, "component", None)) is not None:
                    yield name, component

    def for_vertex(self) -> str | None:
        """A field that is set although Vertex AI has nothing like it, None without one."""
        kfp_only = {name for name in self.model_fields_set if field_option(name).kfp_only}
        return min(kfp_only, default=None)


def option(name: str) -> str:
    """The option of a field."""
    return f"--{name.replace('_', '-')}"


def field_option(name: str) -> Option:
    """What the command line says of a field."""
    metadata = KubeflowSettings.model_fields[name].metadata
    return next(one for one in metadata if isinstance(one, Option))


def add_options(parser: argparse.ArgumentParser) -> dict[str | None, argparse._ActionsContainer]:
    """Adds an option for each field of `KubeflowSettings`.

    Args:
        parser: What they are added to.

    Returns:
        The groups of options by heading.
    """
    groups: dict[str | None, argparse._ActionsContainer] = {None: parser}
    for name, field in KubeflowSettings.model_fields.items():
        shown = field_option(name)
        if shown.group not in groups:
            groups[shown.group] = parser.add_argument_group(shown.group)
        kfp_only = " (kfp)" if shown.kfp_only else ""
        several = isinstance(field.default, tuple)
        arguments: dict[str, Any] = {"metavar": shown.metavar}
        if isinstance(field.default, bool):
            arguments = {"action": argparse.BooleanOptionalAction}
        elif several:
            arguments["action"] = "append"
        groups[shown.group].add_argument(
            option(name),
            default=None,
            help=f"{field.description}{kfp_only}{'; may be repeated' * several}",
            **arguments,
        )
    return groups
