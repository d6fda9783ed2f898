"""Compares contenders over tables: ranks, relative gains, and who is behind whom."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.data.tables import TABLES
from benchmarks.defaults.scores import CONSTANT

# With less to be gained by the reference, the ratio of two gains is noise.
SMALLEST_GAIN: Final = 0.02
# A contender cannot make up for a bad task by an extreme one, nor lose all by it.
RATIO_LIMITS: Final = (0.0, 2.0)
SIGNIFICANCE: Final = 0.05

# Rows of test to rows of train.
_TEST_SHARE = 1 / 8

_TASK = ["table", "label"]


def read_scores(results: pathlib.Path, contenders: Sequence[str]) -> pd.DataFrame:
    """Reads what `run.py` kept: of each table the seeds that all contenders have.

    Args:
        results: The folder.
        contenders: Their names in it.

    Returns:
        The columns table, seed, label, kind, contender, score and seconds: CPU time for all labels
        of the table. Without the rows of a task and a seed whose test split cannot be scored.
    """
    cells = []
    for table, about in TABLES.items():
        for contender in contenders:
            for file in sorted((results / table).glob(f"{contender}-[0-9]*.json")):
                if file.stem.rpartition("-")[0] != contender:
                    continue
                seed = int(file.stem.rpartition("-")[2])
                cell = json.loads(file.read_text())
                cells += [
                    (
                        table,
                        seed,
                        label,
                        kind,
                        contender,
                        cell["scores"][label],
                        cell["cpu_seconds"],
                    )
                    for label, kind in about.labels.items()
                ]
    names = ["table", "seed", "label", "kind", "contender", "score", "seconds"]
    frame = pd.DataFrame(cells, columns=names).dropna(subset="score")
    known = frame.groupby(["table", "seed", "label"])["contender"].transform("nunique")
    return frame[known == len(contenders)].reset_index(drop=True)


def mean_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: a row for each table and label, a column for each contender."""
    means = scores.pivot_table("score", _TASK, "contender", sort=False)
    return means[list(scores["contender"].unique())]


def ranks(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean ranks over the tasks of each table: a row for each table.

    1 is best; scores that are the same to three digits share a rank.
    """
    by_task = mean_scores(scores).round(3).rank(axis=1, ascending=False)
    return by_task.groupby("table", sort=False).mean()


def relative_gains(scores: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The gain over the constant prediction divided by the reference's: a row for each table.

    A gain is the mean over seeds of R² or AUC − 0.5. A ratio is limited to `RATIO_LIMITS`, and the
    mean is taken over those tasks of a table where the reference gains `SMALLEST_GAIN` or more.

    Args:
        scores: From `read_scores`.
        reference: The contender that is 1 everywhere.
    """
    kinds: pd.Series = scores.groupby(_TASK)["kind"].first()
    means = mean_scores(scores)
    constant = kinds.map(CONSTANT).reindex(means.index)
    gains = means.sub(constant, axis=0)
    gains = gains[gains[reference] >= SMALLEST_GAIN]
    ratios = gains.div(gains[reference], axis=0).clip(*RATIO_LIMITS)
    return ratios.groupby("table", sort=False).mean()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean by the bootstrap; of less than three values unknown (NaN)."""
    if len(values) < 3:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return values[0], values[0]
    found = stats.bootstrap((values,), np.mean, random_state=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def behind(scores: pd.DataFrame, contender: str, other: str) -> pd.DataFrame:
    """The tasks where a contender is behind another one by more than the noise.

    The differences are paired by seed. As the splits of two seeds share most rows, the variance of
    their mean is that of Nadeau & Bengio (2003): (1/n + test/train) times that of a difference.

    Args:
        scores: From `read_scores`; of at least two seeds.
        contender: Who may be behind.
        other: Whom it is compared with.

    Returns:
        A row for each table and label, with the mean difference and the one-sided p-value, below
        `SIGNIFICANCE`.
    """
    found = []
    for task, of_task in scores.groupby(_TASK, sort=False):
        by_seed = of_task.pivot(index="seed", columns="contender", values="score")
        difference = (by_seed[contender] - by_seed[other]).to_numpy()
        count, mean = len(difference), difference.mean()
        if count < 2:
            continue
        error = np.sqrt(difference.var(ddof=1) * (1 / count + _TEST_SHARE))
        # Where all differences are the same, there is no noise.
        p = stats.t.cdf(mean / error, count - 1) if error > 0 else float(mean >= 0)
        if p < SIGNIFICANCE:
            found.append((*task, mean, p))
    frame = pd.DataFrame(found, columns=[*_TASK, "difference", "p"])
    return frame.set_index(_TASK)
