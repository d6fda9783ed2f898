"""What can be set about a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from pcgrad_tfx.config.surgery import Surgery, check_method
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Architecture
from pcgrad_tfx.config.validation_messages import nearest

LossWeight = Annotated[float, Field(gt=0)]


class ComparedMethod(BaseModel, frozen=True, extra="forbid"):
    """A way of training all tasks together.

    In a configuration a method's name, or a table: `{ method = "cagrad", c = 0.4 }`,
    `{ architecture = "mmoe" }`, or both.

    Attributes:
        surgery: As `Training.surgery`.
        architecture: As `Training.architecture`; None: the configuration's.
    """

    surgery: Surgery = "none"
    architecture: Architecture | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return {"surgery": given}
        if "surgery" in given:
            return given
        arguments = {key: value for key, value in given.items() if key != "architecture"}
        found = {key: given[key] for key in ("architecture",) if key in given}
        return found | ({"surgery": arguments} if arguments else {})

    @model_validator(mode="after")
    def _is_another(self) -> ComparedMethod:
        if self == ComparedMethod.model_construct():
            raise ValueError('"none", equal weights, is always compared; leave it out')
        return self


DEFAULT_METHODS = tuple(
    ComparedMethod(surgery=name) for name in ("pcgrad", "uncertainty", "aligned_mtl")
)


class ComparisonSettings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How methods are compared.

    Attributes:
        methods: What is compared with equal weights, beside static weights and single tasks.
        seeds: Every method is trained with so many seeds: initial weights, orders of the rows.
        search: For each method so many settings (learning rate, weight decay, dropout) are tried
            on eval before; 0: all are trained as `[training]` says, untuned.
        static_search: So many static loss weights are tried, with as many settings; as many as
            `search` by default, 4 without a search. 0 leaves static weights out.
        static_weights: Those to try, factors by task, in the place of random ones; a task that is
            left out has the factor 1. An empty list leaves static weights out.
        single_task: Whether each task is also trained alone.
        reference: Whether boosted trees and a linear model are trained on the same rows, with a
            search of their own.
        epochs: Passes over the training data; as many as the Trainer makes by default.
        jobs: So many trainings run at once, each in a process of its own; by default one for each
            core, as far as memory allows, and one on a machine with a GPU. Results are the same.
    """

    methods: tuple[ComparedMethod, ...] = Field(
        DEFAULT_METHODS, description="names of methods, or tables of method and architecture"
    )
    seeds: int = Field(5, ge=2, le=1000, description="how often each method is trained")
    search: int = Field(12, ge=0, le=1000, description="settings tried for each method")
    static_search: int | None = Field(None, ge=0, le=1000, description="loss weights tried")
    static_weights: tuple[dict[str, LossWeight], ...] | None = Field(
        None, description="tables of task = factor of its loss"
    )
    single_task: bool = Field(True, description="whether each task is also trained alone")
    reference: bool = Field(True, description="whether trees and a linear model are trained, too")
    epochs: int | None = Field(None, ge=1, description="passes over the training data")
    jobs: int | None = Field(None, ge=1, le=1000, description="trainings that run at once")

    @property
    def is_tuned(self) -> bool:
        """Whether settings are searched."""
        return self.search > 0

    def check(self, tasks: Sequence[Task], has_architecture: bool = True) -> None:
        """Checks what depends on the rest of a configuration.

        Args:
            tasks: Those of the model; none if they are not known.
            has_architecture: Whether the model has one that can be chosen: it is no user's own.

        Raises:
            ValueError: A task does not exist, a method is named twice, or does not fit the tasks.
        """
        names = [task.name for task in tasks]
        for weights in self.static_weights or ():
            for name in weights:
                if names and name not in names:
                    raise ValueError(f"static_weights: no task {name!r}; {nearest(name, names)}")
        for place, method in enumerate(self.methods):
            if method in self.methods[:place]:
                raise ValueError(f"methods[{place}]: named twice; leave one out")
            if method.architecture is not None and not has_architecture:
                raise ValueError(
                    f"methods[{place}]: the model of a model_fn has no architecture to choose"
                )
            try:
                check_method(method.surgery, 1, None, tasks)
            except ValueError as error:
                raise ValueError(f"methods[{place}]: {error}") from None
