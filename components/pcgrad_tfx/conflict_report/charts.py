"""The charts about a training; each function makes one. To be used within `drawing.style()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from pcgrad_tfx import formatting
from pcgrad_tfx.comparison.statistics import mean_defined
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.drawing import (
    BETTER,
    COLORS,
    INK,
    QUIET,
    SMALL_WIDTH,
    WIDTH,
    WORSE,
    Chart,
    dots,
)
from pcgrad_tfx.conflict_report.telemetry import Epoch, History
from pcgrad_tfx.conflict_report.verdicts import Estimate, PairFinding, strongest

# As many as a chart stays readable with.
MAX_DOTS = 12
MAX_LINES = 6
MAX_TASKS_WITH_INTERVALS = 3
MAX_TASKS_WITH_NUMBERS = 7
MAX_TASKS_WITH_COLORS = 6

# Where the heat map's colours end: everything beyond is strong.
_DARKEST = 0.5
# ColorBrewer's, which the colour-blind can tell apart, too. Not in so many steps that Matplotlib
# would embed the colour bar as pixels.
_DIVERGING = mpl.colormaps["RdBu"].resampled(41).with_extremes(bad="#eceef1")

_VERDICT_COLORS = {"conflict": WORSE, "aligned": BETTER}


def heat_map(tasks: Sequence[str], findings: Sequence[PairFinding]) -> Markup:
    """The T x T mean cosines; with numbers and intervals where there is room for them."""
    size = len(tasks)
    labels = _numbered(tasks) if size > MAX_TASKS_WITH_NUMBERS else wording.chart_labels(tasks, 12)
    cells = np.full((size, size), np.nan)
    chart = Chart("heat map", height={2: 210, 3: 260}.get(size, 330 if size < 12 else 380))
    axes = chart.axes
    for finding in findings:
        if finding.cosine is None:
            continue
        i, j = (tasks.index(task) for task in finding.tasks)
        cells[i, j] = cells[j, i] = finding.cosine.mean
        for x, y in ((i, j), (j, i)):
            _write_cell(axes, x, y, finding, size)
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(cells), cmap=_DIVERGING, vmin=-_DARKEST, vmax=_DARKEST,
        edgecolor="white", linewidth=1,
    )  # fmt: skip
    places = np.arange(size) + 0.5
    columns = [str(i) for i in range(1, size + 1)] if size > MAX_TASKS_WITH_NUMBERS else None
    axes.set_xticks(places, columns or [labels[task] for task in tasks])
    axes.set_yticks(places, [labels[task] for task in tasks])
    if columns is None and size > MAX_TASKS_WITH_INTERVALS:
        axes.tick_params("x", rotation=45)
        for label in axes.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_frame_on(False)
    ticks = (-_DARKEST, -0.3, -0.1, 0.1, 0.3, _DARKEST)
    bar = chart.figure.colorbar(
        mesh, ax=axes, orientation="horizontal", extend="both", ticks=ticks, aspect=40, pad=0.03
    )
    bar.set_ticklabels([formatting.number(tick, 1) for tick in ticks])
    bar.set_label("conflict  ←  mean cosine  →  aligned")
    bar.outline.set_visible(False)  # type: ignore[operator]  # a container, by the stubs
    assert bar.solids is not None
    bar.solids.set_edgecolor("face")  # no seams between the colours
    return chart.svg(
        "Heat map of the mean cosine of each pair of tasks' gradients. "
        + _in_words(strongest(findings, MAX_DOTS))
    )


def cosines(findings: Sequence[PairFinding]) -> Markup:
    """The mean cosines with their intervals, of the strongest pairs."""
    shown = strongest(findings, MAX_DOTS)
    estimates = [finding.cosine for finding in shown if finding.cosine]
    chart = _dots_of_pairs("cosines", shown, estimates)
    axes = chart.axes
    axes.axvline(0, color=INK, linewidth=0.8)
    ends = [end for one in estimates for end in (one.mean, one.low, one.high)]
    farthest = max(abs(end) for end in ends if end is not None)
    # Not narrower than what is weak, so that noise does not look large.
    limit = min(1.05, max(0.12, 1.1 * farthest))
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    axes.set_xlabel("conflict  ←  mean cosine  →  aligned")
    return chart.svg("Mean cosines with 95% intervals. " + _in_words(shown))


def conflicting_shares(findings: Sequence[PairFinding]) -> Markup:
    """The shares of conflicting steps of the strongest pairs, around those of unrelated tasks."""
    shown = [f for f in strongest(findings, MAX_DOTS) if f.conflicting]
    shares = [finding.conflicting for finding in shown if finding.conflicting]
    chart = _dots_of_pairs("shares", shown, shares)
    axes = chart.axes
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle="--")
    axes.annotate(
        "unrelated gradients", (0.5, 1), (0, 3), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", color=QUIET, fontsize=9,
    )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("steps with a negative cosine")
    words = [
        f"{formatting.listed(finding.tasks)}: {formatting.percent(share.mean)}"
        for finding, share in zip(shown, shares, strict=True)
    ]
    return chart.svg("Shares of conflicting steps. " + "; ".join(words) + ".")


def cosine_over_training(epochs: Sequence[Epoch], findings: Sequence[PairFinding]) -> Markup:
    """Each epoch's mean cosine: of all pairs, or of the strongest and the mean of all."""
    chosen = strongest(findings, MAX_LINES if len(findings) <= MAX_LINES else MAX_LINES - 1)
    chart = Chart("cosine over training", height=210 + 16 * (len(chosen) + 1))
    axes = chart.axes
    by_epoch = [{pair.tasks: pair.mean_cosine for pair in epoch.pairs} for epoch in epochs]
    axes.axhline(0, color=INK, linewidth=0.8)
    for finding, label, color in zip(chosen, _pair_labels(chosen), COLORS, strict=False):
        values = [pairs.get(finding.tasks) for pairs in by_epoch]
        _line(axes, epochs, values, color=color, label=label)
    if len(findings) > len(chosen):
        means = [mean_defined(pairs.values()) for pairs in by_epoch]
        label = f"mean of all {len(findings)} pairs"
        _line(axes, epochs, means, color=INK, label=label, linestyle="--")
    low, high = axes.get_ylim()
    axes.set_ylim(max(-1.05, min(low, -0.12)), min(1.05, max(high, 0.12)))
    _epochs_below(axes)
    axes.set_ylabel("mean cosine")
    chart.figure.legend(loc="outside lower left", handlelength=1.5)
    return chart.svg(
        "Lines of each epoch's mean cosine. Last epoch: "
        + "; ".join(
            f"{formatting.listed(f.tasks)} {formatting.number(by_epoch[-1].get(f.tasks))}"
            for f in chosen
        )
        + "."
    )


