"""The linear model: ridge or logistic regression, its strength chosen by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.defaults.rows import Prediction, Problem

_ALPHAS = np.logspace(-6, 4, 21)
_INVERSE_STRENGTHS = np.logspace(-4, 3, 8)
# The strength of a logistic regression is chosen on a sample of so many rows.
_ROWS_TO_CHOOSE = 20_000
_FEWEST_OF_A_TEXT = 10


def fit_linear(problem: Problem) -> tuple[Prediction, dict[str, Any]]:
    """Predicts by z-scores and one-hot columns; eval is not needed.

    Returns:
        The prediction, and the strength that was chosen.
    """
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(
        min_frequency=_FEWEST_OF_A_TEXT, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    transform = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (texts, make_column_selector(dtype_exclude="number")),
    )
    train, label = transform.fit_transform(problem.train), problem.train_label.to_numpy()
    test = transform.transform(problem.test)
    if problem.kind == "regression":
        ridge = RidgeCV(_ALPHAS).fit(train, label)
        return Prediction(ridge.predict(test)), {"alpha": float(ridge.alpha_)}
    some = np.random.default_rng(problem.seed).permutation(len(train))[:_ROWS_TO_CHOOSE]
    chosen = LogisticRegressionCV(
        Cs=_INVERSE_STRENGTHS, cv=3, scoring="neg_log_loss", max_iter=300
    ).fit(train[some], label[some])
    # One strength for all classes.
    inverse_strength = float(np.mean(chosen.C_))
    model = LogisticRegression(C=inverse_strength, max_iter=1000).fit(train, label)
    values = model.predict_proba(test)
    settings = {"C": inverse_strength}
    if problem.kind == "binary":
        return Prediction(values[:, 1]), settings
    return Prediction(values, tuple(map(str, model.classes_))), settings
