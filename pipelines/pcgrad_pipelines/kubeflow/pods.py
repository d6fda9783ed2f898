"""How the pods of steps are started on open-source Kubeflow: options, and the PlatformSpec."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pcgrad_pipelines.config import ConfigError
from pcgrad_tfx.config.validation_messages import nearest

Json = dict[str, Any]

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class ForSteps:
    """A part of a pod's specification.

    Attributes:
        component: Whose pods get it; None: all.
        config: In the words of kfp-kubernetes' `KubernetesExecutorConfig`.
    """

    component: str | None
    config: Json


def add_options(group: argparse._ActionsContainer) -> None:
    """Adds the options that `parse_options` reads."""
    group.add_argument(
        "--secret-env", metavar="NAME=SECRET:KEY", action="append", default=[],
        help="an environment variable of every step from a Secret (kfp); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--node-selector", metavar="[STEP:]LABEL=VALUE", action="append", default=[],
        help="run every step, or one, on nodes with that label (kfp); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--toleration", metavar="[STEP:]KEY[=VALUE]:EFFECT", action="append", default=[],
        help="let every step, or one, run on nodes with that taint (kfp); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--image-pull-policy", choices=_PULL_POLICIES, help="when the image is pulled (kfp)"
    )
    group.add_argument(
        "--image-pull-secret", metavar="SECRET", action="append", default=[],
        help="a Secret to pull the image with (kfp); may be repeated",
    )  # fmt: skip


def parse_options(args: argparse.Namespace) -> list[ForSteps]:
    """Reads the options of `add_options`.

    Args:
        args: The options.

    Returns:
        What pods get.

    Raises:
        ConfigError: If one is not of its form.
    """
    found = [
        *_secrets(args.secret_env),
        *_node_selectors(args.node_selector),
        *_tolerations(args.toleration),
    ]
    secrets = [{"secretName": name} for name in args.image_pull_secret]
    if secrets:
        found.append(ForSteps(None, {"imagePullSecret": secrets}))
    if args.image_pull_policy is not None:
        found.append(ForSteps(None, {"imagePullPolicy": args.image_pull_policy}))
    return found


def parse_environment(given: Sequence[str]) -> dict[str, str]:
    """Reads `--env`.

    Args:
        given: Of the form NAME=VALUE.

    Returns:
        The values of the variables.

    Raises:
        ConfigError: If one is not of that form.
    """
    environment = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise ConfigError(f"--env: {item!r} is not of the form NAME=VALUE")
        if name in environment:
            raise ConfigError(f"--env: {name} is given twice")
        environment[name] = value
    return environment


def _secrets(given: Sequence[str]) -> list[ForSteps]:
    """From NAME=SECRET:KEY."""
    found = []
    for item in given:
        name, _, place = item.partition("=")
        secret, _, key = place.partition(":")
        if not _VARIABLE.fullmatch(name) or not secret or not key:
            raise ConfigError(f"--secret-env: {item!r} is not of the form NAME=SECRET:KEY")
        variable = {"secretName": secret, "keyToEnv": [{"secretKey": key, "envVar": name}]}
        found.append(ForSteps(None, {"secretAsEnv": [variable]}))
    return found


def _node_selectors(given: Sequence[str]) -> list[ForSteps]:
    """From LABEL=VALUE or COMPONENT:LABEL=VALUE."""
    found = []
    for item in given:
        front, _, value = item.partition("=")
        component, _, label = front.rpartition(":")
        if not label or not value:
            raise ConfigError(
                f"--node-selector: {item!r} is not of the form LABEL=VALUE or COMPONENT:LABEL=VALUE"
            )
        config = {"nodeSelector": {"labels": {label: value}}}
        found.append(ForSteps(component or None, config))
    return found


def _tolerations(given: Sequence[str]) -> list[ForSteps]:
    """From what `kubectl taint` has, KEY:EFFECT or KEY=VALUE:EFFECT, or COMPONENT: before it."""
    found = []
    for item in given:
        front, _, effect = item.rpartition(":")
        component, _, taint = front.rpartition(":")
        key, equals, value = taint.partition("=")
        if not key or effect not in _EFFECTS:
            raise ConfigError(
                f"--toleration: {item!r} is not of the form KEY=VALUE:EFFECT, KEY:EFFECT or one of "
                f"them after COMPONENT:, with the effect {', '.join(_EFFECTS[:-1])} or "
                f"{_EFFECTS[-1]}"
            )
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if equals:
            toleration |= {"operator": "Equal", "value": value}
        found.append(ForSteps(component or None, {"tolerations": [toleration]}))
    return found


def mounts(volumes: Mapping[str, str]) -> list[ForSteps]:
    """The mounts of volumes.

    By "constant", which all 2.x servers read, as they do "secretName" elsewhere; their successors
    "pvcNameParameter" and "secretNameParameter" are unknown to older ones. Source:
    `extendPodSpecPatch` in `backend/src/v2/driver/k8s.go` of kubeflow/pipelines.

    Args:
        volumes: The path of each PersistentVolumeClaim.
    """
    return [
        ForSteps(None, {"pvcMount": [{"constant": claim, "mountPath": path}]})
        for claim, path in volumes.items()
    ]


def platform_spec(components: Iterable[str], pods: Iterable[ForSteps]) -> Json | None:
    """What a PipelineSpec has no words for.

    Args:
        components: Those of the pipeline.
        pods: What their pods get.

    Returns:
        The PlatformSpec, None if there is nothing to say.

    Raises:
        ConfigError: If there is no such component.
    """
    configs: dict[str, Json] = {name: {} for name in components}
    for part in pods:
        if part.component is not None and part.component not in configs:
            raise ConfigError(
                f"{_OPTIONS[next(iter(part.config))]}: no component {part.component!r}; "
                f"{nearest(part.component, sorted(configs))}"
            )
        for name in configs if part.component is None else [part.component]:
            configs[name] = _merged(configs[name], part.config)
    executors = {f"{name}_executor": config for name, config in configs.items() if config}
    if not executors:
        return None
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


_OPTIONS = {"nodeSelector": "--node-selector", "tolerations": "--toleration"}


def _merged(one: Json, other: Json) -> Json:
    """Both, lists one after the other, what `other` says alone on top."""
    merged = dict(one)
    for key, value in other.items():
        if isinstance(value, list):
            merged[key] = [*one.get(key, []), *value]
        elif isinstance(value, dict):
            merged[key] = _merged(one.get(key, {}), value)
        else:
            merged[key] = value
    return merged
