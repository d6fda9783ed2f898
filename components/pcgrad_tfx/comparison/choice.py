"""What is chosen for each method by a search, and the runs that are made with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from pcgrad_tfx.comparison.methods import SINGLE_TASK, Candidate, Family
from pcgrad_tfx.comparison.results import Method, Run
from pcgrad_tfx.config.tasks import Task


def choose(
    compared: Sequence[Family], tried: Mapping[str, Run], tasks: Sequence[Task]
) -> list[Candidate]:
    """The candidate of each family that is best on eval.

    Args:
        compared: The families.
        tried: The trainings of the search, by the candidates' keys; none of families without a
            choice.
        tasks: All tasks.
    """
    return [
        max(family.candidates, key=lambda candidate: gain_on_eval(tried[candidate.key], tasks))
        if family.has_choice
        else family.candidates[0]
        for family in compared
    ]


def gain_on_eval(run: Run, tasks: Sequence[Task]) -> float:
    """Mean over the tasks: 0 for a constant prediction, 1 for a perfect one.

    Of the metrics themselves there is no mean: 0.01 of AUC is another thing than 0.01 of R².
    """
    gains = [
        (value - task.constant_value) / (1 - task.constant_value)
        for task in tasks
        if (value := run.eval.get(task.name)) is not None
    ]
    return fmean(gains) if gains else -math.inf


def methods_of(compared: Sequence[Family], chosen: Sequence[Candidate]) -> tuple[Method, ...]:
    """The methods, with what was chosen; the single tasks are one."""
    found: dict[str, Method] = {}
    alone: dict[str, dict[str, float]] = {}
    for family, candidate in zip(compared, chosen, strict=True):
        if family.task is None:
            found[family.method] = Method(
                name=family.method, loss_weights=candidate.weights, settings=candidate.settings
            )
        else:
            alone[family.task] = candidate.settings
    if alone:
        found[SINGLE_TASK] = Method(name=SINGLE_TASK, settings_by_task=alone)
    return tuple(found.values())


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs method by method; single tasks of a seed become one run.

    Args:
        runs: Seed by seed.
    """
    found: dict[tuple[str, int], Run] = {}
    for run in runs:
        whole = found.get((run.method, run.seed), run)
        found[run.method, run.seed] = whole.model_copy(
            update={
                "eval": whole.eval | run.eval,
                "test": whole.test | run.test,
                "diverged": whole.diverged or run.diverged,
            }
        )
    methods = list(dict.fromkeys(run.method for run in runs))
    return tuple(sorted(found.values(), key=lambda run: (methods.index(run.method), run.seed)))