def gradient_norms(epochs: Sequence[Epoch], tasks: Sequence[str]) -> Markup:
    """Each epoch's mean gradient norm: lines of a few tasks; of many, the last and the range."""
    labels = wording.chart_labels(tasks)
    norms = {task: [epoch.gradient_norms.get(task) for epoch in epochs] for task in tasks}
    last = {task: values[-1] for task, values in norms.items()}
    words = "; ".join(f"{task} {formatting.significant(value)}" for task, value in last.items())
    if len(tasks) > MAX_TASKS_WITH_COLORS:
        chart = Chart("gradient norms", height=70 + 17 * len(tasks))
        axes = chart.axes
        ordered = sorted(tasks, key=lambda task: -(last[task] or 0))
        values = [(last[task], *_ends(norms[task])) for task in ordered]
        dots(axes, [labels[task] for task in ordered], values, [COLORS[0]] * len(tasks))
        _logarithmic(axes, "x")
        axes.set_xlabel("gradient norm: last epoch, range over all")
    else:
        chart = Chart("gradient norms", height=210 + 16 * len(tasks))
        axes = chart.axes
        for task, color in zip(tasks, COLORS, strict=False):
            _line(axes, epochs, norms[task], color=color, label=labels[task])
        _logarithmic(axes, "y")
        _epochs_below(axes)
        axes.set_ylabel("gradient norm")
        chart.figure.legend(loc="outside lower left", handlelength=1.5)
    return chart.svg(f"Gradient norms by task. Last epoch: {words}.")


