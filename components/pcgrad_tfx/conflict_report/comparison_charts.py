"""The charts about a comparison; each function makes one. To be used within `drawing.style()`."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from pcgrad_tfx import formatting
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, StepTime
from pcgrad_tfx.comparison.statistics import Finding
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.drawing import BETTER, INK, QUIET, WORSE, Chart, dots


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


def _color(finding: Finding) -> str:
    if not finding.is_significant or finding.difference is None:
        return QUIET
    return BETTER if finding.difference > 0 else WORSE
