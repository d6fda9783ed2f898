"""Whether a method is better than equal weights, or whether seeds differ as much.

Each method is trained with the same seeds, so that differences can be taken seed by seed: what a
seed does to all methods alike drops out. All intervals and tests are about the noise between seeds,
on one split of one data set; they say nothing about other test data.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome

# Two-sided, of tests and intervals.
LEVEL = 0.05
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
        For each method all tasks, and then for each method the mean over all tasks if there is
        more than one and all have the same metric: AUC and R² have no mean.
    """
    methods = [method.name for method in comparison.methods if method.name != EQUAL_WEIGHTS]
    by_task = [
        _finding(comparison, method, [task], task, metric)
        for method in methods
        for task, metric in comparison.metrics.items()
    ]
    tasks, metrics = list(comparison.metrics), set(comparison.metrics.values())
    overall = [
        _finding(comparison, method, tasks, None, metric)
        for metric in metrics
        for method in methods
        if len(tasks) > 1 and len(metrics) == 1
    ]
    return [*corrected(by_task), *corrected(overall)]


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


def mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of those values that are defined; None without any."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


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


def _finding(
    comparison: ComparisonOutcome,
    method: str,
    tasks: Sequence[str],
    task: str | None,
    metric: str,
) -> Finding:
    values = {(run.method, run.seed): _mean(run.test, tasks) for run in comparison.runs}
    of_seeds = [
        (values.get((method, seed)), values.get((EQUAL_WEIGHTS, seed))) for seed in comparison.seeds
    ]
    differences = [a - b for a, b in of_seeds if a is not None and b is not None]
    return Finding(method, task, metric, len(differences), *(paired(differences) or ()))


def _mean(values: Mapping[str, float | None], tasks: Sequence[str]) -> float | None:
    """The mean over tasks, None if it is undefined for one of them."""
    of_tasks = [values.get(task) for task in tasks]
    return None if None in of_tasks else mean_defined(of_tasks)
