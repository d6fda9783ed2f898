"""The table and the plot of `probes.py trainings`.

python -m benchmarks.conflict.probes trainings --batches 32 512 --seeds 0 1 2 3
python -m benchmarks.conflict.probes_report
"""

from __future__ import annotations

import collections
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

_RESULTS = pathlib.Path(__file__).parents[1] / "results"

_COLOURS = {"cosine": "#0072b2", "batch": "#d55e00"}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: mean absolute errors, and how many intervals hold the truth, case by case."""
    by_case = collections.defaultdict(list)
    for row in rows:
        by_case[row["problem"], row["batch"]].append(row)
    lines = [
        "| tasks | batch | batches: error | probes: error | told | cosines held | ledgers held |",
        "|---|---|---|---|---|---|---|",
    ]
    for (problem, batch), found in by_case.items():
        old = _mean([abs(row["batch_cosine"] - row["true_cosine"]) for row in found])
        cosines = [(row["cosine"], row["true_cosine"]) for row in found]
        told = [one for one in cosines if one[0]["value"] is not None]
        new = _mean([abs(estimate["value"] - true) for estimate, true in told])
        ledgers = [
            one
            for row in found
            for one in zip(row["kept"], row["true_kept"], strict=True)
            if one[0]["value"] is not None
        ]
        lines.append(
            f"| {problem} | {batch} | {old:.2f} | {new:.2f} | {len(told)} of {len(cosines)} | "
            f"{_held(told)} | {_held(ledgers)} |"
        )
    return "\n".join(lines)


def plot(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Both numbers over the cosine on fresh rows."""
    mpl.use("svg")
    # No random ids, and texts as text, so that a plot of the same numbers is the same file.
    mpl.rcParams.update({"svg.hashsalt": "probes", "svg.fonttype": "none"})
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True)
    told = [row for row in rows if row["cosine"]["value"] is not None]
    truth = [row["true_cosine"] for row in told]
    axes[0].scatter(
        [row["true_cosine"] for row in rows],
        [row["batch_cosine"] for row in rows],
        color=_COLOURS["batch"],
        s=14,
    )
    axes[0].set(title="Mean cosine of the training's batches", ylabel="measured")
    values = [row["cosine"]["value"] for row in told]
    arms = [
        [row["cosine"]["value"] - row["cosine"]["low"] for row in told],
        [row["cosine"]["high"] - row["cosine"]["value"] for row in told],
    ]
    axes[1].errorbar(
        truth, values, arms, fmt=".", color=_COLOURS["cosine"], linewidth=1, markersize=7
    )
    axes[1].set(title="Probes, with 95% intervals")
    for one in axes:
        one.plot([-1, 1], [-1, 1], color="#888888", linewidth=1, zorder=0)
        one.set(xlabel="on 300,000 fresh rows", xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
        one.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _held(estimates: Sequence[tuple[dict[str, float], float]]) -> str:
    held = sum(estimate["low"] <= true <= estimate["high"] for estimate, true in estimates)
    return f"{held} of {len(estimates)}"


def main() -> None:
    """Prints the tables and draws the plot."""
    for name in ("probes_trainings", "probes_trainings_held_out"):
        rows = json.loads((_RESULTS / f"{name}.json").read_text())["rows"]
        print(f"{name}\n\n{table(rows)}\n")
        if name == "probes_trainings":
            plot(rows, _RESULTS / "probes.svg")


if __name__ == "__main__":
    main()
