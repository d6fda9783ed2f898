"""The PlatformSpec: how open-source Kubeflow starts the pods of steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pcgrad_pipelines.kubeflow.forms import Requests, Retries, Timeout
from pcgrad_pipelines.kubeflow.placement import NodeAffinity, NodeLabel, Toleration
from pcgrad_pipelines.kubeflow.settings import KubeflowSettings

Json = dict[str, Any]

OwnFirst = TypeVar("OwnFirst", NodeAffinity, Requests, Retries, Timeout)
Shared = TypeVar("Shared", NodeLabel, Toleration)


def platform_spec(components: Iterable[str], settings: KubeflowSettings) -> Json | None:
    """What a PipelineSpec has no words for.

    Args:
        components: Those of the pipeline.
        settings: What their pods get.

    Returns:
        The PlatformSpec, None if there is nothing to say.
    """
    pods = {f"{name}_executor": _pod(name, settings) for name in components}
    executors = {name: pod for name, pod in pods.items() if pod}
    if not executors:
        return None
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def own_or_shared(values: Iterable[OwnFirst], component: str) -> list[OwnFirst]:
    """A component's own values, or else those of all components."""
    values = list(values)
    own = [value for value in values if value.component == component]
    return own or [value for value in values if value.component is None]


def _own_and_shared(values: Iterable[Shared], component: str) -> list[Shared]:
    """The values of all components, then a component's own: of one label, the last counts."""
    found = [value for value in values if value.component in {None, component}]
    return sorted(found, key=lambda value: value.component is not None)


def _pod(component: str, settings: KubeflowSettings) -> Json:
    """The `KubernetesExecutorConfig` of a component.

    Source: kubernetes_platform/proto/kubernetes_executor_config.proto of kubeflow/pipelines. Names
    of claims and Secrets are in the fields that all 2.x servers read, "constant" and "secretName":
    their successors are unknown to older ones, which then drop the whole PlatformSpec. The message
    has a `podAffinity`, too, which no server up to 2.17 reads.
    """
    selected = _own_and_shared(settings.node_selector, component)
    labels = {label.key: label.value for label in settings.label}
    annotations = {annotation.key: annotation.value for annotation in settings.annotation}
    metadata = {"labels": labels, "annotations": annotations}
    config = {
        "pvcMount": [
            {"constant": mount.name, "mountPath": mount.path} for mount in settings.volume
        ],
        "secretAsVolume": [
            {"secretName": mount.name, "mountPath": mount.path} for mount in settings.secret_volume
        ],
        "secretAsEnv": [
            {
                "secretName": variable.secret,
                "keyToEnv": [{"secretKey": variable.key, "envVar": variable.name}],
            }
            for variable in settings.secret_env
        ],
        "imagePullSecret": [{"secretName": name} for name in settings.image_pull_secret],
        "imagePullPolicy": settings.image_pull_policy,
        "nodeSelector": selected and {"labels": {label.key: label.value for label in selected}},
        "nodeAffinity": [
            _affinity(affinity) for affinity in own_or_shared(settings.node_affinity, component)
        ],
        "tolerations": [
            _toleration(taint) for taint in _own_and_shared(settings.toleration, component)
        ],
        "podMetadata": {name: values for name, values in metadata.items() if values},
        # JSON has a 64-bit integer as text.
        "activeDeadlineSeconds": "".join(
            str(timeout.seconds) for timeout in own_or_shared(settings.timeout, component)
        ),
    }
    return {name: value for name, value in config.items() if value}


def _affinity(affinity: NodeAffinity) -> Json:
    term: Json = {
        "matchExpressions": [
            {"key": one.key, "operator": one.operator}
            | ({"values": list(one.values)} if one.values else {})
            for one in affinity.requirements
        ]
    }
    return term if affinity.weight is None else term | {"weight": affinity.weight}


def _toleration(taint: Toleration) -> Json:
    matched = (
        {"operator": "Exists"}
        if taint.value is None
        else {"operator": "Equal", "value": taint.value}
    )
    return {"key": taint.key, **matched, "effect": taint.effect}
