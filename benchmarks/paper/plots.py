"""The pictures of `paper.py`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import tensorflow as tf
from matplotlib import pyplot as plt

from benchmarks.paper.report import variant
from benchmarks.paper.tasks import TASKS
from benchmarks.paper.valley import PAPER_LEARNING_RATE, task_losses

_COLORS = {"Adam": "tab:red", "PCGrad + Adam": "tab:blue"}
_LOWEST, _HIGHEST = (-6.0, -4.5), (4.5, 7.0)
_SHOWN_STARTS = 4


def valley(runs: Mapping[str, dict[str, Any]], path: pathlib.Path) -> None:
    """Draws paths on the contours of the sum, and the summed loss over the steps.

    Args:
        runs: By method the run at the paper's learning rate.
        path: The SVG file.
    """
    _settings("valley")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2))
    grids = np.meshgrid(*(np.linspace(*ends, 70) for ends in zip(_LOWEST, _HIGHEST, strict=True)))
    total = tf.add_n(task_losses(tf.constant(np.stack(grids, axis=-1)))).numpy()
    # The floor is a line of no width: levels by quantile show the slopes towards it.
    levels = np.unique(np.quantile(total, np.linspace(0.02, 0.98, 12)))
    left.contour(*grids, total, levels=levels, cmap="Greys_r", linewidths=0.6)
    for method, color in _COLORS.items():
        run = runs[method]
        for start, places in enumerate(run["path"][:_SHOWN_STARTS]):
            width = 1.6 if start == 0 else 0.7
            left.plot(*places.T, color=color, linewidth=width, label=None if start else method)
            left.plot(*places[-1], "o" if start == 0 else ".", color=color, zorder=3)
        for start, losses in enumerate(run["losses"]):
            right.plot(run["marks"], losses, color=color, linewidth=0.4 if start else 1.6)
    for places in runs["Adam"]["path"][:_SHOWN_STARTS]:
        left.plot(*places[0], "kx", zorder=3)
    left.set(
        xlabel="θ₁", ylabel="θ₂", title="sum of the losses; × starts, • ends, bold: the paper's"
    )
    left.set(xlim=(_LOWEST[0], _HIGHEST[0]), ylim=(_LOWEST[1], _HIGHEST[1]))
    left.legend(loc="lower left", fontsize=7)
    right.set(xscale="log", xlabel="steps", ylabel="summed loss, mean since the last mark")
    right.set_title(f"all starts, learning rate {PAPER_LEARNING_RATE:g}")
    _save(figure, path)


def differences(results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws PCGrad's paired differences from the others with their intervals.

    Args:
        results: One for each variant of a problem.
        path: The SVG file.
    """
    _settings("paper")
    metrics = list(dict.fromkeys(result["metric"] for result in results))
    heights = [1 + sum(result["metric"] == metric for result in results) for metric in metrics]
    figure, axes = plt.subplots(
        len(metrics),
        1,
        figsize=(7.5, 1.1 * sum(heights)),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    for axis, metric in zip(axes[:, 0], metrics, strict=True):
        labels: list[str] = []
        for result in (result for result in results if result["metric"] == metric):
            for task in TASKS:
                for row in result["tuned"]["differences"]:
                    if (row["metric"], row["task"]) == (metric, task):
                        _interval(axis, len(labels), row)
                labels.append(f"{variant(result)}: {task}")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(labels)), labels)
        axis.invert_yaxis()
        better = "right" if metric == "accuracy" else "left"
        axis.set_xlabel(
            f"{metric.replace('_', '-')}: PCGrad minus the other (to the {better}: better)"
        )
    handles = [
        plt.Line2D([], [], color=color, marker="o", label=f"minus {other}")
        for other, (color, _) in _OTHERS.items()
    ]
    axes[0, 0].legend(handles=handles, fontsize=7)
    _save(figure, path)


_OTHERS = {"equal weights": ("tab:red", -0.15), "static weights": ("tab:green", 0.15)}


def _interval(axis: Any, place: int, row: Mapping[str, Any]) -> None:
    color, shift = _OTHERS[row["minus"]]
    axis.plot([row["low"], row["high"]], [place + shift] * 2, color=color)
    axis.plot(row["mean"], place + shift, "o", color=color, markersize=4)


def _settings(salt: str) -> None:
    mpl.use("svg")
    # The same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": salt, "svg.fonttype": "none"})


def _save(figure: Any, path: pathlib.Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
