"""The rows that every contender is given: a table split 8:1:1."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.data.tables import Kind


@dataclasses.dataclass(frozen=True)
class Rows:
    """A table, split.

    Attributes:
        train: To learn from.
        eval: To choose settings, and when to stop.
        test: To be scored on.
        kinds: Of the labels, by column; all other columns are features.
        seed: Of the split, and of whatever is random in a contender.
    """

    train: pd.DataFrame
    eval: pd.DataFrame
    test: pd.DataFrame
    kinds: dict[str, Kind]
    seed: int

    def problem(self, label: str) -> Problem:
        """One label's part: rows without the label are left out of train and eval."""
        labels = list(self.kinds)

        def known(part: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
            part = part[part[label].notna()]
            return part.drop(columns=labels), part[label]

        train, train_label = known(self.train)
        held_out, held_out_label = known(self.eval)
        test = self.test.drop(columns=labels)
        return Problem(
            self.kinds[label], train, train_label, held_out, held_out_label, test, self.seed
        )


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a contender that learns one label is given.

    Attributes:
        kind: Of the label.
        train: Features.
        train_label: Numbers; of a class, texts.
        eval: Features.
        eval_label: As `train_label`.
        test: Features of all rows of the test split.
        seed: Of what is random.
    """

    kind: Kind
    train: pd.DataFrame
    train_label: pd.Series
    eval: pd.DataFrame
    eval_label: pd.Series
    test: pd.DataFrame
    seed: int


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is predicted for the rows of the test split.

    Attributes:
        values: The amount, or the probability of a 1, [N]; of classes, probabilities [N, C].
        classes: The classes of the columns, if there are any.
    """

    values: npt.NDArray[Any]
    classes: tuple[str, ...] = ()


def split_rows(frame: pd.DataFrame, kinds: dict[str, Kind], seed: int) -> Rows:
    """Splits a table 8:1:1 at random."""
    order = np.random.default_rng(seed).permutation(len(frame))
    first, second = len(frame) * 8 // 10, len(frame) * 9 // 10
    parts = [frame.iloc[part] for part in np.split(order, [first, second])]
    train, held_out, test = (part.reset_index(drop=True) for part in parts)
    return Rows(train, held_out, test, kinds, seed)
