"""Do the tasks conflict? From mean cosines and their standard errors to a verdict.

Pure functions. About half of the steps of two *unrelated* tasks have a negative cosine, so it is
not the share of such steps that is judged, but whether the mean cosine is below 0 by more than
its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from pcgrad_tfx.comparison.statistics import holm
from pcgrad_tfx.conflict_report.telemetry import RunPair

CONFIDENCE = 0.95

# With fewer seeds an interval over them is too wide to say anything.
MIN_SEEDS = 3

Verdict = Literal[
    "conflict", "aligned", "no evidence of conflict", "too short to tell", "undefined"
]
Strength = Literal["weak", "moderate", "strong"]

# From this mean cosine (absolute) on.
MODERATE, STRONG = 0.1, 0.3


@dataclass(frozen=True)
class Estimate:
    """A mean over steps and its 95% t-interval.

    Attributes:
        mean: The mean.
        low: Lower end of the interval; None if there were too few samples for one.
        high: Upper end.
    """

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PairFinding:
    """What is known about a pair of tasks.

    Attributes:
        tasks: Their names.
        steps: How many steps of training had a cosine.
        cosine: The mean cosine; None if no step had one.
        conflicting: The share of the steps with a negative cosine.
        p_value: Of a mean cosine of 0, adjusted for the number of pairs; None if untested.
        verdict: See `judge`.
        strength: Of a conflict or an alignment, else None.
    """

    tasks: tuple[str, str]
    steps: int
    cosine: Estimate | None
    conflicting: Estimate | None
    p_value: float | None
    verdict: Verdict
    strength: Strength | None


def over_seeds(runs: Sequence[Sequence[RunPair]]) -> tuple[RunPair, ...]:
    """The means of several trainings; their noise is that between the trainings.

    Args:
        runs: The pairs of each training, the same ones in the same order.

    Returns:
        The means, without standard errors where fewer than `MIN_SEEDS` trainings had a cosine.
    """
    return tuple(_mean_over_seeds(pairs) for pairs in zip(*runs, strict=True))


def judge(pairs: Sequence[RunPair]) -> tuple[PairFinding, ...]:
    """Judges each pair by the t-test of its mean cosine, with Holm's correction over the pairs.

    "conflict": the mean cosine is significantly below 0; "aligned": significantly above 0; else
    "no evidence of conflict". "too short to tell" where there is no standard error; "undefined"
    where no step had a cosine (tasks that share no variables, or never had labels together).

    A significant cosine may still be tiny. Its strength is "weak" below 0.1 (absolute),
    "moderate" below 0.3, else "strong".

    Returns:
        The findings, in the order of the pairs.
    """
    adjusted = holm([_p_value(pair) for pair in pairs])
    return tuple(_finding(pair, p_value) for pair, p_value in zip(pairs, adjusted, strict=True))


def _mean_over_seeds(pairs: Sequence[RunPair]) -> RunPair:
    defined = [pair for pair in pairs if pair.mean_cosine is not None]
    cosine, cosine_error = _mean_and_error([pair.mean_cosine for pair in defined])
    conflicting, conflicting_error = _mean_and_error([pair.conflicting for pair in defined])
    return RunPair(
        tasks=pairs[0].tasks,
        steps=sum(pair.steps for pair in defined),
        samples=len(defined),
        mean_cosine=cosine,
        cosine_error=cosine_error,
        conflicting=conflicting,
        conflicting_error=conflicting_error,
    )


def _mean_and_error(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    numbers = np.array(values, dtype=float)
    mean = float(numbers.mean())
    if len(numbers) < MIN_SEEDS:
        return mean, None
    return mean, float(stats.sem(numbers))


def _p_value(pair: RunPair) -> float | None:
    """Of a mean cosine of 0, two-sided."""
    if pair.mean_cosine is None or pair.cosine_error is None:
        return None
    if pair.cosine_error == 0:  # say, one shared variable: the cosine is always 1 or -1
        return 1.0 if pair.mean_cosine == 0 else 0.0
    return float(2 * stats.t.sf(abs(pair.mean_cosine) / pair.cosine_error, pair.samples - 1))


def _finding(pair: RunPair, p_value: float | None) -> PairFinding:
    verdict = _verdict(pair, p_value)
    return PairFinding(
        tasks=pair.tasks,
        steps=pair.steps,
        cosine=_estimate(pair.mean_cosine, pair.cosine_error, pair.samples, least=-1.0),
        conflicting=_estimate(pair.conflicting, pair.conflicting_error, pair.samples, least=0.0),
        p_value=p_value,
        verdict=verdict,
        strength=_strength(pair.mean_cosine) if verdict in ("conflict", "aligned") else None,
    )


def _verdict(pair: RunPair, p_value: float | None) -> Verdict:
    if pair.mean_cosine is None:
        return "undefined"
    if p_value is None:
        return "too short to tell"
    if p_value >= 1 - CONFIDENCE:
        return "no evidence of conflict"
    return "conflict" if pair.mean_cosine < 0 else "aligned"


def _strength(cosine: float | None) -> Strength | None:
    if cosine is None:
        return None
    if abs(cosine) < MODERATE:
        return "weak"
    return "moderate" if abs(cosine) < STRONG else "strong"


def _estimate(
    mean: float | None, error: float | None, samples: int, least: float
) -> Estimate | None:
    """With an interval that stays within what is possible, from `least` to 1."""
    if mean is None:
        return None
    if error is None:
        return Estimate(mean)
    low, high = (mean + error * float(end) for end in stats.t.interval(CONFIDENCE, samples - 1))
    # Rounding may put the mean itself beyond 1.
    return Estimate(mean, min(mean, max(least, low)), max(mean, min(1.0, high)))


def strongest(findings: Sequence[PairFinding], count: int) -> tuple[PairFinding, ...]:
    """Those with the largest mean cosines (absolute), ordered from conflict to alignment."""
    defined = [(f.cosine.mean, f) for f in findings if f.cosine is not None]
    kept = sorted(defined, key=lambda item: -abs(item[0]))[:count]
    return tuple(finding for _, finding in sorted(kept, key=lambda item: item[0]))
