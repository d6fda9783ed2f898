"""The candidates of a comparison: what is tried, and which of them is scored."""

import numpy as np
import pytest
from scipy import stats

from pcgrad_tfx.comparison.choice import choose, joined, methods_of
from pcgrad_tfx.comparison.methods import Candidate, families, method_name, weighted
from pcgrad_tfx.comparison.results import Run
from pcgrad_tfx.comparison.search import settings_to_try, weights_to_try
from pcgrad_tfx.comparison.settings import ComparedMethod, ComparisonSettings
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig, Training

TASKS = [
    Task(name="tip", kind="binary", column="x", loss_weight=2.0),
    Task(name="fare", kind="regression", column="y", loss_weight=0.5),
]


def config(tasks=TASKS, **training):
    return TrainerConfig(tasks=tasks, embedding_sizes={}, **training)


def weights_of(settings, tasks=TASKS):
    found = [f for f in families(settings, config(tasks)) if f.method == "static weights"]
    return [candidate.weights for family in found for candidate in family.candidates]


def test_factors_come_on_top_of_the_tasks_own_weights():
    assert [task.loss_weight for task in weighted(TASKS, {"tip": 3.0})] == [6.0, 0.5]
    assert [task.loss_weight for task in weighted(TASKS, None)] == [2.0, 0.5]


def test_given_weights_sum_to_the_number_of_tasks():
    """Else static weights would change the length of the steps, too."""
    settings = ComparisonSettings(static_weights=({"tip": 3}, {"fare": 7}), search=0)
    assert weights_of(settings) == [{"tip": 1.5, "fare": 0.5}, {"tip": 0.25, "fare": 1.75}]


def test_given_weights_are_tried_with_all_settings():
    settings = ComparisonSettings(static_weights=({"tip": 3}, {"fare": 7}), search=6)
    first, second = {"tip": 1.5, "fare": 0.5}, {"tip": 0.25, "fare": 1.75}
    assert weights_of(settings) == [first] * 3 + [second] * 3


def test_static_weights_take_the_settings_in_turn():
    settings = ComparisonSettings(static_search=5, search=3)
    (family,) = (f for f in families(settings, config()) if f.method == "static weights")
    tried = settings_to_try(config(), 3)
    assert [candidate.settings for candidate in family.candidates] == [*tried, *tried[:2]]


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 12),
        ({"search": 5}, 5),
        ({"search": 0}, 4),
        ({"static_search": 20}, 20),
        ({"static_search": 0}, 0),
        ({"static_weights": ()}, 0),
    ],
    ids=str,
)
def test_how_many_weights_are_tried(settings, count):
    assert len(weights_of(ComparisonSettings(**settings))) == count


def test_one_task_has_neither_weights_nor_others():
    methods = [family.method for family in families(ComparisonSettings(), config(TASKS[:1]))]
    assert methods == ["equal weights", "PCGrad", "UncertaintyWeights", "AlignedMTL"]


def test_random_weights_are_even_over_the_simplex():
    found = weights_to_try(["a", "b", "c"], 3000)
    shares = np.array([list(weights.values()) for weights in found]) / 3
    assert shares.sum(axis=1) == pytest.approx(1, abs=0.01)
    assert shares.min() > 0
    # Of a uniform distribution over the simplex: mean 1/3, second moment 1/6.
    assert shares.mean(axis=0) == pytest.approx(1 / 3, abs=0.02)
    assert (shares**2).mean(axis=0) == pytest.approx(1 / 6, abs=0.02)


def test_settings_are_spread_around_the_given_ones():
    training = Training(learning_rate=0.02, weight_decay=0.3, dropout=0.1)
    first, *others = settings_to_try(training, 64)
    assert first == {}
    assert len(others) == 63
    for name, low, high in (("learning_rate", 0.002, 0.2), ("weight_decay", 0.03, 3.0)):
        places = np.log([one[name] / low for one in others]) / np.log(high / low)
        assert np.quantile(places, [0.0, 0.25, 0.5, 0.75, 1.0]) == pytest.approx(
            [0, 0.25, 0.5, 0.75, 1], abs=0.06
        )
    assert np.quantile([one["dropout"] for one in others], [0, 0.5, 1]) == pytest.approx(
        [0, 0.25, 0.5], abs=0.03
    )
    # What is taken for one says nothing about the others.
    ranks = [stats.rankdata([one[name] for one in others]) for name in others[0]]
    assert np.abs(np.corrcoef(ranks) - np.eye(3)).max() < 0.15
    # A shorter search is the beginning of a longer one.
    assert settings_to_try(training, 5) == [first, *others[:4]]


