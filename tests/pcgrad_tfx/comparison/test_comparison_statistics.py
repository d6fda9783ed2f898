"""Whether a comparison sees what is there, and nothing else."""

import gc
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from comparisons import METHODS, METRICS, drawn
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, LINEAR, TREES, Improvement, StepTime
from pcgrad_tfx.comparison.statistics import (
    LEVEL,
    POWER,
    RELATIVE_CHANGE,
    compare_methods,
    detectable_effect,
    in_equal_time,
    paired,
)
from pcgrad_tfx.comparison.wording import budget, sentences, verdict


@pytest.fixture
def little_garbage():
    """Makes collections fast: statsmodels runs one in each correction."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
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


def test_a_null_result_is_said_with_what_would_have_been_missed():
    assert verdict(drawn(0)) == (
        "PCGrad against equal weights (untuned): no difference larger than the noise between 5 "
        "seeds (smaller than 0.020 AUC on tip, 0.020 AUC on late or 0.019 R² on fare would not "
        "have been seen). static weights: no difference from equal weights (untuned) larger than "
        "the noise between 5 seeds."
    )


def test_whether_methods_were_tuned_is_in_every_sentence_on_them():
    comparison = drawn(0, effects={("static weights", "tip"): 0.2})
    for search, label in ((0, "(untuned)"), (16, "(each the best of 16 settings)")):
        tuned = comparison.model_copy(update={"search": search})
        about_methods = [said for said in sentences(tuned) if "against equal weights" in said]
        assert len(about_methods) == 3
        assert all(f"against equal weights {label}: " in said for said in about_methods)
        assert verdict(tuned).count(label) == 2
    assert budget(comparison).startswith("Untuned")
    assert "16 settings of learning rate" in budget(tuned)


@pytest.mark.parametrize(("count", "said"), [(3, " (t0 0, t1 1.5, t2 3)"), (4, "")])
def test_the_weights_that_were_chosen_are_said_if_they_can_be_read(count, said):
    metrics = {f"t{i}": "auc" for i in range(count)}
    comparison = drawn(0, metrics=metrics, effects={("static weights", "t0"): 0.2})
    weights = {task: 1.5 * i for i, task in enumerate(metrics)}
    *others, static = comparison.methods
    static = static.model_copy(update={"loss_weights": weights})
    comparison = comparison.model_copy(update={"methods": (*others, static)})
    assert f"static weights{said} against equal weights (untuned): better" in verdict(comparison)


def test_another_method_that_differs_has_its_sentence():
    effects = {("static weights", "tip"): 0.1}
    methods = (*METHODS, "FAMO", "UPGrad")
    said = verdict(drawn(2, effects=effects, methods=methods))
    assert "static weights against equal weights (untuned): better on tip (+0.1" in said
    assert "FAMO and UPGrad: no difference from equal weights (untuned) larger than the" in said


def test_what_differs_by_rounding_only_is_not_said_to_differ_by_less_than_nothing():
    assert "(smaller than 0.00001 AUC on tip, 0.00001 AUC on late" in verdict(drawn(0, noise=1e-8))


def test_a_difference_is_said_with_its_interval():
    effects = {("PCGrad", "tip"): 0.1, ("PCGrad", "fare"): -0.2, ("PPCGrad", "tip"): 0.1}
    said = verdict(drawn(1, effects=effects))
    assert said.startswith("PCGrad against equal weights (untuned): better on tip (+0.0")
    assert "; worse on fare (−0.2" in said
    assert "on late (smaller than" in said
    # PPCGrad estimates the same; it is mentioned because it does not have the loss on fare.
    assert "PPCGrad against equal weights (untuned): better on tip (+0." in said


def test_every_method_has_a_sentence_and_surgery_its_price():
    said = sentences(drawn(0))
    assert [text.partition(" against")[0] for text in said[:3]] == list(METHODS[1:])
    assert said[3] == (
        "A step takes 1.31 times as long with PCGrad as a plain step with equal weights, which "
        "makes one backward pass."
    )
    assert len(METRICS) == 3


def test_with_many_tasks_a_sentence_stays_readable():
    metrics = {f"task_{i}": "auc" for i in range(20)}
    effects = {("PCGrad", f"task_{i}"): 0.2 + 0.1 * i for i in range(5)}
    said = verdict(drawn(0, effects=effects, metrics=metrics, methods=METHODS[:2]))
    assert said.count("95% CI") == 3
    assert "and 2 more tasks; no difference" in said
    assert "on the other 15 tasks (smaller than" in said


def test_what_is_the_same_with_every_seed_is_called_so():
    comparison = drawn(0, methods=METHODS[:2])
    runs = tuple(r.model_copy(update={"test": r.test | {"tip": 1.0}}) for r in comparison.runs)
    said = verdict(comparison.model_copy(update={"runs": runs}))
    assert said.startswith(
        "PCGrad against equal weights (untuned): the same on tip; no difference larger"
    )
    assert "on late and fare (smaller than" in said


def test_the_surest_differences_are_said_first():
    metrics = {f"task_{i}": "auc" for i in range(6)}
    effects = {("PCGrad", f"task_{i}"): 0.1 * (i + 1) for i in range(6)}
    comparison = drawn(0, effects=effects, metrics=metrics, methods=METHODS[:2])
    ordered = sorted(
        (finding for finding in compare_methods(comparison) if finding.task),
        key=lambda f: f.p_value,
    )
    said = verdict(comparison)
    assert all(finding.task in said for finding in ordered[:3])
    assert not any(finding.task in said for finding in ordered[3:])


def test_what_would_have_been_missed_is_said_of_each_task():
    comparison = drawn(0, methods=METHODS[:2], metrics={"tip": "auc", "late": "auc"})
    runs = tuple(
        run.model_copy(update={"test": run.test | {"late": 0.7 + 10 * (run.test["late"] - 0.7)}})
        for run in comparison.runs
    )
    comparison = comparison.model_copy(update={"runs": runs})
    first, second = (f.detectable for f in compare_methods(comparison) if f.task)
    assert second > 3 * first
    said = verdict(comparison)
    assert f"(smaller than {first:.3f} AUC on tip or {second:.3f} AUC on late would not" in said


def test_what_would_have_been_missed_on_many_tasks_is_a_range():
    metrics = {f"task_{i}": ("auc", "r_squared")[i == 0] for i in range(6)}
    comparison = drawn(0, methods=METHODS[:2], metrics=metrics)
    only, *others = (f.detectable for f in compare_methods(comparison) if f.task)
    least, most = min(others), max(others)
    assert (
        f"(smaller than {only:.3f} R² or {least:.3f} to {most:.3f} AUC, by task, would not have "
        "been seen)."
    ) in verdict(comparison)


@pytest.mark.parametrize(("effect", "word"), [(0.008, "better"), (-0.008, "worse")])
def test_small_differences_that_add_up_are_said_of_the_mean(effect, word):
    metrics = {f"task_{i}": "auc" for i in range(12)}
    effects = {("PCGrad", task): effect for task in metrics}
    comparison = drawn(0, effects=effects, metrics=metrics, methods=METHODS[:2])
    *by_task, overall = compare_methods(comparison)
    assert not any(finding.is_significant for finding in by_task)
    assert overall.is_significant
    assert overall.metric == RELATIVE_CHANGE
    # Of 0.7, in percent.
    assert overall.difference == pytest.approx(effect / 0.7, abs=0.004)
    said = verdict(comparison)
    sign = "+" if effect > 0 else "−"
    assert re.search(
        rf"; but {word} in the mean over the tasks \(Δm \{sign}[01]\.\d%, 95% CI \S+% to", said
    )


def test_without_a_metric_above_zero_there_is_no_relative_change():
    comparison = drawn(0, effects={(method, "fare"): -0.9 for method in METHODS})
    overall = [f for f in compare_methods(comparison) if f.task is None]
    assert [(f.seeds, f.difference, f.p_value) for f in overall] == [(0, None, None)] * 3
    assert "mean over the tasks" not in verdict(comparison)


@pytest.mark.parametrize(
    ("task", "shift", "below"),
    [("fare", -0.9, "R² below 0"), ("late", -0.3, "AUC below 0.5")],
)
def test_what_every_method_is_bad_at_is_said(task, shift, below):
    comparison = drawn(0)

    def shifted(methods):
        runs = tuple(
            run.model_copy(update={"test": run.test | {task: run.test[task] + shift}})
            if run.method in methods
            else run
            for run in comparison.runs
        )
        return comparison.model_copy(update={"runs": runs})

    told = (
        f"On {task} every method is worse than a constant prediction ({below}): what they differ "
        "by there says nothing of their worth."
    )
    # It comes before any sentence on methods.
    assert verdict(shifted(METHODS)).startswith(told)
    assert sentences(shifted(METHODS))[0] == told
    assert "constant prediction" not in verdict(shifted(METHODS[:-1]))


def test_many_tasks_that_no_method_learns_are_counted():
    metrics = {f"task_{i}": ("auc", "r_squared")[i % 2] for i in range(6)}
    effects = {(method, task): -0.9 for method in METHODS for task in metrics}
    said = verdict(drawn(0, effects=effects, metrics=metrics))
    assert (
        "On task_0, task_1, task_2 and 3 more tasks every method is worse than a constant "
        "prediction (AUC below 0.5 or R² below 0)"
    ) in said


def with_references(comparison, **references):
    return comparison.model_copy(update={"references": references})


@pytest.mark.parametrize(
    ("linear", "said"), [(0.9, True), (0.71, False), (0.6, False), (None, False)]
)
def test_a_task_that_a_linear_model_does_better_is_said_first(linear, said):
    comparison = with_references(drawn(0), **{LINEAR: {"tip": linear}})
    told = "On tip (AUC 0.900 against 0.7"
    assert verdict(comparison).startswith(told) == said
    assert ("worse than a linear model" in verdict(comparison)) == said


def test_what_boosted_trees_reach_is_said():
    comparison = with_references(drawn(0), **{TREES: {"tip": 0.81, "late": None, "fare": 0.5}})
    comparison = comparison.model_copy(update={"search": 8})
    told = verdict(comparison)
    assert re.search(
        r"Boosted trees reach \(each the best of 8 settings\) AUC 0\.810 against 0\.7\d\d on tip "
        r"and R² 0\.500 against 0\.7\d\d on fare \(the network's best method\)\.$",
        told,
    )
    assert sentences(comparison)[-2] == told[told.index("Boosted") :]


def test_of_many_tasks_it_is_counted_where_trees_are_ahead():
    metrics = {f"task_{i}": "auc" for i in range(9)}
    trees = {f"task_{i}": value for i, value in enumerate([0.9] * 5 + [0.7] * 2 + [0.1] * 2)}
    comparison = with_references(drawn(0, metrics=metrics), **{TREES: trees})
    assert (
        "ahead of the network's best method on 5 of 9 tasks, and behind on 2, by more than 0.02"
    ) in verdict(comparison)


def test_seeds_that_diverged_are_said():
    comparison = drawn(0)
    runs = tuple(
        run.model_copy(update={"diverged": run.method == "PCGrad" and run.seed < 2})
        for run in comparison.runs
    )
    told = sentences(comparison.model_copy(update={"runs": runs}))
    assert [said for said in told if "diverged" in said] == [
        "PCGrad diverged with 2 of 5 seeds, which count as a constant prediction."
    ]


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
