"""Equal weights, static weights and PCGrad on overlaid digits: paired by seed, tuned alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.differences import paired_difference
from benchmarks.paper.digits import overlaid_digits
from benchmarks.paper.training import Problem, Trainer

METHODS = ("equal weights", "static weights", "PCGrad")

TASKS = ("first", "second", "mean")
# What is compared. Without surgery it is the scaled sum that training minimizes.
_VALUES = [
    *((metric, task) for metric in ("accuracy", "cross_entropy") for task in TASKS),
    ("scaled_sum", "mean"),
]


@dataclasses.dataclass(frozen=True)
class Setting:
    """How much is trained, and what is tried.

    Attributes:
        rows: Canvases for training, validation and test.
        steps: Training steps.
        batch: Rows of a batch.
        learning_rates: Tried by every method; the middle one is also compared by itself.
        ratios: Weights of the first task divided by the second's that static weights try.
    """

    rows: tuple[int, int, int] = (8000, 2000, 2000)
    steps: int = 2000
    batch: int = 128
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    ratios: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)

    @property
    def common_rate(self) -> float:
        """The learning rate at which the methods are compared without any tuning of it."""
        return self.learning_rates[len(self.learning_rates) // 2]


WIDTHS = (4, 8, 32)
# By name: the problem's variants, and the metric that runs are chosen by.
PROBLEMS: dict[str, tuple[tuple[Problem, ...], str]] = {
    "two_labels": ((Problem(32, one_head=True, scales=(1.0, 5.0)),), "cross_entropy"),
    "digits": (tuple(Problem(width) for width in WIDTHS), "accuracy"),
}


def run(
    name: str,
    seeds: int,
    setting: Setting,
    progress: Callable[[str], None],
    widths: Sequence[int] = WIDTHS,
) -> list[dict[str, Any]]:
    """Runs all variants of a problem.

    Args:
        name: A key of `PROBLEMS`.
        seeds: Number of seeds.
        setting: How much is trained.
        progress: Told what is being trained.
        widths: Variants of other widths are left out.

    Returns:
        One result for each variant.
    """
    problems, metric = PROBLEMS[name]
    results = []
    for problem in (problem for problem in problems if problem.width in widths):
        progress(f"{name}, width {problem.width} …")
        found = _train_all(problem, seeds, setting)
        comparisons = [_comparison(found, metric, setting, tuned=tuned) for tuned in (False, True)]
        results.append(
            {
                "problem": name,
                **dataclasses.asdict(problem),
                "metric": metric,
                "common": comparisons[0],
                "tuned": comparisons[1],
            }
        )
    return results


def _train_all(problem: Problem, seeds: int, setting: Setting) -> list[dict[str, Any]]:
    """One run for each seed, learning rate and candidate."""
    candidates = [(False, ratio) for ratio in setting.ratios] + [(True, 1.0)]
    trainers = {surgery: Trainer(problem, surgery) for surgery in (False, True)}
    found = []
    for seed in range(seeds):
        parts = overlaid_digits(seed, setting.rows)
        for rate in setting.learning_rates:
            for surgery, ratio in candidates:
                result = trainers[surgery].run(
                    seed, parts, rate, ratio, setting.steps, setting.batch
                )
                key = {"seed": seed, "learning_rate": rate, "surgery": surgery, "ratio": ratio}
                found.append({**key, **result})
    return found


def _comparison(
    found: Sequence[Mapping[str, Any]], metric: str, setting: Setting, *, tuned: bool
) -> dict[str, Any]:
    """The methods' results by seed and PCGrad's paired differences from the others.

    Args:
        found: All runs.
        metric: What the validation split chooses by.
        setting: What was trained.
        tuned: Whether each method may choose its learning rate.
    """
    rates = setting.learning_rates if tuned else (setting.common_rate,)
    seeds = sorted({run["seed"] for run in found})
    chosen = {
        method: [
            choose(
                [r for r in found if r["seed"] == seed and _is_candidate(r, method, rates)], metric
            )
            for seed in seeds
        ]
        for method in METHODS
    }
    return {
        "learning_rates": list(rates),
        "methods": {method: _summary(runs) for method, runs in chosen.items()},
        "differences": [
            {
                "minus": other,
                "metric": each,
                "task": task,
                **vars(
                    paired_difference(
                        [task_value(r, each, task) for r in chosen["PCGrad"]],
                        [task_value(r, each, task) for r in chosen[other]],
                    )
                ),
            }
            for other in METHODS[:-1]
            for each, task in _VALUES
        ],
    }


def _is_candidate(run: Mapping[str, Any], method: str, rates: Sequence[float]) -> bool:
    """Whether a method may choose a run; static weights may choose equal ones."""
    fits = run["surgery"] == (method == "PCGrad") and run["learning_rate"] in rates
    return fits and (run["ratio"] == 1 or method == "static weights")


def choose(runs: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The run with the best mean over the tasks on the validation split."""
    sign = 1 if metric == "accuracy" else -1
    return max(runs, key=lambda run: sign * float(np.mean(run["validation"][metric])))


def task_value(run: Mapping[str, Any], metric: str, task: str) -> float:
    """A metric on the test split: of the first or second task, or their mean."""
    values = run["test"][metric]
    return float(np.mean(values)) if task == "mean" else values[TASKS.index(task)]


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the chosen runs gave and were: one value for each seed."""
    values: dict[str, Any] = {}
    for metric, task in _VALUES:
        values.setdefault(metric, {})[task] = [task_value(run, metric, task) for run in runs]
    for key in ("conflicting", "mean_cosine", "learning_rate", "ratio"):
        values[key] = [run[key] for run in runs]
    return values