def test_what_is_switched_off_stays_off():
    training = Training(weight_decay=0.0, dropout=0.0)
    assert all(one.keys() <= {"learning_rate"} for one in settings_to_try(training, 9))
    with_model_fn = settings_to_try(Training(), 9, with_dropout=False)
    assert all("dropout" not in one for one in with_model_fn)


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_search_all_is_as_configured(count):
    assert settings_to_try(Training(), count) == [{}]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("upgrad", "UPGrad"),
        ({"method": "cagrad", "c": 0.4}, "CAGrad (c = 0.4)"),
        ({"architecture": "ple"}, "ple"),
        ({"method": "pcgrad", "architecture": "mmoe"}, "PCGrad with mmoe"),
    ],
    ids=str,
)
def test_methods_as_people_write_and_read_them(given, name):
    method = ComparedMethod.model_validate(given)
    assert method_name(method) == name
    # As a pipeline hands it to the component.
    assert ComparedMethod.model_validate(method.model_dump(mode="json")) == method


def run(candidate, on_eval, seed=0, **others):
    return Run(method=candidate.method, seed=seed, eval=on_eval, **others)


def test_single_tasks_of_a_seed_become_one_run():
    compared = families(ComparisonSettings(search=0, static_weights=()), config())
    runs = []
    for seed in range(3):
        for index, family in enumerate(compared):
            tasks = [family.task] if family.task else [task.name for task in TASKS]
            values = dict.fromkeys(tasks, 10 * seed + index)
            on_test = {name: -value for name, value in values.items()}
            diverged = (family.task, seed) in [("tip", 1), ("fare", 2)]
            runs.append(run(family.candidates[0], values, seed, test=on_test, diverged=diverged))
    kept = joined(runs)
    assert [(one.method, one.seed) for one in kept] == [
        (method, seed)
        for method in ("equal weights", "PCGrad", "UncertaintyWeights", "AlignedMTL", "single task")
        for seed in range(3)
    ]
    alone = [one for one in kept if one.method == "single task"]
    assert [one.eval for one in alone] == [{"tip": 4 + n, "fare": 5 + n} for n in (0, 10, 20)]
    assert [one.test for one in alone] == [{"tip": -4 - n, "fare": -5 - n} for n in (0, 10, 20)]
    assert [one.diverged for one in alone] == [False, True, True]


def test_the_best_is_chosen_by_what_a_constant_prediction_lacks():
    """0.04 of AUC are 0.08 of the way to a perfect prediction, 0.06 of R² are 0.06."""
    settings = ComparisonSettings(
        methods=(), search=0, single_task=False, static_weights=({"tip": 3}, {"fare": 3})
    )
    equal, static = compared = families(settings, config())
    made = [{"tip": 0.60, "fare": 0.26}, {"tip": 0.64, "fare": 0.20}]
    tried = {
        candidate.key: run(candidate, on_eval)
        for candidate, on_eval in zip(static.candidates, made, strict=True)
    }
    chosen = choose(compared, tried, TASKS)
    assert chosen == [equal.candidates[0], static.candidates[1]]
    methods = methods_of(compared, chosen)
    assert [method.loss_weights for method in methods] == [None, {"tip": 0.5, "fare": 1.5}]


def test_undefined_metrics_do_not_count_and_nothing_is_worse_than_none():
    candidates = tuple(Candidate(method="m", settings={"dropout": d}) for d in (0.1, 0.2, 0.3))
    made = [{"tip": None, "fare": None}, {"tip": None, "fare": 0.1}, {"tip": 0.5, "fare": 0.1}]
    tried = {c.key: run(c, on_eval) for c, on_eval in zip(candidates, made, strict=True)}
    (equal, *_) = families(ComparisonSettings(search=0), config())
    family = type(equal)("m", None, candidates)
    assert choose([family], tried, TASKS) == [candidates[1]]
