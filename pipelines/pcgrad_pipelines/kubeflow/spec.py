"""What is done to a PipelineSpec after TFX has compiled it.

TFX compiles for Vertex AI. What open-source Kubeflow Pipelines takes differently, and what TFX's
compiler leaves out for both, is told at each function. Those that return nothing change the spec in
place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pcgrad_pipelines.config import ConfigError
from pcgrad_pipelines.kubeflow.forms import Requests, Resources
from pcgrad_pipelines.kubeflow.pods import own_or_shared
from pcgrad_pipelines.kubeflow.settings import KFP, KubeflowSettings
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.conflict_report import ConflictReportPage
from pcgrad_tfx.kubeflow import pages
from pcgrad_tfx.training.distribution import ACCELERATOR_VARIABLE

Json = dict[str, Any]

# MAX_ARG_STRLEN, with the zero at the end.
_LONGEST_ARGUMENT = 128 * 1024

# How long after its first start a step may still be started again: Argo's counts the training, too,
# and without it there is no retry at all. Source: `processNodeRetries` in
# workflow/controller/operator.go of argoproj/argo-workflows. 30 days.
_KFP_RETRIES_END = "2592000s"
# The largest that Kubeflow's compiler writes, for Vertex AI too: `RetryPolicy.to_proto` of the SDK.
_VERTEX_RETRIES_END = "3600s"


def set_defaults(spec: Json, defaults: Mapping[str, Any]) -> None:
    """Gives the runtime parameters their defaults, which TFX's compiler leaves out."""
    for name, default in defaults.items():
        spec["root"]["inputDefinitions"]["parameters"][name]["defaultValue"] = default


def check_components(spec: Json, settings: KubeflowSettings) -> None:
    """Checks that there are the components that settings name.

    Raises:
        ConfigError: If there is no such component.
    """
    steps = sorted(containers(spec))
    for name, component in settings.components():
        if component not in steps:
            raise ConfigError(
                f"{settings.where(name)}: no component {component!r}; {nearest(component, steps)}"
            )


def set_resources(spec: Json, settings: KubeflowSettings, target: str) -> None:
    """Limits what steps may use, and asks for what they need; tells a step of its accelerator.

    TFX's `platform_config` does the same, but not for an ExampleGen.

    Args:
        spec: The PipelineSpec.
        settings: Resources and, for KFP, requests.
        target: KFP or VERTEX.

    Raises:
        ConfigError: If a step is to request more than it may use.
    """
    limits = {wanted.component: wanted for wanted in settings.resources}
    for component, container in containers(spec).items():
        limit = limits.get(component, Resources(component))
        found = _limits(limit)
        if target == KFP:
            for wanted in own_or_shared(settings.requests, component):
                found |= _requests(wanted, limit, settings)
        if limit.accelerator is not None:
            _add_variables(container, {ACCELERATOR_VARIABLE: limit.accelerator})
        if found:
            container["resources"] = found


def _limits(limit: Resources) -> Json:
    limits: Json = {"cpuLimit": limit.cpu, "memoryLimit": limit.memory}
    if limit.accelerator is not None:
        # JSON has a 64-bit integer as text.
        limits["accelerator"] = {"type": limit.accelerator, "count": str(limit.accelerators)}
    return {name: value for name, value in limits.items() if value is not None}


def _requests(wanted: Requests, limit: Resources, settings: KubeflowSettings) -> Json:
    """What is to be free, where Kubernetes would not take the limit for it."""
    requests = {}
    for name in ("cpu", "memory"):
        amount, most = getattr(wanted, name), getattr(limit, name)
        if amount is None or (most is not None and wanted.component is None):
            continue
        if most is not None and amount > most:
            raise ConfigError(
                f"{settings.where('requests')}: {wanted.component} requests more {name} than "
                f"{settings.where('resources')} lets it use; lower it"
            )
        requests[f"{name}Request"] = amount
    return requests


def set_environment(spec: Json, settings: KubeflowSettings) -> None:
    """Gives all steps environment variables."""
    environment = {variable.name: variable.value for variable in settings.env}
    for container in containers(spec).values() if environment else ():
        _add_variables(container, environment)


def containers(spec: Json) -> dict[str, Json]:
    """The containers of a PipelineSpec, by component."""
    return {
        name.removesuffix("_executor"): executor["container"]
        for name, executor in _executors(spec).items()
        if "container" in executor
    }


def _add_variables(container: Json, variables: Mapping[str, str]) -> None:
    added = [{"name": name, "value": value} for name, value in variables.items()]
    container["env"] = [*container.get("env", []), *added]


def set_retries(spec: Json, settings: KubeflowSettings, target: str) -> None:
    """Starts failed steps again, after a minute, two, four and so on.

    Args:
        spec: The PipelineSpec.
        settings: How often which step.
        target: KFP or VERTEX.
    """
    for component in containers(spec):
        for retries in own_or_shared(settings.retries, component):
            if retries.count:
                _tasks(spec)[component]["retryPolicy"] = {
                    "maxRetryCount": retries.count,
                    "backoffDuration": "60s",
                    "backoffFactor": 2.0,
                    "backoffMaxDuration": _KFP_RETRIES_END
                    if target == KFP
                    else _VERTEX_RETRIES_END,
                }


def check_size(spec: Json) -> None:
    """Checks that Kubeflow can start a run.

    Its driver gets the whole root as one argument: `addDAGDriverTemplate` in
    `backend/src/v2/compiler/argocompiler/dag.go`.

    Args:
        spec: The PipelineSpec.

    Raises:
        ConfigError: If that is longer than Linux takes.
    """
    size = _size(spec["root"])
    if size >= _LONGEST_ARGUMENT:
        sizes = {name: _size(task) for name, task in _tasks(spec).items()}
        largest = max(sizes, key=lambda name: sizes[name])
        raise ConfigError(
            f"the compiled DAG has {size:,} bytes, and Kubeflow hands it over as one argument, of "
            f"which Linux takes less than {_LONGEST_ARGUMENT:,}; most of it is {largest} "
            f"({sizes[largest]:,} bytes): name fewer columns or tasks in the TOML file"
        )


def _size(message: Json) -> int:
    """Bytes of the JSON that Kubeflow makes of a message."""
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def adapt_to_kfp(spec: Json, pipeline_root: str, uncached: Iterable[str]) -> None:
    """Takes out what open-source Kubeflow Pipelines ignores, and has it show the report.

    Args:
        spec: The PipelineSpec.
        pipeline_root: Where the artifacts go.
        uncached: Components that run in every run.
    """
    # The server does not read it; kfp.Client hands it over with a run, see kubeflow_submit.
    spec["defaultPipelineRoot"] = pipeline_root
    for component in uncached:
        _tasks(spec)[component].pop("cachingOptions", None)
    pages.mark_pages(spec, ConflictReportPage)
    for executor in _executors(spec).values():
        # The hook that has an ExampleGen's driver run; our entry point runs it.
        executor["container"].pop("lifecycle", None)


def _tasks(spec: Json) -> Json:
    tasks: Json = spec["root"]["dag"]["tasks"]
    return tasks


def _executors(spec: Json) -> Json:
    executors: Json = spec["deploymentSpec"]["executors"]
    return executors
