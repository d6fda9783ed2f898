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
from pcgrad_pipelines.kubeflow.options import Resources
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
KFP_RETRIES_END = "2592000s"
# The largest that Kubeflow's compiler writes, for Vertex AI too: `RetryPolicy.to_proto` of the SDK.
VERTEX_RETRIES_END = "3600s"


def set_defaults(spec: Json, defaults: Mapping[str, Any]) -> None:
    """Gives the runtime parameters their defaults, which TFX's compiler leaves out."""
    for name, default in defaults.items():
        spec["root"]["inputDefinitions"]["parameters"][name]["defaultValue"] = default


def set_resources(spec: Json, resources: Mapping[str, Resources]) -> None:
    """Limits what steps may use, and asks for so much; tells a step of its accelerator.

    TFX's `platform_config` does the same, but not for an ExampleGen.

    Args:
        spec: The PipelineSpec.
        resources: By component.

    Raises:
        ConfigError: If there is no such component.
    """
    steps = containers(spec)
    for component, wanted in resources.items():
        if component not in steps:
            raise ConfigError(
                f"--resources: no component {component!r}; {nearest(component, sorted(steps))}"
            )
        limits: Json = {}
        if wanted.cpu is not None:
            limits["cpuLimit"] = wanted.cpu
        if wanted.memory is not None:
            limits["memoryLimit"] = wanted.memory
        if wanted.accelerator is not None:
            # JSON has a 64-bit integer as text.
            limits["accelerator"] = {"type": wanted.accelerator, "count": str(wanted.accelerators)}
            _add_variables(steps[component], {ACCELERATOR_VARIABLE: wanted.accelerator})
        steps[component]["resources"] = limits


def set_environment(spec: Json, environment: Mapping[str, str]) -> None:
    """Gives all steps environment variables."""
    if environment:
        for container in containers(spec).values():
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


def set_retries(spec: Json, components: Iterable[str], retries: int, max_duration: str) -> None:
    """Starts failed steps again, after a minute, two, four and so on.

    Args:
        spec: The PipelineSpec.
        components: The steps.
        retries: How often.
        max_duration: `KFP_RETRIES_END` or `VERTEX_RETRIES_END`.
    """
    for component in components if retries else ():
        _tasks(spec)[component]["retryPolicy"] = {
            "maxRetryCount": retries,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": max_duration,
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
