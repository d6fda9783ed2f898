"""The charts about what tasks cost each other; each function makes one.

To be used within `drawing.style()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pcgrad_tfx import formatting
from pcgrad_tfx.conflict_report import wording
from pcgrad_tfx.conflict_report.drawing import (
    BETTER,
    COLORS,
    INK,
    MAX_DOTS,
    MAX_LINES,
    MAX_TASKS_WITH_COLORS,
    QUIET,
    WORSE,
    Chart,
    dots,
)
from pcgrad_tfx.conflict_report.probes import PairProbes, Probes
from pcgrad_tfx.conflict_report.verdicts import PairFinding, TaskFinding, strongest

MAX_TASKS_WITH_INTERVALS = 3
MAX_TASKS_WITH_NUMBERS = 7

# Where the heat map's colours end: everything beyond is strong.
_DARKEST = 0.5
# ColorBrewer's, which the colour-blind can tell apart, too. Not in so many steps that Matplotlib
# would embed the colour bar as pixels.
_DIVERGING = mpl.colormaps["RdBu"].resampled(41).with_extremes(bad="#eceef1")

_VERDICT_COLORS = {"cost": WORSE, "help": BETTER}

# The ledger's axis goes no further, so that one task's extreme does not hide the others.
_LEAST_KEPT, _MOST_KEPT = -1.0, 3.0
_BAR_ALPHA = 0.45


def ledger(tasks: Sequence[TaskFinding]) -> Markup:
    """What each task keeps, with its interval, and below it what the others take and add.

    A few tasks have a bar for each other one, in its colour; many have one for all losses and one
    for all gains, and are ordered by what they keep.
    """
    has_colors = len(tasks) <= MAX_TASKS_WITH_COLORS
    if not has_colors:
        tasks = sorted(tasks, key=lambda task: 1.0 if task.kept.value is None else task.kept.value)
    names = [task.task for task in tasks]
    labels = wording.chart_labels(names)
    colors = dict(zip(names, COLORS, strict=False)) if has_colors else {}
    chart = Chart("ledger", height=(34 if has_colors else 17) * len(names) + 110)
    axes = chart.axes
    for place, task in enumerate(tasks):
        _draw_entries(axes, place, task, colors)
        if task.verdict == "noise":
            axes.text(1.01, place, "noise", va="center", color=QUIET, fontsize=9)
    values = [(task.kept.value, task.kept.low, task.kept.high) for task in tasks]
    dots(
        axes,
        [labels[name] for name in names],
        values,
        [_VERDICT_COLORS.get(task.verdict, QUIET) for task in tasks],
    )
    axes.axvline(1, color=INK, linewidth=0.8)
    ends = [end for value in values for end in value if end is not None]
    ends += [1 + total for task in tasks for total in _totals(task)]
    low, high = max(_LEAST_KEPT, min([0.5, *ends])), min(_MOST_KEPT, max([1.5, *ends]))
    margin = 0.03 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    for place, task in enumerate(tasks):
        _draw_beyond(axes, place, task, low, high)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("others take  ←  own progress = 100%  →  others add")
    if colors:
        keys = [
            Patch(color=color, alpha=_BAR_ALPHA, label=labels[name])
            for name, color in colors.items()
        ]
        chart.figure.legend(handles=keys, loc="outside lower left", ncols=2, handlelength=1)
    words = "; ".join(
        f"{task.task} {wording.share(task.kept)} ({wording.entries_in_words(task.entries)})"
        for task in tasks
    )
    return chart.svg(f"What each task keeps of its own progress: {words}.")


def _draw_beyond(
    axes: mpl.axes.Axes, place: int, task: TaskFinding, low: float, high: float
) -> None:
    """Draws an arrow and a number for what is kept, where its dot is not on the axis."""
    kept = task.kept.value
    if kept is None or low <= kept <= high:
        return
    edge, arrow, side = (low, "<", "left") if kept < low else (high, ">", "right")
    color = _VERDICT_COLORS.get(task.verdict, QUIET)
    axes.plot(edge, place, arrow, color=color)
    shift = 7 if side == "left" else -7
    axes.annotate(
        wording.share(task.kept), (edge, place), (shift, 6), textcoords="offset points",
        ha=side, color=color, fontsize=9,
    )  # fmt: skip


def heat_map(tasks: Sequence[str], findings: Sequence[PairFinding]) -> Markup:
    """The T x T cosines; with numbers and intervals where there is room for them."""
    size = len(tasks)
    labels = _numbered(tasks) if size > MAX_TASKS_WITH_NUMBERS else wording.chart_labels(tasks, 12)
    cells = np.full((size, size), np.nan)
    height = {2: 210, 3: 260}.get(size, 330 if size < 12 else max(380, 110 + 12 * size))
    chart = Chart("heat map", height)
    axes = chart.axes
    for finding in findings:
        if finding.cosine.value is None:
            continue
        i, j = (tasks.index(task) for task in finding.tasks)
        cells[i, j] = cells[j, i] = finding.cosine.value
        for x, y in ((i, j), (j, i)):
            _write_cell(axes, x, y, finding, size)
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(cells), cmap=_DIVERGING, vmin=-_DARKEST, vmax=_DARKEST,
        edgecolor="white", linewidth=1,
    )  # fmt: skip
    places = np.arange(size) + 0.5
    axes.set_yticks(places, [labels[task] for task in tasks])
    if size > MAX_TASKS_WITH_NUMBERS:
        step = 1 + size // 20
        axes.set_xticks(places[::step], [str(i) for i in range(1, size + 1, step)])
    else:
        axes.set_xticks(places, [labels[task] for task in tasks])
    if MAX_TASKS_WITH_INTERVALS < size <= MAX_TASKS_WITH_NUMBERS:
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
    bar.set_label("opposed  ←  cosine  →  aligned")
    bar.outline.set_visible(False)  # type: ignore[operator]  # a container, by the stubs
    assert bar.solids is not None
    bar.solids.set_edgecolor("face")  # no seams between the colours
    words = "; ".join(
        f"{formatting.listed(finding.tasks)}: {wording.cosine(finding.cosine)}"
        for finding in strongest(findings, MAX_DOTS)
    )
    return chart.svg(f"Heat map of the cosine of each pair of tasks' gradients. {words}")


def course(probes: Probes, findings: Sequence[PairFinding]) -> Markup:
    """The cosines of the strongest pairs over one training, with bands of 95%."""
    by_tasks = {frozenset(pair.tasks): pair for pair in probes.pairs}
    chosen = [by_tasks[frozenset(finding.tasks)] for finding in strongest(findings, MAX_LINES)]
    chart = Chart("course", height=210 + 16 * (len(chosen) + 1))
    axes = chart.axes
    axes.axhline(0, color=INK, linewidth=0.8)
    for pair, label, color in zip(chosen, _pair_labels(chosen), COLORS, strict=False):
        _draw_course(axes, pair, label, color)
    low, high = axes.get_ylim()
    axes.set_ylim(max(-1.05, min(low, -0.12)), min(1.05, max(high, 0.12)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel("cosine")
    axes.grid(axis="y")
    chart.figure.legend(loc="outside lower left", handlelength=1.5)
    words = "; ".join(
        f"{formatting.listed(pair.tasks)} "
        + ", ".join(wording.cosine(point.cosine) for point in pair.course)
        for pair in chosen
    )
    return chart.svg(f"Lines of the cosine over the training's steps: {words}.")


def shares(pairs: Sequence[PairFinding], tasks: Sequence[TaskFinding]) -> Markup:
    """How often gradients oppose each other, beside how often those of one task do.

    Of the training's own steps; if they were not followed, of the probes' chunks. The pairs that
    do so most and least often, if there are many.
    """
    known = sorted(
        ((own[0], pair, own) for pair in pairs if (own := _share(pair))),
        key=lambda item: (-item[0], item[1].tasks),
    )
    if len(known) > MAX_DOTS:
        known = [*known[: MAX_DOTS // 2], *known[-(MAX_DOTS // 2) :]]
    shown = [pair for _, pair, _ in known]
    controls = {task.task: task.opposed_to_itself for task in tasks}
    chart = Chart("shares", height=110 + 24 * len(shown))
    axes = chart.axes
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle="--")
    for place, pair in enumerate(shown):
        known_controls = [
            control for task in pair.tasks if (control := controls.get(task)) is not None
        ]
        axes.plot(
            known_controls, [place] * len(known_controls), "D", color=QUIET, markersize=6,
            markerfacecolor="none",
        )  # fmt: skip
    dots(axes, _pair_labels(shown), [value for _, _, value in known], [COLORS[0]] * len(shown))
    axes.annotate(
        "only noise", (0.5, 1), (0, 3), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", color=QUIET, fontsize=9,
    )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("gradients with a negative product")
    words = [
        f"{formatting.listed(pair.tasks)}: {formatting.percent(value)}, each of them alone: "
        + " and ".join(formatting.percent(controls.get(task)) for task in pair.tasks)
        for value, pair, _ in known
    ]
    return chart.svg("How often gradients oppose each other. " + "; ".join(words) + ".")


def _draw_entries(
    axes: mpl.axes.Axes, place: int, task: TaskFinding, colors: Mapping[str, str]
) -> None:
    """Bars from 100% on: to the left what others take, to the right what they add."""
    bars = [(entry.share.value or 0.0, colors.get(entry.other, "")) for entry in task.entries]
    if not colors:
        bars = list(zip(_totals(task), (WORSE, BETTER), strict=True))
    ends = {False: 1.0, True: 1.0}
    for value, color in sorted(bars, key=lambda bar: -abs(bar[0])):
        axes.barh(
            place + 0.18, value, left=ends[value > 0], height=0.28, color=color,
            alpha=_BAR_ALPHA, edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        ends[value > 0] += value


def _totals(task: TaskFinding) -> tuple[float, float]:
    """All that the others take (negative), and all that they add."""
    values = [entry.share.value or 0.0 for entry in task.entries]
    return sum(value for value in values if value < 0), sum(value for value in values if value > 0)


def _draw_course(axes: mpl.axes.Axes, pair: PairProbes, label: str, color: str) -> None:
    """A line with a band, and with an interval at each point: one may be alone."""
    known = [point for point in pair.course if point.cosine.value is not None]
    steps = [point.step for point in known]
    values, low, high = (
        np.array([getattr(point.cosine, name) for point in known], float)  # NaN for None
        for name in ("value", "low", "high")
    )
    axes.plot(steps, values, marker="o", markersize=4, color=color, label=label)
    axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    axes.vlines(steps, low, high, color=color, alpha=0.4, linewidth=1)


def _share(pair: PairFinding) -> tuple[float, float | None, float | None] | None:
    own = pair.conflicting
    if own is not None and own.value is not None:
        return own.value, own.low, own.high
    return None if pair.opposed_chunks is None else (pair.opposed_chunks, None, None)


def _write_cell(axes: mpl.axes.Axes, x: int, y: int, finding: PairFinding, size: int) -> None:
    light = abs(finding.cosine.value or 0.0) > 0.7 * _DARKEST
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if light else INK}
    if size > MAX_TASKS_WITH_NUMBERS:
        if finding.verdict == "opposed":
            axes.text(x + 0.5, y + 0.5, "•", **style)
        return
    text = wording.cosine(finding.cosine)
    weight = "bold" if finding.verdict in ("opposed", "aligned") else "normal"
    if size <= MAX_TASKS_WITH_INTERVALS and finding.cosine.interval:
        axes.text(x + 0.5, y + 0.42, text, weight=weight, **style)
        interval = wording.cosine_interval(finding.cosine)
        axes.text(x + 0.5, y + 0.64, interval, fontsize=8, **style)
    else:
        axes.text(x + 0.5, y + 0.5, text, weight=weight, fontsize=9, **style)


def _numbered(tasks: Sequence[str]) -> dict[str, str]:
    labels = wording.chart_labels(tasks, 14)
    return {task: f"{labels[task]}  {i}" for i, task in enumerate(tasks, 1)}


def _pair_labels(pairs: Sequence[PairFinding | PairProbes]) -> list[str]:
    tasks = list(dict.fromkeys(task for pair in pairs for task in pair.tasks))
    labels = wording.chart_labels(tasks, 12)
    return [" – ".join(labels[task] for task in pair.tasks) for pair in pairs]
