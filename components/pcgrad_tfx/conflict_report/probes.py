"""What probes of a training found, as `pcgrad.keras.ConflictProbe` summarizes it.

A probe takes the tasks' gradients at fixed weights, on rows in chunks. Products of the
gradients of different chunks are free of the rows' noise, so that the numbers are about the tasks'
gradients and not about the size of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel
from scipy import stats

from pcgrad_tfx.evaluation.scores import mean_defined

CONFIDENCE = 0.95

# With fewer seeds an interval over them is too wide to say anything.
MIN_SEEDS = 3


class Estimate(BaseModel, frozen=True):
    """A number and its 95% interval; what cannot be given is None.

    Attributes:
        value: The number.
        low: Lower end of the interval.
        high: Upper end.
        samples: How many seeds the interval is over (Student's t); None for one training.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class TaskProbes(BaseModel, frozen=True):
    """One task over a training.

    Its *own progress* is the first-order descent of its loss by its own gradient alone. What the
    gradients of the others add to it or take from it in the plain weighted sum is the ledger.

    Attributes:
        kept: What is left of its own progress, 1 if the others neither help nor harm; below 0 the
            update raises the task's loss.
        kept_with_surgery: The same under the update of the training's surgery; None without one.
        from_others: The ledger's entries, by the other task; `kept` is 1 plus their sum.
        signal_share: Of a chunk's squared gradient norm, the share that is no noise.
        noise_scale: The number of rows in a batch at which signal and noise are equal.
        is_noise: Whether the task's gradient cannot be told from noise: nothing else is known.
        opposed_to_itself: Share of the pairs of chunks in which the gradients of this one task have
            a negative product: what noise alone does.
    """

    kept: Estimate
    kept_with_surgery: Estimate | None = None
    from_others: dict[str, Estimate] = {}
    signal_share: float | None = None
    noise_scale: float | None = None
    is_noise: bool = False
    opposed_to_itself: float | None = None


class CoursePoint(BaseModel, frozen=True):
    """A stretch of the training: the step in its middle, the cosine over its probes."""

    step: float
    cosine: Estimate


class PairProbes(BaseModel, frozen=True):
    """Two tasks over a training.

    Attributes:
        tasks: Their names.
        cosine: Of their gradients, over all probes.
        opposed: Share of the chunks in which their gradients have a negative product.
        thirds: The cosine by thirds of the training, fewer if it was short.
        trend: The cosine of the last third minus that of the first.
        course: The cosine over up to eight equal stretches.
    """

    tasks: tuple[str, str]
    cosine: Estimate
    opposed: float | None = None
    thirds: tuple[Estimate, ...] = ()
    trend: Estimate = Estimate()
    course: tuple[CoursePoint, ...] = ()


class Probes(BaseModel, frozen=True):
    """All probes of a training.

    Attributes:
        probes: Their number.
        first_step: The step of the first one.
        last_step: That of the last one.
        rows: Training rows of each.
        chunk_rows: Of each chunk of them.
        tasks: By name, in the tasks' order.
        pairs: Of all tasks.
    """

    probes: int
    first_step: int
    last_step: int
    rows: int
    chunk_rows: int
    tasks: dict[str, TaskProbes]
    pairs: tuple[PairProbes, ...]


def over_seeds(runs: Sequence[Probes]) -> Probes:
    """The means over several trainings; the intervals are those of Student's t over the trainings.

    Trainings in which a number is undefined do not count for it. A task is noise if there are
    fewer than `MIN_SEEDS` others. There is no course: it belongs to one training.

    Args:
        runs: Of the same tasks.
    """
    return runs[0].model_copy(
        update={
            "tasks": {task: _task([run.tasks[task] for run in runs]) for task in runs[0].tasks},
            "pairs": tuple(map(_pair, zip(*(run.pairs for run in runs), strict=True))),
        }
    )


def _task(runs: Sequence[TaskProbes]) -> TaskProbes:
    known = [run for run in runs if not run.is_noise]
    is_noise = len(known) < MIN_SEEDS
    counted = [] if is_noise else known
    with_surgery = [run.kept_with_surgery for run in counted if run.kept_with_surgery]
    return TaskProbes(
        kept=_mean(run.kept for run in counted),
        kept_with_surgery=_mean(with_surgery) if with_surgery else None,
        from_others={
            other: _mean(run.from_others[other] for run in counted) for other in runs[0].from_others
        },
        signal_share=mean_defined(run.signal_share for run in runs),
        noise_scale=_median(run.noise_scale for run in runs),
        is_noise=is_noise,
        opposed_to_itself=mean_defined(run.opposed_to_itself for run in runs),
    )


def _pair(runs: Sequence[PairProbes]) -> PairProbes:
    thirds = min(len(run.thirds) for run in runs)
    return PairProbes(
        tasks=runs[0].tasks,
        cosine=_mean((run.cosine for run in runs), limit=1.0),
        opposed=mean_defined(run.opposed for run in runs),
        thirds=tuple(_mean((run.thirds[i] for run in runs), limit=1.0) for i in range(thirds)),
        trend=_mean((run.trend for run in runs), limit=2.0),
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Of what is defined; a noise scale has no upper end."""
    defined = [value for value in values if value is not None]
    return float(np.median(defined)) if defined else None


def _mean(estimates: Iterable[Estimate], limit: float = np.inf) -> Estimate:
    """Over the seeds; the interval stays between -limit and limit."""
    values = [estimate.value for estimate in estimates if estimate.value is not None]
    if len(values) < MIN_SEEDS:
        return Estimate(value=mean_defined(values), samples=len(values))
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    low, high = max(-limit, mean - half), min(limit, mean + half)
    return Estimate(value=mean, low=low, high=high, samples=len(values))
