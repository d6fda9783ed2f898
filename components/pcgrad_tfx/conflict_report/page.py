"""The report as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pcgrad_tfx import formatting
from pcgrad_tfx.comparison.results import ComparisonOutcome
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.conflict_report import charts, wording
from pcgrad_tfx.conflict_report.comparison_section import comparison_section, metric_name
from pcgrad_tfx.conflict_report.drawing import Figure, style
from pcgrad_tfx.conflict_report.report import Report
from pcgrad_tfx.conflict_report.verdicts import MODERATE, STRONG, PairFinding, strongest
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
        metric_name=metric_name,
        number=formatting.number,
        one_line=formatting.one_line,
        p_value=formatting.p_value,
        percent=formatting.percent,
        signed=formatting.signed,
    )
    many = len(report.telemetry.tasks) > charts.MAX_TASKS_WITH_COLORS
    with style():
        return environment.get_template("report.html").render(
            report=report,
            conflict_figures=list(_conflict_figures(report)),
            norms=list(_norms(report)),
            kept=_kept(report),
            learning_curves=list(_learning_curves(report, small=many)),
            many_tasks=many,
            curve_colors=charts.CURVE_COLORS,
            comparison=comparison_section(report.comparison) if report.comparison else None,
            pairs=_rows(report.findings),
            settings=_settings(report),
            moderate=MODERATE,
            strong=STRONG,
        )


def _rows(findings: Sequence[PairFinding]) -> list[PairFinding]:
    """The strongest pairs, then those without a cosine, as far as there is room."""
    undefined = [finding for finding in findings if finding.cosine is None]
    return [*strongest(findings, _MAX_ROWS), *undefined][:_MAX_ROWS]


def _code(text: str) -> Markup:
    """On one line, with what is between backticks as code."""
    parts = [escape(part) for part in formatting.one_line(text).split("`")]
    marked = [
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def _conflict_figures(report: Report) -> Iterator[Figure]:
    if not any(finding.cosine for finding in report.findings):
        return
    tasks, findings = report.telemetry.tasks, report.findings
    epochs = report.telemetry.epochs
    yield Figure(
        "Mean cosine of each pair",
        charts.heat_map(tasks, findings),
        "Red: gradients that point against each other; blue: the same way. "
        + (
            "Below each mean its 95% interval; bold: further from 0 than noise."
            if len(tasks) <= charts.MAX_TASKS_WITH_INTERVALS
            else "Bold: further from 0 than noise."
            if len(tasks) <= charts.MAX_TASKS_WITH_NUMBERS
            else "A dot: conflict beyond noise."
        ),
    )
    some = "" if len(findings) <= charts.MAX_DOTS else f" The {charts.MAX_DOTS} strongest pairs."
    yield Figure(
        "How sure it is",
        charts.cosines(findings),
        f"Means with 95% intervals over {report.basis}. Red: conflict; blue: aligned; grey: no "
        f"evidence of either.{some}",
    )
    yield Figure(
        "Cosine over training",
        charts.cosine_over_training(epochs, findings),
        "Means of each epoch's steps in the Trainer's run. Conflicts often come and go as the "
        "tasks are learned.",
    )
    yield Figure(
        "Share of conflicting steps",
        charts.conflicting_shares(findings),
        "Unrelated gradients point against each other in about half of the steps, by chance. So a "
        f"share near 50% with a mean cosine near 0 is no evidence of conflict.{some}",
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
    for method in comparison.methods:
        if method.loss_weights:
            weights = {task: f"{weight:g}" for task, weight in method.loss_weights.items()}
            found[f"{method.name} chosen"] = _plain(weights)
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
