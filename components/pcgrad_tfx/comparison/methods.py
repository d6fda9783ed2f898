"""The ways of training that are compared, and what is tried for each."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from pcgrad.methods import METHODS
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.search import scaled, settings_to_try, weights_to_try
from pcgrad_tfx.comparison.settings import ComparedMethod, ComparisonSettings
from pcgrad_tfx.config.surgery import arguments_text, method_and_arguments
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig

STATIC_WEIGHTS, SINGLE_TASK = "static weights", "single task"

# Without a search of settings; more would be no fast mode.
_FEW_WEIGHTS = 4


class Candidate(BaseModel, frozen=True, extra="forbid"):
    """What one training does.

    Attributes:
        method: The method that it belongs to, as people read it.
        surgery: As `Training.surgery`.
        architecture: As `Training.architecture`; None: the configuration's.
        weights: Factors of the losses by task, on top of the tasks' own; None is 1 for all.
        task: The one task that is trained, None for all.
        settings: Other values of fields of `Training`.
    """

    method: str
    surgery: str = "none"
    architecture: str | None = None
    weights: dict[str, float] | None = None
    task: str | None = None
    settings: dict[str, float] = {}

    @property
    def key(self) -> str:
        """What tells it from all others, in a file's name."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Family:
    """A method, or one task of the single tasks: of the candidates the best on eval is scored.

    Attributes:
        method: The method's name.
        task: The one task that is trained, None for all.
        candidates: What is tried; the first is as the configuration says.
    """

    method: str
    task: str | None
    candidates: tuple[Candidate, ...]

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one candidate."""
        return len(self.candidates) > 1


def families(settings: ComparisonSettings, config: TrainerConfig) -> list[Family]:
    """Everything that is compared, equal weights first."""
    tasks = [task.name for task in config.tasks]
    tried = settings_to_try(config, settings.search, with_dropout=not config.model_fn)

    def family(method: str, task: str | None = None, **how: str | None) -> Family:
        made = (Candidate(method=method, task=task, settings=s, **how) for s in tried)
        return Family(method, task, tuple(made))

    found = [family(EQUAL_WEIGHTS)]
    found += [
        family(method_name(method), surgery=method.surgery, architecture=method.architecture)
        for method in settings.methods
    ]
    if weights := _static_weights(settings, tasks):
        count = max(len(weights), settings.search)
        found.append(
            Family(
                STATIC_WEIGHTS,
                None,
                tuple(
                    Candidate(
                        method=STATIC_WEIGHTS,
                        weights=weights[index * len(weights) // count],
                        settings=tried[index % len(tried)],
                    )
                    for index in range(count)
                ),
            )
        )
    if settings.single_task and len(tasks) > 1:
        found += [family(SINGLE_TASK, task) for task in tasks]
    return found


def method_name(method: ComparedMethod) -> str:
    """A method as people read it: "CAGrad (c = 0.4)", "mmoe", "PCGrad with ple"."""
    if method.surgery == "none":
        return method.architecture or EQUAL_WEIGHTS
    name, arguments = method_and_arguments(method.surgery)
    said = METHODS[name].__name__ + arguments_text(arguments)
    return f"{said} with {method.architecture}" if method.architecture else said


def weighted(tasks: Sequence[Task], weights: Mapping[str, float] | None) -> list[Task]:
    """The tasks with their loss weights multiplied."""
    factors = weights or {}
    return [
        task.model_copy(update={"loss_weight": task.loss_weight * factors.get(task.name, 1.0)})
        for task in tasks
    ]


def _static_weights(settings: ComparisonSettings, tasks: Sequence[str]) -> list[dict[str, float]]:
    if settings.static_weights is not None:
        given = settings.static_weights
        return [scaled({name: weights.get(name, 1.0) for name in tasks}) for weights in given]
    if len(tasks) < 2:
        # All weights are the same.
        return []
    count = settings.static_search
    return weights_to_try(tasks, (settings.search or _FEW_WEIGHTS) if count is None else count)
