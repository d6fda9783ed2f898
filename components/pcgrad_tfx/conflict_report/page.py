"""The report as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pcgrad_tfx import formatting
from pcgrad_tfx.comparison.results import ComparisonOutcome
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.conflict_report import charts, conflict_charts, wording
from pcgrad_tfx.conflict_report.comparison_section import comparison_section, metric_name
from pcgrad_tfx.conflict_report.drawing import (
    MAX_DOTS,
    MAX_LINES,
    MAX_TASKS_WITH_COLORS,
    Figure,
    style,
)
from pcgrad_tfx.conflict_report.report import Report
from pcgrad_tfx.conflict_report.verdicts import PairFinding, strongest
from pcgrad_tfx.training.callbacks.best_epoch import GAIN

# More pairs than this are in report.json only.
_MAX_ROWS = 40

# Settings that have a place of their own, or say nothing to a reader.
_NOT_SETTINGS = {"tasks", "features", "checkpoint_root", "code_version"}

_NOT_SHOWN_OF_TASKS = {"name", "kind", "gate", "label_key"}


def render(report: Report) -> str:
    """Makes the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pcgrad_tfx.conflict_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        code=_code,
        cosine=wording.cosine,
        cosine_interval=wording.cosine_interval,
        entries=wording.entries_in_words,
        metric_name=metric_name,
        number=formatting.number,
        one_line=formatting.one_line,
        p_value=formatting.p_value,
        percent=formatting.percent,
        share=wording.share,
        share_interval=wording.share_interval,
        signed=formatting.signed,
        significant=formatting.significant,
        trend=wording.trend,
    )
    many = len(report.telemetry.tasks) > MAX_TASKS_WITH_COLORS
    controls = {task.task: task.opposed_to_itself for task in report.findings.tasks}
    with style():
        return environment.get_template("report.html").render(
            report=report,
            ledger=list(_ledger(report)),
            cosines=list(_cosines(report)),
            shares=list(_shares(report)),
            controls=controls,
            batch_size=report.telemetry.batch_size,
            norms=list(_norms(report)),
            kept=_kept(report),
            learning_curves=list(_learning_curves(report, small=many)),
            many_tasks=many,
            curve_colors=charts.CURVE_COLORS,
            comparison=comparison_section(report.comparison) if report.comparison else None,
            pairs=_rows(report.findings.pairs),
            settings=_settings(report),
        )


def _rows(findings: Sequence[PairFinding]) -> list[PairFinding]:
    """The strongest pairs, then those without a cosine, as far as there is room."""
    undefined = [finding for finding in findings if finding.cosine.value is None]
    return [*strongest(findings, _MAX_ROWS), *undefined][:_MAX_ROWS]


