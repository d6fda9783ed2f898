"""What the report says, before it is drawn: the findings, the verdict, where they come from."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping

import pydantic_core
import tensorflow as tf

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import compare_methods
from pcgrad_tfx.comparison.wording import verdict as comparison_verdict
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.hidden_conflict import hidden_conflict
from pcgrad_tfx.conflict_report.probes import MIN_SEEDS, Probes, over_seeds
from pcgrad_tfx.conflict_report.telemetry import Telemetry
from pcgrad_tfx.conflict_report.verdicts import Findings, is_incomparable, judge

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
        findings: What each task gains or loses, how each pair of gradients lies.
        basis: What the findings' intervals are over, as people read it.
        conflict: Sentences on what the tasks cost each other.
        surgery: A sentence on whether surgery helps; None of a single task without a comparison.
    """

    name: str
    data: Mapping[str, str]
    telemetry: Telemetry
    comparison: ComparisonOutcome | None
    findings: Findings
    basis: str
    conflict: tuple[str, ...]
    surgery: str | None

    @property
    def verdict(self) -> tuple[str, ...]:
        """All sentences: what comes first on the page and last on the console."""
        return self.conflict if self.surgery is None else (*self.conflict, self.surgery)


def make_report(
    name: str, data: Mapping[str, str], telemetry: Telemetry, comparison: ComparisonOutcome | None
) -> Report:
    """Judges what a training, and a comparison if there is one, have left."""
    probes, seeds = _probes(telemetry, comparison)
    findings = judge(probes, telemetry.run_pairs, over_seeds=seeds is not None)
    surgery = None
    if comparison is not None:
        surgery = comparison_verdict(comparison)
    elif len(telemetry.tasks) > 1:
        surgery = wording.NO_COMPARISON
    return Report(
        name=name,
        data=data,
        telemetry=telemetry,
        comparison=comparison,
        findings=findings,
        basis=f"{seeds} in the comparison" if seeds else "the probes of this training",
        conflict=tuple(_conflict(telemetry, findings, seeds)),
        surgery=surgery,
    )


def write_report(report: Report, folder: str) -> None:
    """Writes `report.json`: the verdict and the numbers behind it.

    Its keys:

    - `verdict`: the sentences; `tasks`: the tasks' names.
    - `intervals_over`: what the intervals of `ledger` and of the cosines are over; null without
      probes.
    - `ledger`: a `TaskFinding` for each task; empty without probes.
    - `pairs`: a `PairFinding` for each two; `conflicting` and `steps` are about the training's own
      steps.
    - `probes`: those of the training, as the callback summarizes them; or null.
    - `differences`: a `Finding` for each method and task of a comparison.
    """
    tf.io.gfile.makedirs(folder)
    differences = compare_methods(report.comparison) if report.comparison else []
    probes = report.telemetry.probes
    content = {
        "verdict": report.verdict,
        "tasks": report.telemetry.tasks,
        "intervals_over": report.basis if report.findings.tasks else None,
        "ledger": [dataclasses.asdict(finding) for finding in report.findings.tasks],
        "pairs": [dataclasses.asdict(finding) for finding in report.findings.pairs],
        "probes": probes,
        "differences": [dataclasses.asdict(finding) for finding in differences],
    }
    with tf.io.gfile.GFile(os.path.join(folder, REPORT_FILE), "w") as file:
        file.write(json.dumps(content, indent=1, default=pydantic_core.to_jsonable_python))


def read_verdict(folder: str) -> tuple[str, ...]:
    """The sentences of a report's verdict.

    Args:
        folder: The artifact's URI.

    Returns:
        What the tasks cost each other; whether surgery helps, if there is something to say of it.
    """
    with tf.io.gfile.GFile(os.path.join(folder, REPORT_FILE)) as file:
        return tuple(json.loads(file.read())["verdict"])


def _conflict(telemetry: Telemetry, findings: Findings, seeds: str | None) -> Iterator[str]:
    if len(telemetry.tasks) < 2:
        yield wording.ONE_TASK
        return
    if is_incomparable(findings):
        yield wording.NOT_COMPARABLE
        return
    if not findings.tasks:
        yield wording.NOT_PROBED
        batches = wording.batches_sentence(findings.pairs)
        if batches:
            yield batches
        return
    where = f"over {seeds}" if seeds else "in this training"
    yield from wording.conflict_sentences(findings, where)
    if telemetry.probes is None:
        return
    of_training = findings
    if seeds:
        of_training = judge(telemetry.probes, telemetry.run_pairs, over_seeds=False)
    hidden = hidden_conflict(of_training, telemetry.batch_size)
    if hidden:
        yield wording.hidden_sentence(hidden, telemetry.batch_size, telemetry.probes.chunk_rows)


def _probes(
    telemetry: Telemetry, comparison: ComparisonOutcome | None
) -> tuple[Probes | None, str | None]:
    """Those of several seeds, and whose they are, if there are enough; else the training's."""
    surgery = telemetry.record.settings.get("surgery") if telemetry.record else None
    wanted = [_METHODS[surgery]] if surgery in _METHODS else []
    for method in [*wanted, EQUAL_WEIGHTS] if comparison else []:
        runs = _probes_by_seed(comparison, method)
        if len(runs) >= MIN_SEEDS:
            return over_seeds(runs), f"{len(runs)} seeds of {method}"
    return telemetry.probes, None


def _probes_by_seed(comparison: ComparisonOutcome | None, method: str) -> list[Probes]:
    runs = comparison.runs if comparison else ()
    return [
        Probes.model_validate(run.probes)
        for run in runs
        if run.method == method and run.probes is not None
    ]
