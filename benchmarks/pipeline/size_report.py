"""The table and the plot of `size.py`."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt


def markdown(measured: Sequence[dict[str, Any]]) -> str:
    """Peak memory and time of each component, for each number of rows."""
    sizes = sorted({one["rows"] for one in measured})
    by_place = {(one["component"], one["rows"]): one for one in measured}
    head = [f"{rows:,} rows" for rows in sizes]
    lines = [("peak memory, MB / CPU seconds", *head), ("---", *("---:" for _ in sizes))]
    for component in dict.fromkeys(one["component"] for one in measured):
        cells = [by_place.get((component, rows)) for rows in sizes]
        lines.append((component, *(_cell(one) for one in cells)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(one: dict[str, Any] | None) -> str:
    return "–" if one is None else f"{one['peak_mb']:,.0f} / {one['cpu_seconds']:,.0f}"


def plot(measured: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws memory and time over the number of rows, a line for each component."""
    mpl.use("svg")
    # The same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": "size", "svg.fonttype": "none"})
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for component in dict.fromkeys(one["component"] for one in measured):
        own = [one for one in measured if one["component"] == component]
        millions = [one["rows"] / 1e6 for one in own]
        axes[0].plot(millions, [one["peak_mb"] / 1e3 for one in own], marker=".", label=component)
        axes[1].plot(millions, [one["cpu_seconds"] for one in own], marker=".", label=component)
    axes[0].set(xlabel="million rows", ylabel="peak memory, GB", ylim=0)
    axes[1].set(xlabel="million rows", ylabel="CPU seconds", ylim=0)
    axes[1].legend(fontsize=7, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
