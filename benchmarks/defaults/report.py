"""Reports as Markdown what `run.py` measured: each task, and the means of both halves of tables.

`python benchmarks/defaults/report.py RESULTS before network`: the networks' names in RESULTS; the
other contenders stand beside them.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.data.tables import CHOSEN, HELD
from benchmarks.defaults.comparison import (
    SMALLEST_GAIN,
    behind,
    interval,
    kind_of,
    mean_scores,
    ranks,
    read_scores,
    relative_gains,
)
from benchmarks.defaults.run import OF_ONE_LABEL

_REFERENCE = "tuned-trees"
_LINEAR = "linear"


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, help="folder that run.py wrote")
    parser.add_argument("networks", nargs="*", help="names of networks in it")
    others = list(OF_ONE_LABEL)
    parser.add_argument("--others", nargs="+", choices=others, default=others)
    args = parser.parse_args()
    scores = read_scores(args.results, [*args.others, *args.networks])
    if scores.empty:
        parser.error(f"{args.results}: no table that all of these contenders have learned")
    print(markdown(scores, args.networks))


def markdown(scores: pd.DataFrame, networks: Sequence[str]) -> str:
    """The report.

    Args:
        scores: From `comparison.read_scores`.
        networks: The contenders that are asked whether they are behind the linear model.
    """
    lines = []
    for title, tables in (
        ("The half that defaults are chosen on", CHOSEN),
        ("The other half", HELD),
    ):
        half = scores[scores["table"].isin(tables)]
        if not half.empty:
            lines += [f"### {title}", "", *_summary(half, networks), "", *_tasks(half), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(scores: pd.DataFrame, networks: Sequence[str]) -> Iterator[str]:
    names = list(scores["contender"].unique())
    tables, tasks = scores["table"].nunique(), len(mean_scores(scores))
    seeds = scores.groupby("table")["seed"].nunique()
    of_each = f"{seeds.min()} to {seeds.max()}" if seeds.min() < seeds.max() else str(seeds.min())
    yield f"{tables} tables, {tasks} tasks, {of_each} seeds each."
    yield ""
    yield "| contender | mean rank | relative gain | 95% interval | behind linear | seconds |"
    yield "|---|---|---|---|---|---|"
    rank = ranks(scores).mean()
    reference = _REFERENCE if _REFERENCE in names else names[0]
    gains = relative_gains(scores, reference)
    seconds = scores.drop_duplicates(["table", "seed", "contender"]).groupby("contender")["seconds"]
    for name in names:
        low, high = interval(gains[name].tolist())
        count = (
            "" if name == _LINEAR or _LINEAR not in names else len(behind(scores, name, _LINEAR))
        )
        yield (
            f"| {name} | {rank[name]:.2f} | {gains[name].mean():.3f} | {low:.3f} to {high:.3f} | "
            f"{count} | {seconds.median()[name]:.1f} |"
        )
    yield ""
    yield (
        f"Relative gain: what is gained over the constant prediction, divided by the gain of "
        f"{reference}, where that is at least {SMALLEST_GAIN}; the mean over a table's tasks, then "
        "over tables. The interval is the bootstrap's, over tables. Behind linear: tasks, at the "
        "one-sided 5% level. Seconds: the median of learning all labels of a table, in which the "
        "tuning is counted."
    )
    for name in networks:
        if _LINEAR in names and not (tasks_behind := behind(scores, name, _LINEAR)).empty:
            yield ""
            listed = (
                f"{table}: {label} ({row.difference:+.3f})"
                for (table, label), row in tasks_behind.iterrows()
            )
            yield f"{name} is behind the linear model in {', '.join(listed)}."


def _tasks(scores: pd.DataFrame) -> Iterator[str]:
    means = mean_scores(scores)
    yield "| table: label | score | " + " | ".join(means.columns) + " |"
    yield "|---" * (2 + len(means.columns)) + "|"
    for (table, label), row in means.iterrows():
        measure = "R²" if kind_of(table, label) == "regression" else "AUC"
        best = row.round(3).max()
        cells = (f"**{v:.3f}**" if round(v, 3) == best else f"{v:.3f}" for v in row)
        yield f"| {table}: {label} | {measure} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
