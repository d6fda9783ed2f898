"""The charts about a comparison. To be used within `drawing.style()`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pcgrad_tfx import formatting
from pcgrad_tfx.comparison.methods import STATIC_WEIGHTS
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, TREES, ComparisonOutcome, StepTime
from pcgrad_tfx.comparison.statistics import Finding
from pcgrad_tfx.comparison.wording import METRIC_NAMES
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.drawing import (
    BETTER,
    COLORS,
    INK,
    QUIET,
    WORSE,
    Chart,
    Figure,
    dots,
)
from pcgrad_tfx.evaluation.scores import mean_defined

# More lines cannot be told apart, more tasks have no room.
_MOST_METHODS = len(COLORS)
_MOST_TASKS = 12


def differences(
    title: str, rows: Sequence[str], findings: Sequence[Finding], metric: str
) -> Markup:
    """Differences from equal weights with their intervals, zero in the middle.

    Args:
        title: What the chart is about; distinct in a page.
        rows: Distinct names of the findings.
        findings: On one metric.
        metric: Its name as people read it.
    """
    chart = Chart(f"differences {title}", height=78 + 22 * len(findings))
    axes = chart.axes
    values = [(finding.difference, finding.low, finding.high) for finding in findings]
    labels = wording.chart_labels(rows)
    dots(axes, [labels[row] for row in rows], values, [_color(finding) for finding in findings])
    axes.axvline(0, color=INK, linewidth=0.8)
    ends = [abs(end) for row in values for end in row if end is not None]
    limit = 1.1 * max(ends, default=0.0) or 1.0
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
    axes.set_xlabel(f"worse  ←  difference of {metric}  →  better")
    words = "; ".join(
        f"{row} {formatting.number(finding.difference, 4)}"
        for row, finding in zip(rows, findings, strict=True)
    )
    return chart.svg(f"{title}, difference of {metric} to {EQUAL_WEIGHTS}: {words}.")


def step_times(times: Sequence[StepTime]) -> Markup:
    """What a step costs, in units of the plain step."""
    chart = Chart("step times", height=78 + 22 * len(times))
    axes = chart.axes
    values = [(time.ratio, time.low, time.high) for time in times]
    dots(axes, [time.method for time in times], values, [INK] * len(times))
    axes.axvline(1, color=QUIET, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(0, 1.1 * max(1.0, *(time.high for time in times)))
    axes.set_xlabel("time of a step ÷ time of a plain step")
    words = "; ".join(f"{time.method} {formatting.number(time.ratio)}" for time in times)
    return chart.svg(f"Step times in units of a plain step: {words}.")


def trade_off(comparison: ComparisonOutcome) -> Iterator[Figure]:
    """One chart, if there are two tasks or more, but not too many."""
    methods = [method.name for method in comparison.methods][:_MOST_METHODS]
    if len(comparison.metrics) == 2:
        yield _plane(comparison, methods)
    elif 2 < len(comparison.metrics) <= _MOST_TASKS:
        changes = _changes(comparison, methods)
        if changes:
            yield _lines(comparison, changes)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those points that no other one is better than on both axes, from left to right."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points, reverse=True):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found[::-1]


def _plane(comparison: ComparisonOutcome, methods: Sequence[str]) -> Figure:
    first, second = comparison.metrics
    chart = Chart("trade-off", height=330 + 16 * len(methods))
    axes = chart.axes
    trials = [trial.test for trial in comparison.trials if trial.method == STATIC_WEIGHTS]
    if tried := _points(trials, first, second):
        axes.plot(*zip(*tried, strict=True), "o", color=QUIET, fillstyle="none", markersize=4)
        best = frontier(tried)
        axes.plot(*zip(*best, strict=True), color=QUIET, linewidth=1, label="static weights tried")
    words = []
    for method, color in zip(methods, COLORS, strict=False):
        scores = [run.test for run in comparison.runs if run.method == method]
        if seeds := _points(scores, first, second):
            shown: dict[str, Any] = {"color": color, "markersize": 5, "alpha": 0.8, "label": method}
            axes.plot(*zip(*seeds, strict=True), "o", **shown)
            means = map(mean_defined, zip(*seeds, strict=True))
            words.append(f"{method} {' and '.join(formatting.number(mean, 3) for mean in means)}")
    for point in _points([comparison.references.get(TREES, {})], first, second):
        axes.plot(*point, "x", color=INK, markersize=7, label=TREES)
    labels = wording.chart_labels([first, second])
    for axis, task in ((axes.xaxis, first), (axes.yaxis, second)):
        metric = METRIC_NAMES.get(comparison.metrics[task], comparison.metrics[task])
        axis.set_label_text(f"{labels[task]}, {metric}  →  better")
        axis.set_major_locator(MaxNLocator(5))
    axes.grid()
    axes.set_axisbelow(True)
    chart.figure.legend(loc="outside lower left", ncols=2, handlelength=1)
    return Figure(
        "Trade-off between the tasks",
        chart.svg(f"Means on the test split, {first} and {second}: {'; '.join(words)}."),
        "One dot for each seed on the test split. Grey rings: static weights as they were tried in "
        "the search; the line joins those that no other of them is better than on both tasks.",
    )


def _points(
    scores: Iterable[Mapping[str, float | None]], first: str, second: str
) -> list[tuple[float, float]]:
    """Where both tasks' metrics are defined."""
    pairs = ((of_tasks.get(first), of_tasks.get(second)) for of_tasks in scores)
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _changes(
    comparison: ComparisonOutcome, methods: Sequence[str]
) -> dict[str, list[float | None]]:
    """The relative differences to equal weights, by method, in the tasks' order."""
    means = {
        method: [
            mean_defined(run.test.get(task) for run in comparison.runs if run.method == method)
            for task in comparison.metrics
        ]
        for method in methods
    }
    base = means[EQUAL_WEIGHTS]
    if any(value is None or value <= 0 for value in base):
        return {}
    return {
        method: [
            None if value is None or of_equal is None else value / of_equal - 1
            for value, of_equal in zip(values, base, strict=True)
        ]
        for method, values in means.items()
    }


def _lines(comparison: ComparisonOutcome, changes: dict[str, list[float | None]]) -> Figure:
    chart = Chart("trade-off", height=280 + 16 * len(changes))
    axes = chart.axes
    places = range(len(comparison.metrics))
    words = []
    for (method, values), color in zip(changes.items(), COLORS, strict=False):
        heights = [float("nan") if value is None else 100 * value for value in values]
        axes.plot(places, heights, "o-", color=color, markersize=4, label=method)
        words.append(f"{method} {', '.join(formatting.signed(height, 1) for height in heights)}%")
    labels = wording.chart_labels(list(comparison.metrics))
    axes.set_xticks(places, [labels[task] for task in comparison.metrics], rotation=30, ha="right")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{formatting.signed(value, 1)}%")
    )
    axes.set_ylabel("change of the metric")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    chart.figure.legend(loc="outside lower left", ncols=2, handlelength=1.5)
    return Figure(
        "Trade-off between the tasks",
        chart.svg(f"Change of the metric against {EQUAL_WEIGHTS}, by task: {'; '.join(words)}."),
        f"Each method's mean metric on the test split, relative to that of {EQUAL_WEIGHTS}. A "
        "method that goes up on one task and down on another trades them.",
    )


def _color(finding: Finding) -> str:
    if not finding.is_significant or finding.difference is None:
        return QUIET
    return BETTER if finding.difference > 0 else WORSE
