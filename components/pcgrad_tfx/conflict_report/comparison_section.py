"""What the page shows of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome, Method
from pcgrad_tfx.comparison.statistics import Finding, compare_methods, in_equal_time
from pcgrad_tfx.comparison.wording import CAVEAT, METRIC_NAMES, budget, sentences
from pcgrad_tfx.conflict_report import comparison_charts
from pcgrad_tfx.conflict_report.drawing import Figure
from pcgrad_tfx.evaluation.scores import mean_defined

# With more tasks there is a chart for each method, else one for each task.
_MAX_CHARTS_OF_TASKS = 6

_ALL_TASKS = "All tasks"

# A task, its metric, a value for each column.
Rows: TypeAlias = Sequence[tuple[str, str, Sequence[float | None]]]


@dataclass(frozen=True)
class ComparisonSection:
    """The content of the section.

    Attributes:
        budget: What was done for each method before it was scored.
        sentences: What was found, method by method.
        caveat: What the intervals are about.
        figures: The charts.
        findings: The rows of the table of differences.
        models: The columns of the table of metrics: the methods, and other models.
        metrics: Its rows, each method's mean over the seeds.
        timed: The methods whose steps were timed.
        in_equal_time: Their metrics in the time that equal weights train.
        chosen: What was chosen on eval: the method, the task or "", the settings as a text.
    """

    budget: str
    sentences: Sequence[str]
    caveat: str
    figures: Sequence[Figure]
    findings: Sequence[Finding]
    models: Sequence[str]
    metrics: Rows
    timed: Sequence[str]
    in_equal_time: Rows
    chosen: Sequence[tuple[str, str, str]]


def comparison_section(comparison: ComparisonOutcome) -> ComparisonSection:
    """Makes the section's content; within `drawing.style()`."""
    found = compare_methods(comparison)
    means: dict[str, Mapping[str, float | None]] = {
        method.name: {task: _mean(comparison, method.name, task) for task in comparison.metrics}
        for method in comparison.methods
    }
    means |= comparison.references
    timed = in_equal_time(comparison)
    return ComparisonSection(
        budget=budget(comparison),
        sentences=sentences(comparison),
        caveat=CAVEAT,
        figures=list(_figures(comparison, found)),
        findings=found,
        models=list(means),
        metrics=_rows(comparison, means),
        timed=list(timed),
        in_equal_time=_rows(comparison, timed),
        chosen=[row for method in comparison.methods for row in _chosen(method)],
    )


def metric_name(metric: str) -> str:
    """A metric as people read it."""
    return METRIC_NAMES.get(metric, metric)


def _rows(
    comparison: ComparisonOutcome, by_model: Mapping[str, Mapping[str, float | None]]
) -> Rows:
    return [
        (task, metric_name(metric), [values.get(task) for values in by_model.values()])
        for task, metric in comparison.metrics.items()
    ]


def _chosen(method: Method) -> Iterator[tuple[str, str, str]]:
    for task, settings in (method.settings_by_task or {"": method.settings}).items():
        said = [f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items()]
        if method.loss_weights:
            weights = (f"{name} {value:g}" for name, value in method.loss_weights.items())
            said.append(f"loss weights {', '.join(weights)}")
        yield method.name, task, "; ".join(said) or "as configured"


def _figures(comparison: ComparisonOutcome, found: Sequence[Finding]) -> Iterator[Figure]:
    by_task = [finding for finding in found if finding.task is not None]
    overall = [finding for finding in found if finding.task is None]
    if overall and any(finding.difference is not None for finding in overall):
        yield Figure(
            f"{_ALL_TASKS}: Δm",
            comparison_charts.differences(
                _ALL_TASKS, [f.method for f in overall], overall, metric_name(overall[0].metric)
            ),
            "Mean over the tasks of the difference to equal weights, in units of what equal "
            "weights have there (0.01 is 1%).",
        )
    yield from comparison_charts.trade_off(comparison)
    if len(comparison.metrics) <= _MAX_CHARTS_OF_TASKS:
        for task, metric in comparison.metrics.items():
            chosen = [finding for finding in by_task if finding.task == task]
            yield _differences(task, [f.method for f in chosen], chosen, metric)
    else:
        for method, kind in dict.fromkeys((f.method, f.metric) for f in by_task):
            chosen = [f for f in by_task if (f.method, f.metric) == (method, kind)]
            yield _differences(method, [f.task or "" for f in chosen], chosen, kind)
    times = [time for time in comparison.step_times if time.method != EQUAL_WEIGHTS]
    if times:
        yield Figure(
            "Price of a step",
            comparison_charts.step_times(times),
            "Time of a training step in units of a plain step, which makes one backward pass of "
            "the summed losses, measured in turns: median and quartiles.",
        )


def _differences(title: str, rows: Sequence[str], chosen: Sequence[Finding], metric: str) -> Figure:
    chart = comparison_charts.differences(title, rows, chosen, metric_name(metric))
    return Figure(f"{title}: {metric_name(metric)}", chart)


def _mean(comparison: ComparisonOutcome, method: str, task: str) -> float | None:
    """Over the seeds for which the metric is defined."""
    return mean_defined(run.test.get(task) for run in comparison.runs if run.method == method)
