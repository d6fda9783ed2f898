"""What the Evaluator computes for each task, when a model may be pushed, and what came out."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from pcgrad_tfx.config.task_kinds import LABELLED_ROWS, EvaluationMetric
from pcgrad_tfx.config.tasks import Task, check_tasks

# The messages are taken from their own module: TFMA 0.52 does not export them.
_OVERALL = config_pb2.SlicingSpec()


@dataclass(frozen=True)
class TaskResult:
    """How a model did on one task, over the whole evaluated split.

    Attributes:
        task: The task's name.
        metric: The name of the primary metric, higher is better.
        value: The model's primary metric; NaN where it is not defined.
        constant_value: The primary metric of a constant prediction.
        baseline_value: The last blessed model's primary metric; None without such a model.
        passed: Whether the task's gate let the model pass.
        reasons: Why not, one sentence each; empty if it passed.
        details: The other metrics by name, regression errors in the label's own unit;
            `example_count` is the number of rows with a label, with a `weight` the sum of theirs.
    """

    task: str
    metric: str
    value: float
    constant_value: float
    baseline_value: float | None
    passed: bool
    reasons: tuple[str, ...]
    details: dict[str, float]


def eval_config(
    tasks: Sequence[Task], slices: Iterable[Sequence[str]] = (), has_masks: bool = True
) -> config_pb2.EvalConfig:
    """The Evaluator's configuration for a model with one serving output per task.

    Args:
        tasks: The model's tasks.
        slices: For each further slicing of the metrics the raw columns to slice by. Gates look
            at the overall slice only: a tiny slice must not stop a model.
        has_masks: Whether Transform writes each task's `mask_key`. Rows whose mask is 0 do not
            count in that task's metrics; of a task with a `weight` those whose `weight_key` is 0.

    Returns:
        The configuration; it holds for the first run, where there is no blessed model yet, too.

    Raises:
        ValueError: If the tasks as a whole are wrong (see `check_tasks`).
    """
    check_tasks(tasks)
    model_spec = config_pb2.ModelSpec(
        signature_name="serving_default", preprocessing_function_names=["transform_features"]
    )
    weight_keys = {task.name: task.mask_key for task in tasks if has_masks}
    weight_keys |= {task.name: task.weight_key for task in tasks if task.weight is not None}
    # TFMA unwraps the dictionary of a model with one output and then knows no output names.
    if len(tasks) == 1:
        model_spec.label_key = tasks[0].label_key
        model_spec.example_weight_key = weight_keys.get(tasks[0].name, "")
    else:
        for task in tasks:
            model_spec.label_keys[task.name] = task.label_key
            if task.name in weight_keys:
                model_spec.example_weight_keys[task.name] = weight_keys[task.name]
    return config_pb2.EvalConfig(
        model_specs=[model_spec],
        slicing_specs=[_OVERALL, *(config_pb2.SlicingSpec(feature_keys=keys) for keys in slices)],
        metrics_specs=[spec for task in tasks for spec in _metrics_specs(task, len(tasks))],
    )


def read_results(evaluation_path: str, tasks: Sequence[Task]) -> list[TaskResult]:
    """Reads what the Evaluator found.

    Args:
        evaluation_path: The folder of the Evaluator's `evaluation` artifact.
        tasks: The tasks that the evaluation was configured with.

    Returns:
        One result per task, in the order of `tasks`.
    """
    values = _overall_values(evaluation_path)
    failures = _failures(evaluation_path)
    results = []
    for task in tasks:
        (output,) = _output_names(task, len(tasks)) or [""]
        candidate = values[output, False]
        baseline = values[output, True].get(task.primary_metric.name)
        reasons = _reasons(task, candidate, baseline, failures[output])
        results.append(
            TaskResult(
                task=task.name,
                metric=task.primary_metric.name,
                value=candidate.get(task.primary_metric.name, math.nan),
                constant_value=task.constant_value,
                baseline_value=baseline,
                passed=not reasons,
                reasons=reasons,
                details={m.name: candidate.get(m.name, math.nan) for m in task.detail_metrics},
            )
        )
    return results


def _metrics_specs(task: Task, task_count: int) -> Iterator[config_pb2.MetricsSpec]:
    output_names = _output_names(task, task_count)
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": task.lowest_value}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
            absolute={"value": -task.gate.max_drop},
        ),
    )
    primary = _metric_config(task.primary_metric)
    primary.per_slice_thresholds.append(
        config_pb2.PerSliceMetricThreshold(slicing_specs=[_OVERALL], threshold=threshold)
    )
    aggregate = None
    if task.per_class:
        aggregate = config_pb2.AggregationOptions(
            macro_average=True, class_weights=dict.fromkeys(range(task.units), 1.0)
        )
    yield config_pb2.MetricsSpec(output_names=output_names, metrics=[primary], aggregate=aggregate)
    yield config_pb2.MetricsSpec(
        output_names=output_names, metrics=[_metric_config(m) for m in task.detail_metrics]
    )


def _output_names(task: Task, task_count: int) -> list[str]:
    return [task.name] if task_count > 1 else []


def _metric_config(metric: EvaluationMetric) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(
        class_name=metric.class_name,
        module=metric.module,
        config=json.dumps({"name": metric.name}),
    )


def _overall_values(evaluation_path: str) -> defaultdict[tuple[str, bool], dict[str, float]]:
    """The overall slice's metrics by name, for each pair (output name, is the baseline)."""
    values: defaultdict[tuple[str, bool], dict[str, float]] = defaultdict(dict)
    for metrics in tfma.load_metrics(evaluation_path):
        if metrics.slice_key.single_slice_keys:
            continue
        for entry in metrics.metric_keys_and_values:
            key = entry.key
            if not key.is_diff:
                output = key.output_name, key.model_name == tfma.BASELINE_KEY
                values[output][key.name] = entry.value.double_value.value
    return values


def _failures(evaluation_path: str) -> defaultdict[str, set[str]]:
    """The kinds of threshold that the model failed, by output name."""
    failures: defaultdict[str, set[str]] = defaultdict(set)
    validation = tfma.load_validation_result(evaluation_path)
    for slice_ in validation.metric_validations_per_slice:
        for failure in slice_.failures:
            kinds = {field.name for field, _ in failure.metric_threshold.ListFields()}
            failures[failure.metric_key.output_name] |= kinds
    return failures


def _reasons(
    task: Task, values: dict[str, float], baseline: float | None, failures: set[str]
) -> tuple[str, ...]:
    name = task.primary_metric.name
    value = values.get(name, math.nan)
    if not values.get(LABELLED_ROWS.name):
        return (f"no evaluated row has a label{' and a weight' if task.weight else ''}",)
    if math.isnan(value):
        lacking = (
            "the evaluated rows lack one of the classes"
            if task.per_class
            else "the labels of the evaluated rows do not vary, or some are NaN without a mask"
        )
        return (f"{name} is not defined: {lacking}",)
    reasons = []
    if "value_threshold" in failures:
        reasons.append(
            f"{name} {value:.4f} is below {task.lowest_value:.4f}: min_gain"
            f" {task.gate.min_gain:g} above a constant prediction's {task.constant_value:g}"
        )
    if "change_threshold" in failures and baseline is not None:
        reasons.append(
            f"{name} {value:.4f} is more than max_drop {task.gate.max_drop:g} below the last"
            f" blessed model's {baseline:.4f}"
        )
    return tuple(reasons)
