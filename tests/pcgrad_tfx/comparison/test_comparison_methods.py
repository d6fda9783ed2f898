"""The candidates of a comparison: their loss weights, and which of them is scored."""

import pytest

from pcgrad_tfx.comparison.executor import _choose
from pcgrad_tfx.comparison.methods import candidates, weighted
from pcgrad_tfx.comparison.results import Run
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.tasks import Task

TASKS = [
    Task(name="tip", kind="binary", column="x", loss_weight=2.0),
    Task(name="fare", kind="regression", column="y", loss_weight=0.5),
]


def test_factors_come_on_top_of_the_tasks_own_weights():
    assert [task.loss_weight for task in weighted(TASKS, {"tip": 3.0})] == [6.0, 0.5]
    assert [task.loss_weight for task in weighted(TASKS, None)] == [2.0, 0.5]


def test_the_grid_sums_to_the_number_of_tasks():
    """Else static weights would change the length of the steps, too."""
    grid = ComparisonSettings(static_weights=({"tip": 3}, {"fare": 7})).grid(TASKS)
    assert grid == [{"tip": 1.5, "fare": 0.5}, pytest.approx({"tip": 0.25, "fare": 1.75})]
    assert ComparisonSettings().grid(TASKS) == [
        pytest.approx({"tip": 1.6, "fare": 0.4}),
        pytest.approx({"tip": 0.4, "fare": 1.6}),
    ]
    assert ComparisonSettings().grid(TASKS[:1]) == []


def test_single_tasks_of_a_seed_become_one_run():
    todo = candidates(ComparisonSettings(static_weights=()), TASKS)
    runs = {}
    for index, candidate in enumerate(todo):
        tasks = [candidate.task] if candidate.task else [task.name for task in TASKS]
        for seed in (0, 1):
            values = dict.fromkeys(tasks, 10 * seed + index)
            runs[index, seed] = Run(
                method=candidate.method,
                seed=seed,
                eval=values,
                test={name: -value for name, value in values.items()},
            )
    methods, kept = _choose(todo, runs, TASKS)
    assert [method.name for method in methods][-1] == "single task"
    alone = [run for run in kept if run.method == "single task"]
    assert [run.seed for run in alone] == [0, 1]
    assert [run.eval for run in alone] == [{"tip": 3, "fare": 4}, {"tip": 13, "fare": 14}]
    assert [run.test for run in alone] == [{"tip": -3, "fare": -4}, {"tip": -13, "fare": -14}]


def test_static_weights_are_chosen_by_what_a_constant_prediction_lacks():
    """0.04 of AUC are 0.08 of the way to a perfect prediction, 0.06 of R² are 0.06."""
    settings = ComparisonSettings(single_task=False, static_weights=({"tip": 3}, {"fare": 3}))
    todo = candidates(settings, TASKS)
    made = iter([{"tip": 0.60, "fare": 0.26}, {"tip": 0.64, "fare": 0.20}])
    runs = {
        (index, 0): Run(
            method=candidate.method,
            seed=0,
            eval=next(made) if candidate.weights else {"tip": 0.5, "fare": None},
            test={},
        )
        for index, candidate in enumerate(todo)
    }
    methods, _ = _choose(todo, runs, TASKS)
    assert methods[-1].loss_weights == pytest.approx(dict(todo[-1].weights))
