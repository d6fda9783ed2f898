"""The ways of training that are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.tasks import Task

STATIC_WEIGHTS, SINGLE_TASK = "static weights", "single task"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What one training does.

    Attributes:
        method: The method that it belongs to, as people read it.
        surgery: As `Training.surgery`.
        weights: Factors of the losses by task, on top of the tasks' own; None is 1 for all.
        task: The one task that is trained, None for all.
    """

    method: str
    surgery: str = "none"
    weights: Mapping[str, float] | None = None
    task: str | None = None


def candidates(settings: ComparisonSettings, tasks: Sequence[Task]) -> list[Candidate]:
    """Everything that is trained with each seed, equal weights first.

    Raises:
        ValueError: The static weights name a task that does not exist.
    """
    found = [
        Candidate(EQUAL_WEIGHTS),
        Candidate("PCGrad", surgery="pcgrad"),
        Candidate("PPCGrad", surgery="ppcgrad"),
    ]
    found += [Candidate(STATIC_WEIGHTS, weights=weights) for weights in settings.grid(tasks)]
    if settings.single_task and len(tasks) > 1:
        found += [Candidate(SINGLE_TASK, task=task.name) for task in tasks]
    return found


def weighted(tasks: Sequence[Task], weights: Mapping[str, float] | None) -> list[Task]:
    """The tasks with their loss weights multiplied."""
    factors = weights or {}
    return [
        task.model_copy(update={"loss_weight": task.loss_weight * factors.get(task.name, 1.0)})
        for task in tasks
    ]
