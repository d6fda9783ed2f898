"""What a comparison found, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, LINEAR, TREES, ComparisonOutcome
from pcgrad_tfx.comparison.statistics import RELATIVE_CHANGE, Finding, compare_methods
from pcgrad_tfx.config.task_kinds import KINDS
from pcgrad_tfx.evaluation.scores import mean_defined
from pcgrad_tfx.formatting import listed, number, signed

METRIC_NAMES = {"auc": "AUC", "r_squared": "R²", RELATIVE_CHANGE: "Δm"}
PCGRAD, PPCGRAD = "PCGrad", "PPCGrad"

# What a constant prediction has, by metric.
_CONSTANT = {kind.primary_metric.name: kind.constant_value for kind in KINDS.values()}

# Names of so many tasks can be read in a sentence.
_MOST = 3
_MOST_DIGITS = 5

# A metric that is lower by less is as good.
_MARGIN = 0.02

# What holds for all sentences.
CAVEAT = (
    "Intervals and tests are about the noise between seeds, on one test split; other test data may "
    "differ by more."
)


def verdict(comparison: ComparisonOutcome) -> str:
    """What nobody learned; whether surgery helped, and any other method; what trees reach."""
    found = compare_methods(comparison)
    others = [m.name for m in comparison.methods if m.name not in (EQUAL_WEIGHTS, PCGRAD)]
    said = [*_not_learned(comparison)]
    if any(method.name == PCGRAD for method in comparison.methods):
        said.append(_sentence(comparison, PCGRAD, found))
    # PPCGrad is the same method; it is mentioned only if it comes out in another way.
    if _outcome(PPCGRAD, found) == _outcome(PCGRAD, found):
        others = [method for method in others if method != PPCGRAD]
    differing = [method for method in others if _outcome(method, found)]
    said += [_sentence(comparison, method, found) for method in differing]
    same = [method for method in others if method not in differing]
    if same:
        said.append(
            f"{listed(same)}: no difference from {EQUAL_WEIGHTS}{_label(comparison)} larger than "
            f"the noise between {len(comparison.seeds)} seeds."
        )
    return " ".join([*said, *_references(comparison)])


def sentences(comparison: ComparisonOutcome) -> list[str]:
    """What no method learned; a sentence about each method; other models; the price of a step."""
    found = compare_methods(comparison)
    methods = [method.name for method in comparison.methods if method.name != EQUAL_WEIGHTS]
    said = [*_not_learned(comparison)]
    said += [_sentence(comparison, method, found) for method in methods]
    said += _diverged(comparison)
    said += _references(comparison)
    prices = [
        f"{time.ratio:.2f} times as long with {time.method}"
        for time in comparison.step_times
        if time.method != EQUAL_WEIGHTS
    ]
    if prices:
        plain = f"a plain step with {EQUAL_WEIGHTS}, which makes one backward pass"
        said.append(f"A step takes {listed(prices)} as {plain}.")
    return said


def budget(comparison: ComparisonOutcome) -> str:
    """What was done for each method before it was scored."""
    if not comparison.search:
        return (
            "Untuned: all methods were trained with the configuration's learning rate, which may "
            "suit one better than another."
        )
    return (
        f"Tuned: for each method, and each task alone, {comparison.search} settings of learning "
        "rate, weight decay and dropout were tried on eval, of static weights as many together "
        "with settings. The best was then trained with each seed."
    )


def _label(comparison: ComparisonOutcome) -> str:
    """Goes into every sentence about methods."""
    return (
        f" (each the best of {comparison.search} settings)" if comparison.search else " (untuned)"
    )


def _outcome(method: str, found: Sequence[Finding]) -> set[tuple[str | None, bool]]:
    """On what a method differs from equal weights, and whether it is better there."""
    return {
        (finding.task, (finding.difference or 0.0) > 0)
        for finding in found
        if finding.method == method and finding.is_significant
    }


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
        parts.append(f"but {word} in the mean over the tasks {_with_numbers(finding)}")
    name = method + _weights(comparison, method)
    return f"{name} against {EQUAL_WEIGHTS}{_label(comparison)}: {'; '.join(parts)}."


def _weights(comparison: ComparisonOutcome, method: str) -> str:
    """The loss weights that were chosen for a method, behind its name, if they can be read."""
    (weights,) = (one.loss_weights for one in comparison.methods if one.name == method)
    if not weights or len(weights) > _MOST:
        return ""
    return f" ({', '.join(f'{task} {weight:g}' for task, weight in weights.items())})"


def _not_learned(comparison: ComparisonOutcome) -> Iterator[str]:
    """The tasks for which every method is worse than a constant prediction or a linear model."""
    lost, linear = {}, {}
    for task, metric in comparison.metrics.items():
        best = _best(comparison, task)
        by_linear = comparison.references.get(LINEAR, {}).get(task)
        if best is None:
            continue
        if best < _CONSTANT.get(metric, best):
            lost[task] = metric
        elif by_linear is not None and best < by_linear - _MARGIN:
            linear[task] = f"{task} ({_compared(metric, by_linear, best)})"
    worth = "what they differ by there says nothing of their worth."
    if lost:
        limits = (
            f"{METRIC_NAMES.get(metric, metric)} below {_CONSTANT[metric]:g}"
            for metric in dict.fromkeys(lost.values())
        )
        yield (
            f"On {_counted(lost)} every method is worse than a constant prediction "
            f"({listed(limits, ' or ')}): {worth}"
        )
    if linear:
        yield (f"On {_counted(linear.values())} every method is worse than a linear model: {worth}")


def _references(comparison: ComparisonOutcome) -> Iterator[str]:
    """What boosted trees reach, beside the best method of the network."""
    trees = comparison.references.get(TREES, {})
    reached = {
        task: (value, best)
        for task, value in trees.items()
        if value is not None and (best := _best(comparison, task)) is not None
    }
    if not reached:
        return
    label = _label(comparison)
    if len(reached) <= _MOST:
        said = (
            f"{_compared(comparison.metrics[task], *values)} on {task}"
            for task, values in reached.items()
        )
        yield f"Boosted trees reach{label} {listed(said)} (the network's best method)."
        return
    ahead = sum(value > best + _MARGIN for value, best in reached.values())
    behind = sum(value < best - _MARGIN for value, best in reached.values())
    yield (
        f"Boosted trees{label} are ahead of the network's best method on {ahead} of "
        f"{len(reached)} tasks, and behind on {behind}, by more than {_MARGIN} each."
    )


def _diverged(comparison: ComparisonOutcome) -> Iterator[str]:
    for method in comparison.methods:
        count = sum(run.diverged for run in comparison.runs if run.method == method.name)
        if count:
            yield (
                f"{method.name} diverged with {count} of {len(comparison.seeds)} seeds, which "
                "count as a constant prediction."
            )


def _best(comparison: ComparisonOutcome, task: str) -> float | None:
    """The mean over the seeds of the best method."""
    means = [
        mean_defined(run.test.get(task) for run in comparison.runs if run.method == method.name)
        for method in comparison.methods
    ]
    return max((mean for mean in means if mean is not None), default=None)


def _compared(metric: str, other: float, ours: float) -> str:
    return f"{METRIC_NAMES.get(metric, metric)} {number(other, 3)} against {number(ours, 3)}"


def _counted(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = [*names]
    more = [f"{len(names) - _MOST} more tasks"] if len(names) > _MOST else []
    return listed([*names[:_MOST], *more])


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
    if finding.metric == RELATIVE_CHANGE:
        change, low, high = (f"{signed(100 * (value or 0.0), 1)}%" for value in values)
        return f"({metric} {change}, 95% CI {low} to {high})"
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
