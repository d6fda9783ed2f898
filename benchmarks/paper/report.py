"""The tables of `paper.py`."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import rich.box
import rich.table

from benchmarks.paper.differences import Difference
from benchmarks.paper.tasks import METHODS, TASKS

_METRICS = {
    "accuracy": "accuracy, %",
    "cross_entropy": "cross-entropy",
    "scaled_sum": "scaled sum",
}


def valley(result: dict[str, Any]) -> rich.table.Table:
    """A row for each learning rate and method."""
    return _table(
        f"valley: mean summed loss of the last tenth of {result['steps']:,} steps",
        (
            "learning rate",
            "method",
            "paper's start",
            "random starts",
            "minus Adam (95%)",
            "at the optimum",
            "conflicting steps",
        ),
        (
            (
                f"{row['learning_rate']:g}",
                row["method"],
                f"{row['paper_start']:.0f}",
                f"{row['mean']:.0f}",
                "–" if row["method"] == "Adam" else _difference(row["minus_adam"], ".0f"),
                f"{row['reached']} of {len(row['random_starts'])}",
                f"{row['conflicting']:.0%}",
            )
            for row in sorted(result["rows"], key=lambda row: row["learning_rate"])
        ),
    )


def methods(results: Sequence[dict[str, Any]], rates: str) -> rich.table.Table:
    """Means over the seeds on the test split; `rates` is "common" or "tuned"."""
    rows = []
    for result in results:
        for method in METHODS:
            found = result[rates]["methods"][method]
            rows.append(
                [
                    variant(result),
                    method,
                    *(f"{100 * fmean(found['accuracy'][task]):.1f}" for task in TASKS),
                    *(f"{fmean(found['cross_entropy'][task]):.3f}" for task in TASKS),
                    f"{fmean(found['scaled_sum']['mean']):.3f}",
                    f"{fmean(found['conflicting']):.0%}",
                    f"{fmean(found['mean_cosine']):+.2f}",
                    _counts(found["learning_rate"]),
                    _counts(found["ratio"]),
                ]
            )
    return _table(
        f"test split, means over the seeds; {_RATES[rates]}",
        (
            "problem",
            "method",
            *(f"acc. {task}" for task in TASKS),
            *(f"c.-e. {task}" for task in TASKS),
            "scaled sum",
            "conflicting",
            "cosine",
            "learning rates",
            "ratios",
        ),
        rows,
    )


def differences(results: Sequence[dict[str, Any]], rates: str) -> rich.table.Table:
    """PCGrad minus the others, paired by seed; `rates` is "common" or "tuned"."""
    rows = []
    for result in results:
        found = result[rates]["differences"]
        for metric, other in itertools.product(_METRICS, METHODS[:-1]):
            own = {
                row["task"]: row
                for row in found
                if (row["metric"], row["minus"]) == (metric, other)
            }
            if metric == "scaled_sum" and len(set(result["scales"])) == 1:
                continue  # twice the mean, which is there
            scale, places = (100, ".1f") if metric == "accuracy" else (1, ".3f")
            cells = [_difference(own[task], places, scale) if task in own else "" for task in TASKS]
            rows.append([variant(result), _METRICS[metric], other, *cells])
    return _table(
        f"PCGrad minus the other method, paired by seed, 95% t-intervals; {_RATES[rates]}",
        ("problem", "metric", "minus", *TASKS),
        rows,
    )


_RATES = {
    "common": "one learning rate for all",
    "tuned": "learning rates chosen on the validation split",
}


def variant(result: dict[str, Any]) -> str:
    """A short name of a problem's variant."""
    scales = ":".join(f"{scale:g}" for scale in result["scales"])
    return f"{result['problem']}, {scales if result['one_head'] else result['width']}"


def _difference(row: dict[str, Any], places: str, scale: float = 1) -> str:
    """A difference; a star says that the interval excludes zero."""
    found = Difference(*(scale * row[key] for key in ("mean", "low", "high")))
    text = f"{found.mean:+{places}} [{found.low:+{places}}, {found.high:+{places}}]"
    return f"{text} *" if found.excludes_zero else text


def _counts(values: Sequence[float]) -> str:
    """How often each value was chosen: `0.003×4 0.01×6`."""
    counted = sorted(collections.Counter(values).items())
    return " ".join(f"{value:g}×{count}" for value, count in counted)


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> rich.table.Table:
    made = rich.table.Table(title=title, box=rich.box.SIMPLE_HEAD, title_justify="left")
    for heading in headings:
        made.add_column(heading, justify="left" if heading in _WORDS else "right")
    for row in rows:
        made.add_row(*row)
    return made


_WORDS = {"problem", "method", "metric", "minus", "learning rates", "ratios"}
