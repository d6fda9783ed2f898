"""The charts about how training went; each makes one. To be used within `drawing.style()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pcgrad_tfx import formatting
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.drawing import (
    COLORS,
    INK,
    MAX_TASKS_WITH_COLORS,
    SMALL_WIDTH,
    WIDTH,
    Chart,
    dots,
)
from pcgrad_tfx.conflict_report.telemetry import Epoch, History

CURVE_COLORS = {"train": COLORS[0], "eval": COLORS[1]}


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
