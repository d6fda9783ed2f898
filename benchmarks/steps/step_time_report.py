"""The table and the plot of `step_time.py`."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import rich.box
import rich.table
from matplotlib import pyplot as plt

_LINES = {
    "floor": ("T backward passes", "black", "--"),
    "PCGrad": ("PCGrad", "tab:blue", "-"),
    "PPCGrad": ("PPCGrad", "tab:green", "-."),
    "textbook": ("textbook PCGrad", "tab:red", ":"),
}


_HEADINGS = (
    "network",
    "T",
    "floor ÷ plain",
    "PCGrad ÷ floor",
    "PPCGrad ÷ floor",
    "simultaneous ÷ floor",
    "textbook ÷ PCGrad",
    "trace, s",
    "memory, MB",
    "textbook, MB",
)


def table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    """For the console: a row for each network and number of tasks."""
    made = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in _HEADINGS:
        made.add_column(heading, justify="left" if heading == "network" else "right")
    for row in rows:
        made.add_row(*_cells(row))
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """For docs/performance.md: the same table."""
    lines = [_HEADINGS, ("---", *("---:" for _ in _HEADINGS[1:])), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    per_floor, footprint = row["per_floor"], row.get("footprint", {})
    ours, textbook = footprint.get("PCGrad", {}), footprint.get("textbook", {})
    return (
        row["network"],
        str(row["tasks"]),
        _number(row["per_plain"].get("floor")),
        _number(per_floor.get("PCGrad")),
        _number(per_floor.get("PPCGrad")),
        _number(per_floor.get("simultaneous")),
        _number(row["per_pcgrad"].get("textbook"), 1),
        _number(ours.get("trace_seconds")),
        _number(ours.get("memory_growth_mb"), 0),
        _number(textbook.get("memory_growth_mb"), 0),
    )


def plot(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws the steps' times, in units of the plain step, over the number of tasks."""
    mpl.use("svg")
    # The same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": "step_time", "svg.fonttype": "none"})
    networks = [n for n in dict.fromkeys(row["network"] for row in rows) if _tasks(rows, n) > 1]
    if not networks:
        return
    figure, axes = plt.subplots(1, len(networks), figsize=(3.4 * len(networks), 3.4), squeeze=False)
    for axis, network in zip(axes[0], networks, strict=True):
        own = [row for row in rows if row["network"] == network]
        for step, (label, color, style) in _LINES.items():
            points = [(r["tasks"], r["per_plain"][step]) for r in own if step in r["per_plain"]]
            if points:
                axis.plot(*zip(*points, strict=True), style, color=color, label=label, marker=".")
        axis.set(xscale="log", yscale="log", xlabel="tasks", title=f"{network}: {own[0]['title']}")
        axis.title.set_fontsize(8)
        ticks = [row["tasks"] for row in own]
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
    axes[0][0].set_ylabel("step time ÷ plain step")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _tasks(rows: Sequence[dict[str, Any]], network: str) -> int:
    return len({row["tasks"] for row in rows if row["network"] == network})


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
