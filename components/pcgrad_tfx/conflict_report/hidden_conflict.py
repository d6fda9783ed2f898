"""A task's loss by another that PCGrad cannot see, as noise outweighs it in a batch."""

from __future__ import annotations

from dataclasses import dataclass

from pcgrad_tfx.conflict_report.verdicts import Findings, PairFinding, TaskFinding

# So far the share of steps in which two tasks oppose each other is near that of one task alone.
_NEAR = 0.1


@dataclass(frozen=True)
class HiddenConflict:
    """A loss that PCGrad cannot see for noise.

    Attributes:
        task: Who loses.
        other: Who takes.
        is_of_steps: Whether `seen` is about the training's own steps, else about chunks.
        seen: The share in which the gradients of both oppose each other.
        by_noise: The share in which those of one of them alone do.
        enough_rows: The batch size from which on the signal outweighs the noise, if known.
    """

    task: str
    other: str
    is_of_steps: bool
    seen: float
    by_noise: float
    enough_rows: float | None


def hidden_conflict(findings: Findings, batch_size: int | None) -> HiddenConflict | None:
    """The largest loss by another task that a batch is too noisy to show, if there is one.

    The gradients of the two oppose each other about as often as those of one task alone: what
    PCGrad projects is noise. The share is that of the training's own steps; if they were not
    followed, of the probes' chunks.

    Args:
        findings: Of one training.
        batch_size: Of the training, if known.
    """
    tasks = {finding.task: finding for finding in findings.tasks}
    pairs = {frozenset(finding.tasks): finding for finding in findings.pairs}
    losses = [
        (entry.share.value or 0.0, loser, tasks[entry.other])
        for loser in findings.tasks
        for entry in loser.entries
        if loser.verdict == entry.verdict == "cost"
    ]
    for _, loser, other in sorted(losses, key=lambda loss: loss[0]):
        pair = pairs.get(frozenset((loser.task, other.task)))
        hidden = _hidden(loser, other, pair, batch_size) if pair else None
        if hidden is not None:
            return hidden
    return None


def _hidden(
    loser: TaskFinding, other: TaskFinding, pair: PairFinding, batch_size: int | None
) -> HiddenConflict | None:
    own = pair.conflicting.value if pair.conflicting else None
    seen = pair.opposed_chunks if own is None else own
    controls = [
        task.opposed_to_itself for task in (loser, other) if task.opposed_to_itself is not None
    ]
    if seen is None or not controls or abs(seen - max(controls)) > _NEAR:
        return None
    scales = [task.noise_scale for task in (loser, other) if task.noise_scale is not None]
    enough = max(scales) if len(scales) == 2 else None
    if enough is not None and batch_size is not None and batch_size >= enough:
        return None  # It is not the noise.
    return HiddenConflict(
        task=loser.task,
        other=other.task,
        is_of_steps=own is not None,
        seen=seen,
        by_noise=max(controls),
        enough_rows=enough,
    )
