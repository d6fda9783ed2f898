"""What can be set about a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.validation_messages import nearest

LossWeight = Annotated[float, Field(gt=0)]

# How much more one task's loss counts in each weighting of the default grid.
_EMPHASIS = 4.0


class ComparisonSettings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How methods are compared.

    Attributes:
        seeds: Every method is trained with so many seeds: initial weights, orders of the rows.
        static_weights: The grid of static loss weights, factors by task; a task that is left out
            has the factor 1. By default, for each task, a weighting in which its loss counts four
            times. An empty list leaves static weights out.
        single_task: Whether each task is also trained alone.
        epochs: Passes over the training data; as many as the Trainer makes by default.
    """

    seeds: int = Field(5, ge=2, description="how often each method is trained")
    static_weights: tuple[dict[str, LossWeight], ...] | None = Field(
        None, description="tables of task = factor of its loss"
    )
    single_task: bool = Field(True, description="whether each task is also trained alone")
    epochs: int | None = Field(None, ge=1, description="passes over the training data")

    def grid(self, tasks: Sequence[Task]) -> list[dict[str, float]]:
        """The static loss weights to try.

        Args:
            tasks: The T tasks.

        Returns:
            Factors of the losses by task, scaled so that they sum to T.

        Raises:
            ValueError: `static_weights` names a task that does not exist.
        """
        names = [task.name for task in tasks]
        given = self.static_weights
        if given is None:
            # With one task all weights are the same.
            given = tuple({name: _EMPHASIS} for name in names) if len(names) > 1 else ()
        return [_scaled(weights, names) for weights in given]


def _scaled(weights: dict[str, float], names: list[str]) -> dict[str, float]:
    for name in weights:
        if name not in names:
            raise ValueError(f"static_weights: no task {name!r}; {nearest(name, names)}")
    whole = {name: weights.get(name, 1.0) for name in names}
    scale = len(names) / sum(whole.values())
    return {name: factor * scale for name, factor in whole.items()}
