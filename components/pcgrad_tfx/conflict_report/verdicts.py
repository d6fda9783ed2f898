"""What sharing costs a task, and how tasks' gradients lie: from probes to verdicts.

Pure functions. Each family of tests (the tasks, the entries of their ledgers, the pairs' cosines)
is corrected for its size by Holm's method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from pcgrad_tfx.comparison.statistics import LEVEL, holm
from pcgrad_tfx.conflict_report.probes import Estimate, PairProbes, Probes
from pcgrad_tfx.conflict_report.telemetry import RunPair

# "no interval": there were too few probes, or seeds. "noise": a gradient cannot be measured.
Verdict = Literal["cost", "help", "no evidence", "no interval", "noise"]
Direction = Literal["opposed", "aligned", "no evidence", "no interval", "noise"]
_Side = Literal["below", "above", "no evidence", "no interval", "noise"]


@dataclass(frozen=True)
class Entry:
    """What another task adds to a task's own progress (above 0) or takes from it (below 0).

    Attributes:
        other: The other task's name.
        share: Of the task's own progress.
        p_value: Of a share of 0, adjusted for all entries of all tasks; None if untested.
        verdict: Whether the other costs the task something.
    """

    other: str
    share: Estimate
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class TaskFinding:
    """What sharing costs a task; see `pcgrad_tfx.conflict_report.probes.TaskProbes`.

    Attributes:
        entries: Of the ledger, one for each other task.
        p_value: Of nothing gained or lost (1 kept), adjusted for the number of tasks.
        verdict: "cost": significantly less than 1 is kept; "help": more.
    """

    task: str
    kept: Estimate
    kept_with_surgery: Estimate | None
    entries: tuple[Entry, ...]
    signal_share: float | None
    noise_scale: float | None
    opposed_to_itself: float | None
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class PairFinding:
    """How the gradients of two tasks lie to each other.

    Attributes:
        tasks: Their names.
        cosine: From the probes; without a value if there were none, or one task is noise.
        thirds: The same by thirds of the training.
        trend: Last third minus first.
        p_value: Of a cosine of 0, adjusted for the number of pairs.
        verdict: "opposed": the cosine is significantly below 0; "aligned": above.
        opposed_chunks: The share of the probes' chunks in which they oppose each other.
        conflicting: The share of the training's own steps in which they do; None if not measured.
        steps: How many steps that is about.
    """

    tasks: tuple[str, str]
    cosine: Estimate
    thirds: tuple[Estimate, ...]
    trend: Estimate
    p_value: float | None
    verdict: Direction
    opposed_chunks: float | None
    conflicting: Estimate | None
    steps: int


@dataclass(frozen=True)
class Findings:
    """All of a report's findings.

    Attributes:
        tasks: In their order; empty without probes.
        pairs: In their order; without probes those that the training's own steps tell of.
        is_of_tasks: Whether the intervals are over seeds. If not, nothing is said but of the one
            training.
    """

    tasks: tuple[TaskFinding, ...]
    pairs: tuple[PairFinding, ...]
    is_of_tasks: bool


def judge(probes: Probes | None, run_pairs: Sequence[RunPair], over_seeds: bool) -> Findings:
    """Judges the ledgers and the cosines.

    Args:
        probes: Of one training, or the means over seeds.
        run_pairs: What the training's own steps tell; empty if they were not followed.
        over_seeds: Whether the probes' intervals are over seeds.
    """
    steps = {frozenset(pair.tasks): pair for pair in run_pairs}
    if probes is None:
        pairs = [PairProbes(tasks=pair.tasks, cosine=Estimate()) for pair in run_pairs]
        return Findings((), _pairs(pairs, steps), over_seeds)
    return Findings(_tasks(probes), _pairs(probes.pairs, steps), over_seeds)


def is_incomparable(findings: Findings) -> bool:
    """Whether no two gradients ever met, neither in a step nor in a chunk."""
    return bool(findings.pairs) and all(
        pair.conflicting is None and pair.opposed_chunks is None for pair in findings.pairs
    )


def strongest(findings: Sequence[PairFinding], count: int) -> tuple[PairFinding, ...]:
    """Those with the largest cosines (absolute), ordered from opposed to aligned."""
    defined = [(f.cosine.value, f) for f in findings if f.cosine.value is not None]
    kept = sorted(defined, key=lambda item: -abs(item[0]))[:count]
    return tuple(finding for _, finding in sorted(kept, key=lambda item: item[0]))


def _tasks(probes: Probes) -> tuple[TaskFinding, ...]:
    kept = _judge([task.kept for task in probes.tasks.values()], null=1)
    shares = [share for task in probes.tasks.values() for share in task.from_others.values()]
    of_shares = iter(_judge(shares, null=0))
    return tuple(
        TaskFinding(
            task=name,
            kept=task.kept,
            kept_with_surgery=task.kept_with_surgery,
            entries=tuple(
                Entry(other, share, p_of_share, _VERDICTS[side])
                for (other, share), (p_of_share, side) in zip(
                    task.from_others.items(), of_shares, strict=False
                )
            ),
            signal_share=task.signal_share,
            noise_scale=task.noise_scale,
            opposed_to_itself=task.opposed_to_itself,
            p_value=p_value,
            verdict="noise" if task.is_noise else _VERDICTS[of_task],
        )
        for (name, task), (p_value, of_task) in zip(probes.tasks.items(), kept, strict=True)
    )


def _pairs(
    probes: Sequence[PairProbes], steps: Mapping[frozenset[str], RunPair]
) -> tuple[PairFinding, ...]:
    judged = _judge([pair.cosine for pair in probes], null=0)
    found = []
    for pair, (p_value, side) in zip(probes, judged, strict=True):
        own = steps.get(frozenset(pair.tasks))
        found.append(
            PairFinding(
                tasks=pair.tasks,
                cosine=pair.cosine,
                thirds=pair.thirds,
                trend=pair.trend,
                p_value=p_value,
                verdict=_DIRECTIONS[side],
                opposed_chunks=pair.opposed,
                conflicting=_share(own) if own else None,
                steps=own.steps if own else 0,
            )
        )
    return tuple(found)


_VERDICTS: Mapping[_Side, Verdict] = {
    "below": "cost",
    "above": "help",
    "no evidence": "no evidence",
    "no interval": "no interval",
    "noise": "noise",
}
_DIRECTIONS: Mapping[_Side, Direction] = {
    "below": "opposed",
    "above": "aligned",
    "no evidence": "no evidence",
    "no interval": "no interval",
    "noise": "noise",
}


def _judge(family: Sequence[Estimate], null: float) -> list[tuple[float | None, _Side]]:
    """The adjusted p-value of each, and on which side of `null` it is beyond noise."""
    adjusted = holm([_p_value(estimate, null) for estimate in family])
    return [
        (p_value, _side(estimate, null, p_value))
        for estimate, p_value in zip(family, adjusted, strict=True)
    ]


def _p_value(estimate: Estimate, null: float) -> float | None:
    """The two-sided p-value that belongs to the interval: of Student's t, or of the normal."""
    if estimate.value is None or estimate.interval is None:
        return None
    low, high = estimate.interval
    # The other end may have been clipped.
    half = high - estimate.value if estimate.value < null else estimate.value - low
    distance = abs(estimate.value - null)
    if half <= 0:
        return 0.0 if distance else 1.0
    # With infinitely many degrees of freedom Student's t is the normal.
    freedom = math.inf if estimate.samples is None else estimate.samples - 1
    beyond = distance / half * stats.t.isf(LEVEL / 2, freedom)
    return float(2 * stats.t.sf(beyond, freedom))


def _side(estimate: Estimate, null: float, p_value: float | None) -> _Side:
    if estimate.value is None:
        return "noise"
    if p_value is None:
        return "no interval"
    if p_value >= LEVEL:
        return "no evidence"
    return "below" if estimate.value < null else "above"


def _share(pair: RunPair) -> Estimate | None:
    """The share of conflicting steps and its t-interval over blocks of steps."""
    if pair.conflicting is None:
        return None
    if pair.conflicting_error is None:
        return Estimate(value=pair.conflicting)
    half = pair.conflicting_error * float(stats.t.isf(LEVEL / 2, pair.samples - 1))
    low, high = max(0.0, pair.conflicting - half), min(1.0, pair.conflicting + half)
    return Estimate(value=pair.conflicting, low=low, high=high)
