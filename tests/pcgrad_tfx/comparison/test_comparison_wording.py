"""The sentences on a comparison."""

import re

import pytest

from comparisons import METHODS, METRICS, drawn
from pcgrad_tfx.comparison.results import LINEAR, TREES
from pcgrad_tfx.comparison.statistics import RELATIVE_CHANGE, compare_methods
from pcgrad_tfx.comparison.wording import budget, sentences, verdict


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