def learning_curve(
    history: Sequence[History], task: str, small: bool, kept: History | None = None
) -> Markup | None:
    """A task's loss on train and eval over the epochs; None if the logs do not have it.

    Args:
        history: Of the epochs.
        task: The task's name.
        small: Whether it is one of many.
        kept: The epoch whose weights are the model's.
    """
    names = {"train": f"{task}_loss", "eval": f"val_{task}_loss"}
    curves = {split: [line.logs.get(name) for line in history] for split, name in names.items()}
    curves = {
        split: values for split, values in curves.items() if any(v is not None for v in values)
    }
    if not curves:
        return None
    width, height = (SMALL_WIDTH, 130) if small else (WIDTH, 220)
    chart = Chart(f"learning curve of {task}", height, width)
    axes = chart.axes
    for split, values in curves.items():
        _line(axes, history, values, color=CURVE_COLORS[split], markersize=3)
    axes.locator_params("y", nbins=4)
    _epochs_below(axes)
    words = ", ".join(
        f"{split} {formatting.significant(values[-1])}" for split, values in curves.items()
    )
    words = f"in the last one: {words}"
    if kept:
        axes.axvline(kept.epoch + 1, color=INK, linewidth=1, linestyle=":")
        words += f"; the dotted line is the epoch that was kept, {kept.epoch + 1}"
    return chart.svg(f"Loss of {task} over the epochs; {words}.")


CURVE_COLORS = {"train": COLORS[0], "eval": COLORS[1]}


def _write_cell(axes: mpl.axes.Axes, x: int, y: int, finding: PairFinding, size: int) -> None:
    assert finding.cosine is not None
    light = abs(finding.cosine.mean) > 0.7 * _DARKEST
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if light else INK}
    if size > MAX_TASKS_WITH_NUMBERS:
        if finding.verdict == "conflict":
            axes.text(x + 0.5, y + 0.5, "•", **style)
        return
    text = wording.cosine(finding.cosine)
    weight = "bold" if finding.strength else "normal"
    if size <= MAX_TASKS_WITH_INTERVALS and finding.cosine.low is not None:
        axes.text(x + 0.5, y + 0.42, text, weight=weight, **style)
        interval = wording.cosine_interval(finding.cosine)
        axes.text(x + 0.5, y + 0.64, interval, fontsize=8, **style)
    else:
        axes.text(x + 0.5, y + 0.5, text, weight=weight, fontsize=9, **style)


def _numbered(tasks: Sequence[str]) -> dict[str, str]:
    labels = wording.chart_labels(tasks, 14)
    return {task: f"{labels[task]}  {i}" for i, task in enumerate(tasks, 1)}


def _dots_of_pairs(
    name: str, findings: Sequence[PairFinding], estimates: Sequence[Estimate]
) -> Chart:
    chart = Chart(name, height=90 + 24 * len(findings))
    values = [(estimate.mean, estimate.low, estimate.high) for estimate in estimates]
    colors = [_VERDICT_COLORS.get(finding.verdict, QUIET) for finding in findings]
    dots(chart.axes, _pair_labels(findings), values, colors)
    return chart


def _pair_labels(findings: Sequence[PairFinding]) -> list[str]:
    tasks = list(dict.fromkeys(task for finding in findings for task in finding.tasks))
    labels = wording.chart_labels(tasks, 12)
    return [" – ".join(labels[task] for task in finding.tasks) for finding in findings]


def _in_words(findings: Sequence[PairFinding]) -> str:
    return "; ".join(
        f"{formatting.listed(finding.tasks)}: {wording.cosine(finding.cosine)}"
        for finding in findings
    )


def _epochs_below(axes: mpl.axes.Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("epoch")
    axes.grid(axis="y")


def _logarithmic(axes: mpl.axes.Axes, which: str) -> None:
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axis.set_minor_locator(NullLocator())
    # Matplotlib writes powers as formulas.
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _line(
    axes: mpl.axes.Axes,
    epochs: Sequence[Epoch | History],
    values: Sequence[float | None],
    markersize: float = 4,
    **style: Any,
) -> None:
    """Draws a line over the epochs; one of few epochs has dots, or a single one were not seen."""
    xs = [epoch.epoch + 1 for epoch in epochs]
    ys = [np.nan if value is None else value for value in values]
    axes.plot(xs, ys, marker="o" if len(xs) <= 15 else "", markersize=markersize, **style)


def _ends(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    defined = [value for value in values if value is not None]
    return (min(defined), max(defined)) if defined else (None, None)
