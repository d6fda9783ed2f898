"""What a comparison found, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import Finding, compare_methods, mean_defined
from pcgrad_tfx.config.task_kinds import KINDS
from pcgrad_tfx.formatting import listed, signed

METRIC_NAMES = {"auc": "AUC", "r_squared": "R²"}
PCGRAD, PPCGRAD = "PCGrad", "PPCGrad"

# What a constant prediction has, by metric.
_CONSTANT = {kind.primary_metric.name: kind.constant_value for kind in KINDS.values()}

# Names of so many tasks can be read in a sentence.
_MOST = 3
_MOST_DIGITS = 5

# What holds for all sentences.
CAVEAT = (
    "Intervals and tests are about the noise between seeds, on one test split; other test data may "
    "differ by more."
)


def verdict(comparison: ComparisonOutcome) -> str:
    """Whether gradient surgery helped: of PPCGrad only if it differs; what nobody learned."""
    found = compare_methods(comparison)
    said = _sentence(comparison, PCGRAD, found)
    outcomes = {
        method: {(f.task, f.difference is not None and f.difference > 0)
                 for f in found if f.method == method and f.is_significant}
        for method in (PCGRAD, PPCGRAD)
    }  # fmt: skip
    if outcomes[PCGRAD] != outcomes[PPCGRAD]:
        said = f"{said} {_sentence(comparison, PPCGRAD, found)}"
    return " ".join([said, *_not_learned(comparison)])


def sentences(comparison: ComparisonOutcome) -> list[str]:
    """A sentence about each method, one about tasks that none learned, one about the price."""
    found = compare_methods(comparison)
    methods = [method.name for method in comparison.methods if method.name != EQUAL_WEIGHTS]
    said = [_sentence(comparison, method, found) for method in methods]
    said += _not_learned(comparison)
    prices = [
        f"{time.ratio:.2f} times as long with {time.method}"
        for time in comparison.step_times
        if time.method != EQUAL_WEIGHTS
    ]
    if prices:
        plain = f"a plain step with {EQUAL_WEIGHTS}, which makes one backward pass"
        said.append(f"A step takes {listed(prices)} as {plain}.")
    return said


def _sentence(comparison: ComparisonOutcome, method: str, found: Sequence[Finding]) -> str:
    ours = [finding for finding in found if finding.method == method]
    by_task = [finding for finding in ours if finding.task is not None]
    significant = [finding for finding in by_task if finding.is_significant]
    parts = [
        f"{word} on {listed(_strongest(kind))}"
        for word, kind in (
            ("better", [f for f in significant if f.difference is not None and f.difference > 0]),
            ("worse", [f for f in significant if f.difference is not None and f.difference < 0]),
        )
        if kind
    ]
    unclear = [f for f in by_task if not f.is_significant and f.detectable is not None]
    # All seeds gave what equal weights gave, an AUC of 1 say.
    same = [f for f in unclear if f.detectable == 0]
    rest = [f for f in unclear if f.detectable != 0]
    if same:
        parts.append(f"the same{_where(same, by_task)}")
    if rest:
        where = _where(rest, by_task)
        parts.append(
            f"no difference larger than the noise between {len(comparison.seeds)} seeds{where} "
            f"(smaller than {_detectable(rest)} would not have been seen)"
        )
    undefined = [f.task for f in by_task if f.detectable is None and f.task]
    if undefined:
        parts.append(f"no answer on {listed(undefined)}, whose metric is undefined on this split")
    overall = [f for f in ours if f.task is None and f.is_significant]
    for finding in () if significant else overall:
        # Small differences on several tasks may add up to more than noise.
        word = "better" if (finding.difference or 0.0) > 0 else "worse"
        parts.append(f"but {word} on the mean over the tasks {_with_numbers(finding)}")
    return f"{method} against {EQUAL_WEIGHTS}: {'; '.join(parts)}."


def _not_learned(comparison: ComparisonOutcome) -> list[str]:
    """A sentence on the tasks for which every method is worse than a constant prediction."""
    metrics = comparison.metrics.items()
    lost = {task: metric for task, metric in metrics if _is_lost(comparison, task, metric)}
    if not lost:
        return []
    names = [*lost][:_MOST]
    if len(lost) > _MOST:
        names.append(f"{len(lost) - _MOST} more tasks")
    limits = (
        f"{METRIC_NAMES.get(metric, metric)} below {_CONSTANT[metric]:g}"
        for metric in dict.fromkeys(lost.values())
    )
    said = (
        f"On {listed(names)} every method is worse than a constant prediction "
        f"({listed(limits, ' or ')}): what they differ by there says nothing of their worth."
    )
    return [said]


def _is_lost(comparison: ComparisonOutcome, task: str, metric: str) -> bool:
    of_methods = [
        mean_defined(run.test.get(task) for run in comparison.runs if run.method == method.name)
        for method in comparison.methods
    ]
    known = [mean for mean in of_methods if mean is not None]
    return metric in _CONSTANT and bool(known) and max(known) < _CONSTANT[metric]


def _where(some: Sequence[Finding], by_task: Sequence[Finding]) -> str:
    """On which tasks, unless on all."""
    names = [finding.task for finding in some if finding.task]
    if len(some) == len(by_task):
        return ""
    return f" on {listed(names) if len(names) <= _MOST else f'the other {len(names)} tasks'}"


def _strongest(kind: Sequence[Finding]) -> list[str]:
    """The findings of the smallest p-values, and how many more there are."""
    ordered = sorted(kind, key=lambda finding: finding.p_value or 0.0)
    said = [_with_numbers(finding) for finding in ordered[:_MOST]]
    return [*said, f"{len(kind) - _MOST} more tasks"] if len(kind) > _MOST else said


def _with_numbers(finding: Finding) -> str:
    metric = METRIC_NAMES.get(finding.metric, finding.metric)
    name = f"{finding.task} " if finding.task else ""
    values = [finding.difference, finding.low, finding.high]
    digits = _digits(min(abs(value) for value in values if value))
    difference, low, high = (signed(value or 0.0, digits) for value in values)
    return f"{name}({difference} {metric}, 95% CI {low} to {high})"


def _detectable(rest: Sequence[Finding]) -> str:
    """The differences that would have been seen: of a few tasks each, of many the range."""
    by_metric: dict[str, list[tuple[float, str]]] = {}
    for finding in rest:
        # Methods that differ by rounding only: "smaller than 0.00000" would say nothing.
        value = max(finding.detectable or 0.0, 10.0**-_MOST_DIGITS)
        by_metric.setdefault(finding.metric, []).append((value, finding.task or ""))
    if len(rest) == 1 or len(rest) > _MOST:
        return listed((_range(metric, values) for metric, values in by_metric.items()), " or ")
    said = (
        f"{_number(value)} {METRIC_NAMES.get(metric, metric)} on {task}"
        for metric, values in by_metric.items()
        for value, task in values
    )
    return listed(said, " or ")


def _range(metric: str, values: Sequence[tuple[float, str]]) -> str:
    least, most = _number(min(values)[0]), _number(max(values)[0])
    limit = most if least == most else f"{least} to {most}"
    by_task = "" if least == most else ", by task,"
    return f"{limit} {METRIC_NAMES.get(metric, metric)}{by_task}"


def _number(value: float) -> str:
    return f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    """So many decimals that a value shows its first digit, three at least, five at most."""
    return next((digits for digits in (3, 4) if abs(value) >= 10.0**-digits), _MOST_DIGITS)
