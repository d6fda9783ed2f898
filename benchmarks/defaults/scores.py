"""Scores on the test split: R², AUC, and the mean AUC of one class against the rest."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score

from benchmarks.data.tables import Kind
from benchmarks.defaults.rows import Prediction

# What a constant prediction gets.
CONSTANT: Final[dict[Kind, float]] = {"regression": 0.0, "binary": 0.5, "multiclass": 0.5}


def score(kind: Kind, label: pd.Series, prediction: Prediction) -> float | None:
    """Scores a prediction on the rows that have the label.

    Args:
        kind: Of the label.
        label: Numbers or classes, [N].
        prediction: For the same rows.

    Returns:
        R² of an amount, AUC of a binary label, and of classes the mean over those that the rows
        have of the AUC against the rest. None if the rows have a single value of the label.
    """
    known = label.notna().to_numpy()
    label, values = label[known], prediction.values[known]
    if label.nunique() < 2:
        return None
    if kind == "regression":
        return float(r2_score(label, values))
    if kind == "binary":
        return float(roc_auc_score(label.astype(int), values))
    columns = {name: number for number, name in enumerate(prediction.classes)}
    return float(
        np.mean(
            [
                # One that was never seen in training is nowhere ranked first.
                roc_auc_score(label == name, values[:, columns[name]]) if name in columns else 0.5
                for name in label.unique()
            ]
        )
    )
