"""Whether a comparison sees what is there, and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from comparisons import METHODS, METRICS, drawn
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Improvement, StepTime
from pcgrad_tfx.comparison.statistics import (
    LEVEL,
    POWER,
    compare_methods,
    detectable_effect,
    in_equal_time,
    paired,
)
from pcgrad_tfx.comparison.wording import verdict


def test_null_comparisons_are_rejected_as_often_as_promised():
    """Bar: 3% to 7%. A family is rejected if any of its findings is significant."""
    trials = 2000
    rejected = {"by task": 0, "overall": 0, "one method": 0}
    for seed in range(trials):
        found = compare_methods(drawn(seed, metrics=dict.fromkeys(METRICS, "auc")))
        rejected["by task"] += any(f.is_significant for f in found if f.task)
        rejected["overall"] += any(f.is_significant for f in found if not f.task)
        alone = compare_methods(drawn(trials + seed, methods=METHODS[:2], metrics={"tip": "auc"}))
        rejected["one method"] += any(f.is_significant for f in alone)
    rates = {family: count / trials for family, count in rejected.items()}
    print(rates)
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates


def test_a_built_in_difference_is_found_where_it_is():
    effects = {("PCGrad", "tip"): 0.1, ("PPCGrad", "fare"): -0.1}
    found = {(f.method, f.task): f for f in compare_methods(drawn(1, effects=effects))}
    assert {key for key, f in found.items() if f.is_significant and key[1]} == set(effects)
    for key, effect in effects.items():
        assert found[key].low < effect < found[key].high
        assert found[key].difference == pytest.approx(effect, abs=0.03)


def raw_tests(comparison, methods, tasks, relative=False):
    """SciPy's paired tests of the mean over tasks, in units of equal weights' mean if relative."""

    def unit(task):
        equal = [run.test[task] for run in comparison.runs if run.method == EQUAL_WEIGHTS]
        return np.mean(equal) if relative else 1.0

    def values(method):
        runs = [run for run in comparison.runs if run.method == method]
        return [np.mean([run.test[task] / unit(task) for task in tasks]) for run in runs]

    return {method: stats.ttest_rel(values(method), values(EQUAL_WEIGHTS)) for method in methods}


def test_the_p_values_are_scipys_corrected_by_holm():
    """Of k tests the smallest p-value counts k times, the next k - 1 times, and so on."""
    methods, metrics = METHODS[:3], {"tip": "auc", "fare": "r_squared"}
    effects = {("PCGrad", "tip"): 0.03, ("PPCGrad", "tip"): 0.02, ("PCGrad", "fare"): 0.015}
    comparison = drawn(2, methods=methods, metrics=metrics, effects=effects)
    families = [
        [(method, task) for method in methods[1:] for task in metrics],
        [(method, None) for method in methods[1:]],
    ]
    found = {(finding.method, finding.task): finding for finding in compare_methods(comparison)}
    for family in families:
        raw = {
            (method, task): raw_tests(
                comparison, [method], [task] if task else metrics, relative=task is None
            )[method]
            for method, task in family
        }
        least = 0.0
        ordered = sorted(raw, key=lambda key: raw[key].pvalue)
        for factor, key in zip(range(len(family), 0, -1), ordered, strict=True):
            least = max(least, factor * raw[key].pvalue)
            assert least < 1
            assert found[key].p_value == pytest.approx(least, rel=1e-9)
            # Intervals are not corrected.
            interval = raw[key].confidence_interval(1 - LEVEL)
            assert (found[key].low, found[key].high) == pytest.approx(tuple(interval))
        # Holm differs from Bonferroni, which always takes the largest factor.
        assert least < len(family) * raw[ordered[-1]].pvalue


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_the_detectable_difference_is_seen_with_the_power_that_is_promised(seeds):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20_000, seeds))
    # In units of the standard error that the drawn differences have in truth.
    example = paired(noise[0])
    standardized = example[4] / (noise[0].std(ddof=1) / math.sqrt(seeds))
    shifted = noise + standardized / math.sqrt(seeds)
    seen = stats.ttest_1samp(shifted, 0, axis=1).pvalue < LEVEL
    assert seen.mean() == pytest.approx(POWER, abs=0.015)


def power(effect, samples):
    """Of the t-test, over the quantiles of the standard error that it estimates."""
    degrees = samples - 1
    critical = stats.t.isf(LEVEL / 2, degrees)

    def seen(quantile):
        limit = critical * math.sqrt(stats.chi2.ppf(quantile, degrees) / degrees)
        mean = effect * math.sqrt(samples)
        return stats.norm.sf(limit - mean) + stats.norm.cdf(-limit - mean)

    return integrate.quad(seen, 0, 1, epsabs=1e-9)[0]


@pytest.mark.parametrize("samples", range(2, 41))
def test_the_detectable_effect_is_exact_to_six_digits(samples):
    effect = detectable_effect(samples)
    assert power(effect * (1 - 1e-6), samples) < POWER < power(effect * (1 + 1e-6), samples)


@settings(max_examples=100)
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=2, max_size=12))
def test_intervals_and_tests_agree(differences):
    mean, low, high, p_value, detectable = paired(differences)
    assert low <= mean <= high
    assert 0 <= p_value <= 1
    assert detectable >= 0
    if abs(p_value - LEVEL) > 1e-6 and high > low:
        assert (p_value < LEVEL) == (low > 0 or high < 0)


def test_equal_runs_differ_by_nothing():
    comparison = drawn(0, noise=0.0)
    assert not any(finding.is_significant for finding in compare_methods(comparison))
    assert {finding.p_value for finding in compare_methods(comparison)} == {1.0}


@pytest.mark.parametrize(("seeds", "p_value"), [(3, 0.25), (5, 0.0625), (8, 2**-7)])
def test_seeds_that_all_differ_by_the_same_are_counted_by_their_signs(seeds, p_value):
    # One row of ten more, whatever the level: not equal in floating point.
    differences = [(k + 1) / 10 - k / 10 for k in range(seeds)]
    assert paired(differences)[3] == p_value
    assert paired(differences)[:3] == pytest.approx((0.1, 0.1, 0.1))


def test_undefined_metrics_are_left_out():
    comparison = drawn(3)
    runs = [run.model_copy(update={"test": run.test | {"late": None}}) for run in comparison.runs]
    found = compare_methods(comparison.model_copy(update={"runs": tuple(runs)}))
    assert {(f.task, f.seeds) for f in found if f.method == "PCGrad"} == {
        ("tip", 5), ("late", 0), ("fare", 5), (None, 0),
    }  # fmt: skip
    assert all((f.p_value is None) == (f.seeds == 0) for f in found)
    said = verdict(comparison.model_copy(update={"runs": tuple(runs)}))
    assert "no answer on late" in said


def test_a_seed_without_one_metric_leaves_no_mean_over_the_tasks():
    """Its differences would be those of other seeds."""
    comparison = drawn(3)
    runs = [
        run.model_copy(update={"test": run.test | {"late": None}})
        if (run.method, run.seed) == ("PCGrad", 1)
        else run
        for run in comparison.runs
    ]
    found = compare_methods(comparison.model_copy(update={"runs": tuple(runs)}))
    seeds = {f.task: f.seeds for f in found if f.method == "PCGrad"}
    assert seeds == {"tip": 5, "late": 4, "fare": 5, None: 0}


def test_without_a_metric_above_zero_there_is_no_relative_change():
    comparison = drawn(0, effects={(method, "fare"): -0.9 for method in METHODS})
    overall = [f for f in compare_methods(comparison) if f.task is None]
    assert [(f.seeds, f.difference, f.p_value) for f in overall] == [(0, None, None)] * 3
    assert "mean over the tasks" not in verdict(comparison)


def test_scores_in_equal_time_are_those_of_the_epochs_that_fit():
    """A step takes 1.31 times as long: of 10 epochs 8 fit."""

    def way(*epochs):
        return tuple(Improvement(epochs=e, test=dict.fromkeys(METRICS, e / 100)) for e in epochs)

    comparison = drawn(0, seeds=2)
    ways = {0: way(1, 7, 9), 1: way(2, 8)}
    runs = tuple(
        run.model_copy(update={"epochs": 10, "improvements": ways[run.seed]})
        for run in comparison.runs
    )
    comparison = comparison.model_copy(update={"runs": runs})
    assert in_equal_time(comparison) == {"PCGrad": pytest.approx(dict.fromkeys(METRICS, 0.075))}
    slow = StepTime(method="PCGrad", ratio=9.0, low=9, high=9)
    nothing = in_equal_time(comparison.model_copy(update={"step_times": (slow,)}))
    assert nothing == {"PCGrad": dict.fromkeys(METRICS)}
