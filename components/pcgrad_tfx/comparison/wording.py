"""What a comparison found, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import Finding, compare_methods
from pcgrad_tfx.formatting import listed, signed

METRIC_NAMES = {"auc": "AUC", "r_squared": "R²"}
PCGRAD, PPCGRAD = "PCGrad", "PPCGrad"

# Names of so many tasks can be read in a sentence.
_MOST = 3
_MOST_DIGITS = 5

# What holds for all sentences.
CAVEAT = (
    "Intervals and tests are about the noise between seeds, on one test split; other test data may "
    "differ by more."
)


def verdict(comparison: ComparisonOutcome) -> str:
    """Whether gradient surgery helped, in one sentence; PPCGrad only if it differs."""
    found = compare_methods(comparison)
    said = _sentence(comparison, PCGRAD, found)
    outcomes = {
        method: {(f.task, f.difference is not None and f.difference > 0)
                 for f in found if f.method == method and f.is_significant}
        for method in (PCGRAD, PPCGRAD)
    }  # fmt: skip
    if outcomes[PCGRAD] != outcomes[PPCGRAD]:
        said = f"{said} {_sentence(comparison, PPCGRAD, found)}"
    return said


def sentences(comparison: ComparisonOutcome) -> list[str]:
    """A sentence about each method, and one about what surgery costs."""
    found = compare_methods(comparison)
    methods = [method.name for method in comparison.methods if method.name != EQUAL_WEIGHTS]
    said = [_sentence(comparison, method, found) for method in methods]
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
            f"({listed(_detectable(rest), ' or ')} would not have been seen)"
        )
    undefined = [f.task for f in by_task if f.detectable is None and f.task]
    if undefined:
        parts.append(f"no answer on {listed(undefined)}, whose metric is undefined on this split")
    overall = [f for f in ours if f.task is None and f.is_significant]
    for finding in () if significant else overall:
        # Small differences on several tasks may add up to more than noise.
        parts.append(f"but on the mean over the tasks {_with_numbers(finding)}")
    return f"{method} against {EQUAL_WEIGHTS}: {'; '.join(parts)}."


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
    metric = METRIC_NAMES.get(finding.metric or "", finding.metric or "")
    name = f"{finding.task} " if finding.task else ""
    values = [finding.difference, finding.low, finding.high]
    digits = _digits(min(abs(value) for value in values if value))
    difference, low, high = (signed(value or 0.0, digits) for value in values)
    unit = f" {metric}" if metric else ""
    return f"{name}({difference}{unit}, 95% CI {low} to {high})"


def _detectable(rest: Iterable[Finding]) -> list[str]:
    """For each metric the difference that would have been seen on every task."""
    largest: dict[str, float] = {}
    for finding in rest:
        if finding.metric and finding.detectable is not None:
            # Methods that differ by rounding only: "smaller than 0.00000" would say nothing.
            least = largest.get(finding.metric, 10.0**-_MOST_DIGITS)
            largest[finding.metric] = max(least, finding.detectable)
    return [
        f"smaller than {value:.{_digits(value)}f} {METRIC_NAMES.get(metric, metric)}"
        for metric, value in largest.items()
    ]


def _digits(value: float) -> int:
    """So many decimals that a value shows its first digit, three at least, five at most."""
    return next((digits for digits in (3, 4) if abs(value) >= 10.0**-digits), _MOST_DIGITS)
