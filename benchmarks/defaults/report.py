"""Reports as Markdown what `run.py` measured: each task, and the means of both halves of tables.

`python benchmarks/defaults/report.py RESULTS before network`: the networks' names in RESULTS; the
other contenders stand beside them.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import textwrap
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks.data.tables import CHOSEN, HELD, TABLES
from benchmarks.defaults.comparison import (
    RATIO_LIMITS,
    SIGNIFICANCE,
    SMALLEST_GAIN,
    behind,
    interval,
    mean_scores,
    ranks,
    read_scores,
    relative_gains,
)
from benchmarks.defaults.run import LINEAR, OF_ONE_LABEL
from benchmarks.defaults.trees import ROWS_TO_TUNE, SETTINGS

_HALVES = {"Tables on which the defaults were chosen": CHOSEN, "Tables held back": HELD}

_WIDTH = 118  # of a page of the docs

_EXPLANATION = (
    "Scores are means over seeds. Relative gain: the gain over the constant prediction (R², or AUC "
    "less 0.5) as a share of {reference}'s, "
    f"from {RATIO_LIMITS[0]:g} to {RATIO_LIMITS[1]:g}; tasks where "
    "{reference} "
    f"gains less than {SMALLEST_GAIN} are left out. It is the mean over a table's tasks, then over "
    "tables, with a bootstrap interval. Behind linear: the number of tasks, each at the one-sided "
    f"{SIGNIFICANCE:.0%} level, so that one in twenty would be by chance if both were equal. "
    "Seconds: the median of the CPU time for all labels of a table, with the tuning: "
    f"{SETTINGS} settings for each label, tried on at most {ROWS_TO_TUNE:,} rows of train."
)


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, help="folder that run.py wrote")
    parser.add_argument("networks", nargs="*", help="names of networks in it")
    others = [name for name in OF_ONE_LABEL if name != LINEAR]
    parser.add_argument(
        "--others", nargs="*", choices=others, default=others, help="beside the linear model"
    )
    parser.add_argument("--reference", default="tuned-lightgbm", help="whose gain is 1")
    args = parser.parse_args()
    if args.reference not in (names := [LINEAR, *args.others, *args.networks]):
        parser.error(f"--reference: {args.reference} is not among {', '.join(names)}")
    scores = read_scores(args.results, names)
    if scores.empty:
        parser.error(f"{args.results}: no table that all of these contenders have learned")
    print(markdown(scores, args.networks, args.reference))


def markdown(scores: pd.DataFrame, networks: Sequence[str], reference: str) -> str:
    """The report.

    Args:
        scores: From `comparison.read_scores`.
        networks: The contenders whose tasks behind the linear model are listed, and their time.
        reference: The contender whose gain is 1.
    """
    lines = []
    for title, tables in _HALVES.items():
        half = scores[scores["table"].isin(tables)]
        if not half.empty:
            lines += [f"### {title}", _size(half), _summary(half, reference)]
            lines += [*_behind(half, networks), _tasks(half), *_times(half, networks)]
    explanation = _EXPLANATION.format(reference=reference)
    return "\n\n".join([*lines, textwrap.fill(explanation, _WIDTH)]) + "\n"


def _size(scores: pd.DataFrame) -> str:
    seeds = scores.groupby("table")["seed"].nunique()
    of_each = f"{seeds.min()} to {seeds.max()}" if seeds.min() < seeds.max() else f"{seeds.min()}"
    return f"{len(seeds)} tables, {len(mean_scores(scores))} tasks; seeds of a table: {of_each}."


def _summary(scores: pd.DataFrame, reference: str) -> str:
    rank, gains = ranks(scores).mean(), relative_gains(scores, reference)
    seconds = _seconds(scores).median()
    rows = []
    for name in rank.index:
        low, high = interval(gains[name].tolist())
        rows.append(
            (
                name,
                f"{rank[name]:.2f}",
                f"{gains[name].mean():.3f}",
                "" if math.isnan(low) else f"{low:.3f} to {high:.3f}",
                "" if name == LINEAR else str(len(behind(scores, name, LINEAR))),
                f"{seconds[name]:.1f}",
            )
        )
    names = ("contender", "mean rank", "relative gain", "95% interval", "behind linear", "seconds")
    return _table(names, rows)


def _behind(scores: pd.DataFrame, networks: Sequence[str]) -> Iterator[str]:
    for name in networks:
        found = behind(scores, name, LINEAR)["difference"]
        listed = ", ".join(f"{table}: {label} ({by:+.3f})" for (table, label), by in found.items())
        yield f"Where {name} is behind the linear model: {listed or 'nowhere'}."


def _tasks(scores: pd.DataFrame) -> str:
    means = mean_scores(scores).round(3)
    rows = []
    for (table, label), row in means.iterrows():
        measure = "R²" if TABLES[table].labels[label] == "regression" else "AUC"
        cells = (f"**{value:.3f}**" if value == row.max() else f"{value:.3f}" for value in row)
        rows.append((f"{table}: {label}", measure, *cells))
    return _table(("task", "score", *means), rows)


def _times(scores: pd.DataFrame, networks: Sequence[str]) -> Iterator[str]:
    if networks:
        seconds = _seconds(scores)[list(networks)]
        rows = [(table, *(f"{of:.1f}" for of in row)) for table, row in seconds.iterrows()]
        yield _table(("CPU seconds of a training", *networks), rows)


def _seconds(scores: pd.DataFrame) -> pd.DataFrame:
    """Medians over seeds: a row for each table, a column for each contender."""
    return scores.pivot_table("seconds", "table", "contender", "median", sort=False)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
