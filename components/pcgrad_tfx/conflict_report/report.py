"""What the report says, before it is drawn: the findings, the verdict, where they come from."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import compare_methods
from pcgrad_tfx.comparison.wording import verdict as comparison_verdict
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.telemetry import RunPair, Telemetry
from pcgrad_tfx.conflict_report.verdicts import (
    MIN_SEEDS,
    PairFinding,
    judge,
    over_seeds,
)

REPORT_FILE = "report.json"

# The comparison's name of a Trainer's `surgery`.
_METHODS = {"pcgrad": "PCGrad", "ppcgrad": "PPCGrad", "none": EQUAL_WEIGHTS}


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that the page shows.

    Attributes:
        name: Of the pipeline or the data.
        data: What is known about the data: texts by what they are about.
        telemetry: Of the Trainer.
        comparison: If one was run.
        findings: Of each pair of tasks.
        basis: What the findings' intervals are over, as people read it.
        verdict: Sentences: whether the tasks conflict, whether surgery helps. Of a single task
            there is only the first, unless there is a comparison.
    """

    name: str
    data: Mapping[str, str]
    telemetry: Telemetry
    comparison: ComparisonOutcome | None
    findings: tuple[PairFinding, ...]
    basis: str
    verdict: tuple[str, ...]


def make_report(
    name: str, data: Mapping[str, str], telemetry: Telemetry, comparison: ComparisonOutcome | None
) -> Report:
    """Judges what a training, and a comparison if there is one, have left."""
    means, basis = _means(telemetry, comparison)
    findings = judge(means)
    verdict = [wording.conflict_sentence(findings)]
    if comparison is not None:
        verdict.append(comparison_verdict(comparison))
    elif findings:
        verdict.append(wording.NO_COMPARISON)
    return Report(
        name=name,
        data=data,
        telemetry=telemetry,
        comparison=comparison,
        findings=findings,
        basis=basis,
        verdict=tuple(verdict),
    )


def write_report(report: Report, folder: str) -> None:
    """Writes `report.json`: the verdict and the numbers behind it."""
    tf.io.gfile.makedirs(folder)
    differences = compare_methods(report.comparison) if report.comparison else []
    content = {
        "verdict": report.verdict,
        "tasks": report.telemetry.tasks,
        "intervals_over": report.basis,
        "pairs": [dataclasses.asdict(finding) for finding in report.findings],
        "differences": [dataclasses.asdict(finding) for finding in differences],
    }
    with tf.io.gfile.GFile(os.path.join(folder, REPORT_FILE), "w") as file:
        file.write(json.dumps(content, indent=1))


def read_verdict(folder: str) -> tuple[str, ...]:
    """The sentences of a report's verdict.

    Args:
        folder: The artifact's URI.

    Returns:
        Whether the tasks conflict; whether surgery helps, if there is something to say of it.
    """
    with tf.io.gfile.GFile(os.path.join(folder, REPORT_FILE)) as file:
        return tuple(json.loads(file.read())["verdict"])


def _means(
    telemetry: Telemetry, comparison: ComparisonOutcome | None
) -> tuple[Sequence[RunPair], str]:
    """From several seeds if there are enough, else from the blocks of the one training."""
    surgery = telemetry.record.settings.get("surgery") if telemetry.record else None
    wanted = [_METHODS[surgery]] if surgery in _METHODS else []
    for method in [*wanted, "PCGrad"] if comparison else []:
        runs = _pairs_by_seed(comparison, method)
        if len(runs) >= MIN_SEEDS:
            return over_seeds(runs), f"{len(runs)} seeds of {method} in the comparison"
    return telemetry.run_pairs, "blocks of steps of this training"


def _pairs_by_seed(comparison: ComparisonOutcome | None, method: str) -> list[list[RunPair]]:
    runs = comparison.runs if comparison else ()
    return [
        [RunPair.model_validate(pair) for pair in run.pairs]
        for run in runs
        if run.method == method and run.pairs
    ]
