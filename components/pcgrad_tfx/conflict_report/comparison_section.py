"""What the page shows of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import Finding, compare_methods, mean_defined
from pcgrad_tfx.comparison.wording import CAVEAT, METRIC_NAMES, sentences
from pcgrad_tfx.conflict_report import comparison_charts
from pcgrad_tfx.conflict_report.drawing import Figure

# With more tasks there is a chart for each method, else one for each task.
_MAX_CHARTS_OF_TASKS = 6

_ALL_TASKS = "Mean over all tasks"


@dataclass(frozen=True)
class ComparisonSection:
    """The content of the section.

    Attributes:
        sentences: What was found, method by method.
        caveat: What the intervals are about.
        figures: The charts.
        findings: The rows of the table of differences.
        methods: The columns of the table of metrics.
        metrics: Its rows: a task, its metric, and each method's mean over the seeds.
    """

    sentences: Sequence[str]
    caveat: str
    figures: Sequence[Figure]
    findings: Sequence[Finding]
    methods: Sequence[str]
    metrics: Sequence[tuple[str, str, Sequence[float | None]]]


def comparison_section(comparison: ComparisonOutcome) -> ComparisonSection:
    """Makes the section's content; within `drawing.style()`."""
    found = compare_methods(comparison)
    methods = [method.name for method in comparison.methods]
    return ComparisonSection(
        sentences=sentences(comparison),
        caveat=CAVEAT,
        figures=list(_figures(comparison, found)),
        findings=found,
        methods=methods,
        metrics=[
            (task, metric_name(metric), [_mean(comparison, method, task) for method in methods])
            for task, metric in comparison.metrics.items()
        ],
    )


def metric_name(metric: str) -> str:
    """A metric as people read it."""
    return METRIC_NAMES.get(metric, metric)


def _figures(comparison: ComparisonOutcome, found: Sequence[Finding]) -> Iterator[Figure]:
    by_task = [finding for finding in found if finding.task is not None]
    overall = [finding for finding in found if finding.task is None]
    if len(comparison.metrics) <= _MAX_CHARTS_OF_TASKS:
        for task, metric in comparison.metrics.items():
            chosen = [finding for finding in by_task if finding.task == task]
            yield _differences(task, [f.method for f in chosen], chosen, metric)
    else:
        for method, kind in dict.fromkeys((f.method, f.metric) for f in by_task):
            chosen = [f for f in by_task if (f.method, f.metric) == (method, kind)]
            yield _differences(method, [f.task or "" for f in chosen], chosen, kind)
    if overall:
        yield _differences(_ALL_TASKS, [f.method for f in overall], overall, overall[0].metric)
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
