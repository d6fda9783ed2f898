"""Whether a method is better than equal weights, or whether seeds differ as much.

Each method is trained with the same seeds, so that differences can be taken seed by seed: what a
seed does to all methods alike drops out. All intervals and tests are about the noise between seeds,
on one split of one data set; they say nothing about other test data.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.evaluation.scores import mean_defined

# Two-sided, of tests and intervals.
LEVEL = 0.05
# The metric over all tasks: Δm of Maninis et al. 2019 (arXiv 1904.08918), equation 4, against equal
# weights.
RELATIVE_CHANGE = "relative_change"
# With which probability the smallest detectable difference would be seen.
POWER = 0.8


@dataclasses.dataclass(frozen=True)
class Finding:
    """How a method does against equal weights, on a task or on all.

    What is undefined is None: the metric was undefined in all runs but one at most.

    Attributes:
        method: The method's name.
        task: The task's name, None for the mean over all tasks.
        metric: The name of the metric.
        seeds: How many differences there are.
        difference: Mean over the seeds of the method's metric minus that of equal weights.
        low: Lower end of the 95% t-interval of the mean difference.
        high: Upper end.
        p_value: Of the paired t-test, after Holm's correction: over tasks × methods, or over the
            methods for the mean over all tasks.
        detectable: The smallest difference that so many seeds show with a probability of 80%, as
            much as they differ (two-sided test at 5%, not corrected).
    """

    method: str
    task: str | None
    metric: str
    seeds: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    detectable: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether the difference is larger than the noise between seeds."""
        return self.p_value is not None and self.p_value < LEVEL


def compare_methods(comparison: ComparisonOutcome) -> list[Finding]:
    """Compares all methods with equal weights on the test split.

    Returns:
        For each method all tasks, and then for each method the mean over the tasks of the relative
        change, if there is more than one; it is undefined where equal weights have a metric of 0
        or below.
    """
    methods = [method.name for method in comparison.methods if method.name != EQUAL_WEIGHTS]
    by_task = [
        _finding(method, task, metric, _differences(comparison, method, task))
        for method in methods
        for task, metric in comparison.metrics.items()
    ]
    overall = [
        _finding(method, None, RELATIVE_CHANGE, _relative_changes(comparison, method))
        for method in methods
        if len(comparison.metrics) > 1
    ]
    return [*corrected(by_task), *corrected(overall)]


def in_equal_time(comparison: ComparisonOutcome) -> dict[str, dict[str, float | None]]:
    """The metrics that the methods have in the time that equal weights train.

    Of a method whose step takes twice as long, those of its best epoch in the first half of as many
    epochs as equal weights make with the same seed.

    Returns:
        Means over the seeds, by method and task, of the methods whose steps were timed; None for a
        method that has not finished an epoch by then.
    """
    epochs = {run.seed: run.epochs for run in comparison.runs if run.method == EQUAL_WEIGHTS}
    found: dict[str, dict[str, float | None]] = {}
    for time in comparison.step_times:
        scores = []
        for run in comparison.runs:
            if run.method == time.method and run.improvements:
                most = round(epochs[run.seed] / time.ratio)
                made = [one.test for one in run.improvements if one.epochs <= most]
                scores.append(made[-1] if made else {})
        if scores:
            found[time.method] = {
                task: None if {} in scores else mean_defined(score.get(task) for score in scores)
                for task in comparison.metrics
            }
    return found


def paired(differences: Iterable[float]) -> tuple[float, float, float, float, float] | None:
    """The paired t-test of one method; the sign test if all differences are the same.

    Args:
        differences: Of the metrics, seed by seed.

    Returns:
        Mean, lower and upper end of its interval, p-value, smallest detectable difference; None
        with less than two differences.
    """
    values: npt.NDArray[np.float64] = np.asarray(list(differences), np.float64)
    if len(values) < 2:
        return None
    mean, std = float(values.mean()), float(values.std(ddof=1))
    if std / math.sqrt(len(values)) <= 1e-9 * abs(mean):
        # All seeds differ by the same, up to rounding, as with a coarse metric on few rows: that
        # tells nothing of the noise's size, so only the signs count.
        return mean, mean, mean, 0.5 ** (len(values) - 1) if mean else 1.0, 0.0
    test = stats.ttest_1samp(values, 0.0)
    low, high = map(float, test.confidence_interval(1 - LEVEL))
    return mean, low, high, float(test.pvalue), detectable_effect(len(values)) * std


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over a family of tests; None stays, and does not count."""
    tested = [p_value for p_value in p_values if p_value is not None]
    if not tested:
        return list(p_values)
    adjusted = map(float, multipletests(tested, method="holm")[1])
    return [None if p_value is None else next(adjusted) for p_value in p_values]


@functools.cache
def detectable_effect(samples: int) -> float:
    """The mean, in standard deviations, that a t-test of so many samples sees with `POWER`."""

    def power(effect: float) -> float:
        # Side by side: far out the other side's tail, which is 0 there, is NaN with SciPy 1.18.
        sides = (
            TTestPower().power(effect, samples, LEVEL / 2, alternative=side)
            for side in ("larger", "smaller")
        )
        return float(np.nansum(list(sides)))

    # `solve_power` stops within 1e-5.
    return float(optimize.brentq(lambda effect: power(effect) - POWER, 0, 20))


def corrected(family: Sequence[Finding]) -> list[Finding]:
    """With Holm's correction over a family of findings; undefined ones do not count."""
    adjusted = holm([finding.p_value for finding in family])
    return [
        dataclasses.replace(finding, p_value=p_value)
        for finding, p_value in zip(family, adjusted, strict=True)
    ]


def _finding(method: str, task: str | None, metric: str, differences: Sequence[float]) -> Finding:
    return Finding(method, task, metric, len(differences), *(paired(differences) or ()))


def _differences(comparison: ComparisonOutcome, method: str, task: str) -> list[float]:
    """The method's metric minus that of equal weights, of each seed for which both are defined."""
    values = {(run.method, run.seed): run.test.get(task) for run in comparison.runs}
    pairs = [(values.get((method, s)), values.get((EQUAL_WEIGHTS, s))) for s in comparison.seeds]
    return [a - b for a, b in pairs if a is not None and b is not None]


def _relative_changes(comparison: ComparisonOutcome, method: str) -> list[float]:
    """The mean over the tasks of the differences in units of equal weights' mean, by seed."""
    of_tasks = []
    for task in comparison.metrics:
        base = mean_defined(
            run.test.get(task) for run in comparison.runs if run.method == EQUAL_WEIGHTS
        )
        differences = _differences(comparison, method, task)
        if base is None or base <= 0 or len(differences) < len(comparison.seeds):
            return []
        of_tasks.append([difference / base for difference in differences])
    return [fmean(of_seed) for of_seed in zip(*of_tasks, strict=True)]