def _code(text: str) -> Markup:
    """On one line, with what is between backticks as code."""
    parts = [escape(part) for part in formatting.one_line(text).split("`")]
    marked = [
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def _ledger(report: Report) -> Iterator[Figure]:
    tasks = report.findings.tasks
    if len(tasks) > 1:
        bars = (
            "to the left what each other task takes, to the right what it adds, in its colour"
            if len(tasks) <= MAX_TASKS_WITH_COLORS
            else "to the left all that others take, to the right all that they add"
        )
        yield Figure(
            "What each task keeps of its own progress",
            conflict_charts.ledger(tasks),
            f"Dots: what is kept, with its 95% interval over {report.basis}; red: less than its "
            f"own, blue: more, grey: not beyond noise. Bars: {bars}.",
        )


def _cosines(report: Report) -> Iterator[Figure]:
    tasks, findings = report.telemetry.tasks, report.findings.pairs
    if not any(finding.cosine.value is not None for finding in findings):
        return
    yield Figure(
        "Cosine of each pair",
        conflict_charts.heat_map(tasks, findings),
        "Red: gradients that point against each other; blue: the same way. "
        + (
            "Below each cosine its 95% interval; bold: further from 0 than noise."
            if len(tasks) <= conflict_charts.MAX_TASKS_WITH_INTERVALS
            else "Bold: further from 0 than noise."
            if len(tasks) <= conflict_charts.MAX_TASKS_WITH_NUMBERS
            else "A dot: opposed beyond noise."
        ),
    )
    probes = report.telemetry.probes
    if probes and any(pair.course for pair in probes.pairs):
        some = "" if len(findings) <= MAX_LINES else f" The {MAX_LINES} strongest pairs."
        yield Figure(
            "Cosine over training",
            conflict_charts.course(probes, findings),
            "In the Trainer's run; bands are 95% intervals, and there is no point where a gradient "
            "is noise. Where the sum of two losses is at its "
            "minimum their gradients are opposite, whatever the tasks are: whether that costs "
            f"anything is what the ledger above says, in which lengths count, too.{some}",
        )


def _shares(report: Report) -> Iterator[Figure]:
    pairs, tasks = report.findings.pairs, report.findings.tasks
    is_of_steps = any(pair.conflicting for pair in pairs)
    if not is_of_steps and all(pair.opposed_chunks is None for pair in pairs):
        return
    caption = "Dots: gradients of two tasks. " + (
        "Diamonds: gradients of one and the same task on different rows. Where these are not much "
        "rarer, what a projection removes is noise."
        if tasks
        else "Noise alone makes it about half of the steps."
    )
    some = "" if len(pairs) <= MAX_DOTS else f" The {MAX_DOTS} most extreme pairs."
    yield Figure(
        f"Share of {'conflicting steps' if is_of_steps else 'opposed chunks'}",
        conflict_charts.shares(pairs, tasks),
        caption + some,
    )


def _norms(report: Report) -> Iterator[Figure]:
    epochs = report.telemetry.epochs
    if any(norm is not None for norm in epochs[-1].gradient_norms.values()):
        yield Figure(
            "Gradient norm of each task",
            charts.gradient_norms(epochs, report.telemetry.tasks),
            "Before surgery, after the loss weights; means over steps. A task whose gradient is "
            "much longer than the others' leads the shared variables.",
        )


def _kept(report: Report) -> str:
    """A sentence about the epoch whose weights are the model's."""
    kept = report.telemetry.kept
    if kept is None:
        return ""
    return (
        f"The model has the weights of epoch {kept.epoch + 1} of "
        f"{report.telemetry.history[-1].epoch + 1} (dotted), the best one on eval: the mean gain "
        f"over a constant prediction is {formatting.number(kept.logs[GAIN], 3)}."
    )


def _learning_curves(report: Report, small: bool) -> Iterator[Figure]:
    for task in report.telemetry.tasks:
        telemetry = report.telemetry
        curve = charts.learning_curve(telemetry.history, task, small, telemetry.kept)
        if curve is not None:
            yield Figure(f"Loss of {task}", curve)


def _settings(report: Report) -> dict[str, dict[str, str]]:
    """What data, settings and versions made the report, by heading."""
    found = {"Data": dict(report.data)}
    if report.comparison:
        found["Comparison"] = _comparison_settings(report.comparison)
    record = report.telemetry.record
    if record is None:
        return found
    found["Data"] |= {f"{split} rows": f"{rows:,}" for split, rows in record.rows.items()}
    settings = record.settings
    found["Tasks"] = {task["name"]: _described(task) for task in settings.get("tasks", ())}
    features = settings.get("features") or {}
    found["Features"] = {kind: _plain(names) for kind, names in features.items() if names}
    found["Training"] = _shown(settings)
    found["Versions"] = record.versions
    return found


def _comparison_settings(comparison: ComparisonOutcome) -> dict[str, str]:
    found = {
        "methods": _plain([method.name for method in comparison.methods]),
        "seeds": _plain(list(comparison.seeds)),
    }
    found |= {f"{split} rows": f"{rows:,}" for split, rows in comparison.rows.items()}
    return found | _shown(comparison.settings)


def _shown(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.replace("_", " "): _plain(value)
        for name, value in settings.items()
        if name not in _NOT_SETTINGS and value is not None and value not in ([], {})
    }


def _described(task: Mapping[str, Any]) -> str:
    """A task in words: its kind, and what else was said about it."""
    said = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in task.items()
        if key not in _NOT_SHOWN_OF_TASKS and not _is_default(key, value)
    ]
    return "; ".join([str(task.get("kind", "")), *said])


def _is_default(key: str, value: Any) -> bool:
    """Whether a task's key has the value that it has if nothing is said."""
    field = Task.model_fields.get(key)
    return value is None or (field is not None and field.default == value)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({_plain(inner)})" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
