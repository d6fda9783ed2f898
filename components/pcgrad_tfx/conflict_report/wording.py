"""The report's sentences and labels."""

from __future__ import annotations

from collections.abc import Sequence

from pcgrad_tfx.conflict_report.verdicts import Estimate, PairFinding
from pcgrad_tfx.formatting import listed, number, one_line

# `pcgrad.keras.ConflictStatistics` gives no standard error of fewer blocks.
MIN_STEPS = 20

# Longer names are shortened in the charts.
LABEL_LENGTH = 18

NO_COMPARISON = (
    "Whether surgery helps on these data was not tested: no comparison was run; "
    "`tfx-pcgrad run --compare` runs one."
)

_ADVERBS = {"weak": "only weakly", "moderate": "moderately", "strong": "strongly", None: ""}


def conflict_sentence(findings: Sequence[PairFinding]) -> str:
    """Whether the tasks conflict, in one sentence.

    Args:
        findings: Of all pairs of tasks; empty for a single task.
    """
    if not findings:
        return "There is one task, so there is nothing that it could conflict with."
    defined = [finding for finding in findings if finding.cosine is not None]
    if not defined:
        return (
            "The tasks' gradients could not be compared in any step: they share no variables, or "
            "never have labels in the same batch."
        )
    judged = [finding for finding in defined if finding.p_value is not None]
    if not judged:
        steps = max(finding.steps for finding in defined)
        return (
            f"Training was too short to tell whether the tasks conflict: {_count(steps, 'step')}, "
            f"and fewer than {MIN_STEPS} give no interval."
        )
    if len(findings) == 1:
        return _sentence_of_one(findings[0])
    return _sentence_of_many(findings, judged)


def _sentence_of_one(finding: PairFinding) -> str:
    one, other = map(one_line, finding.tasks)
    if finding.verdict == "no evidence of conflict":
        return f"There is no evidence that {one} and {other} conflict: {_evidence(finding)}."
    verb = "conflict" if finding.verdict == "conflict" else "are aligned"
    return f"{one} and {other} {verb} {_ADVERBS[finding.strength]}: {_evidence(finding)}."


def _sentence_of_many(findings: Sequence[PairFinding], judged: Sequence[PairFinding]) -> str:
    conflicts = sum(finding.verdict == "conflict" for finding in judged)
    aligned = sum(finding.verdict == "aligned" for finding in judged)
    nothing = len(judged) - conflicts - aligned
    counts = [f"{_count(conflicts, 'conflicts', 'conflict')}"] if conflicts else []
    if aligned:
        counts.append(_count(aligned, "is aligned", "are aligned"))
    if nothing:
        counts.append(f"for {nothing} there is no evidence of conflict")
    if len(judged) < len(findings):
        counts.append(f"for {len(findings) - len(judged)} it cannot be told")
    lowest = min(judged, key=lambda finding: finding.cosine.mean if finding.cosine else 0.0)
    pair = listed(map(one_line, lowest.tasks))
    if lowest.verdict == "conflict":
        extreme = f"{pair} conflict most, {_ADVERBS[lowest.strength]}"
    else:
        extreme = f"the lowest is that of {pair}"
    said = f"Of {len(findings)} pairs of tasks {listed(counts)}"
    if nothing == len(findings):
        said = f"There is no evidence that any of {nothing} pairs of tasks conflicts"
    evidence = _evidence(lowest)
    if lowest.verdict != "conflict" and _excludes_zero(lowest):
        # One interval of many does so by chance.
        evidence += f"; among {len(judged)} pairs one such interval is no evidence"
    return f"{said}; {extreme}: {evidence}."


def _excludes_zero(finding: PairFinding) -> bool:
    estimate = finding.cosine
    return estimate is not None and estimate.high is not None and estimate.high < 0


def _evidence(finding: PairFinding) -> str:
    return (
        f"mean cosine of the gradients {cosine(finding.cosine)}, "
        f"95% interval {cosine_interval(finding.cosine)}"
    )


def _count(number_of: int, one: str, many: str | None = None) -> str:
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"


def cosine(estimate: Estimate | None) -> str:
    """A mean cosine; with two digits, and three where it is small."""
    return "–" if estimate is None else number(estimate.mean, _digits(estimate))


def cosine_interval(estimate: Estimate | None) -> str:
    """Its interval."""
    if estimate is None or estimate.low is None:
        return "–"
    digits = _digits(estimate)
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def _digits(estimate: Estimate) -> int:
    return 3 if abs(estimate.mean) < 0.1 else 2


def chart_labels(names: Sequence[str], length: int = LABEL_LENGTH) -> dict[str, str]:
    """Short and distinct names for a chart.

    Args:
        names: Distinct names.
        length: How many characters there is room for.

    Returns:
        A label for each name; long ones lose their middle and, if that is not enough to tell them
        apart, get a number.
    """
    shortened = {name: _shorten(one_line(name), length) for name in names}
    found = list(shortened.values())
    distinct = {}
    for i, (name, label) in enumerate(shortened.items(), 1):
        unique = found.count(label) == 1
        distinct[name] = label if unique else f"{i} {_shorten(label, length - len(f'{i} '))}"
    return distinct


def _shorten(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
