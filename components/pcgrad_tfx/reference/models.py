"""scikit-learn's models on transformed rows, one for each task."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.reference.rows import Rows, Values
from pcgrad_tfx.training.network.log_scale import from_log, to_log


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A model of one task.

    Attributes:
        task: The task.
        estimator: scikit-learn's; None if all rows are of one class.
    """

    task: Task
    estimator: Any

    def predict(self, features: Values) -> Values:
        """Predictions [N, units]: of a regression in the label's unit, else probabilities."""
        if self.estimator is None:
            return np.zeros([len(features), self.task.units])
        if self.task.kind == "regression":
            return self._outputs(self.estimator.predict(features))
        return self._outputs(self.estimator.predict_proba(features))

    def staged(self, features: Values) -> Iterator[Values]:
        """Predictions after one tree, two trees and so on; of a linear model there is one stage."""
        if not hasattr(self.estimator, "staged_predict"):
            yield self.predict(features)
        elif self.task.kind == "regression":
            yield from map(self._outputs, self.estimator.staged_predict(features))
        else:
            yield from map(self._outputs, self.estimator.staged_predict_proba(features))

    def _outputs(self, found: Values) -> Values:
        if self.task.kind == "regression":
            found = np.asarray(from_log(found)) if self.task.log_scale else found
            return found[:, np.newaxis]
        if self.task.kind == "binary":
            return found[:, 1:]
        predictions = np.zeros([len(found), self.task.units])
        predictions[:, self.estimator.classes_.astype(int)] = found
        return predictions


def grow(task: Task, train: Rows, is_category: Values, **settings: Any) -> Fitted | None:
    """Grows boosted trees of the rows of train that have a label and a weight.

    Args:
        task: The task.
        train: To learn from.
        is_category: Which features hold ids, bool [F].
        **settings: Of scikit-learn's HistGradientBoosting, in the place of its defaults.

    Returns:
        The trees; None without any row to learn from.
    """
    settings = {"categorical_features": is_category, "random_state": 0, **settings}
    kind = HistGradientBoostingClassifier
    if task.kind == "regression":
        kind = HistGradientBoostingRegressor

    def fit(features: Values, label: Values, weight: Values) -> BaseEstimator:
        # Where other processes keep the cores busy, its threads wait for each other: up to ten
        # times as long as one takes.
        with threadpool_limits(1, user_api="openmp"):
            return kind(**settings).fit(features, label, weight)

    return _fit(task, train, fit)


def fit_linear(task: Task, train: Rows, is_category: Values, penalty: float) -> Fitted | None:
    """Fits a ridge or a logistic regression to the rows of train that have a label and a weight.

    Numbers are standardized, ids are columns of 0 and 1.

    Args:
        task: The task.
        train: To learn from.
        is_category: Which features hold ids, bool [F].
        penalty: Of the squared coefficients, in units of the loss of one row.

    Returns:
        The model; None without any row to learn from.
    """

    def fit(features: Values, label: Values, weight: Values) -> BaseEstimator:
        columns = ColumnTransformer(
            [
                ("ids", OneHotEncoder(handle_unknown="ignore"), is_category),
                ("numbers", StandardScaler(), ~is_category),
            ]
        )
        if task.kind == "regression":
            model = Ridge(penalty)
        else:
            model = LogisticRegression(C=1 / penalty, max_iter=200)
        with warnings.catch_warnings(), threadpool_limits(1):
            # After so many steps it is near enough.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # An option that scikit-learn gives and SciPy 1.18 no longer knows.
            warnings.simplefilter("ignore", OptimizeWarning)
            name = type(model).__name__.lower()
            pipeline = make_pipeline(columns, model)
            return pipeline.fit(features, label, **{f"{name}__sample_weight": weight})

    return _fit(task, train, fit)


def _fit(
    task: Task, train: Rows, fit: Callable[[Values, Values, Values], BaseEstimator]
) -> Fitted | None:
    label, weight = train.labels[task.name], train.weights[task.name]
    known = np.isfinite(label) & (weight > 0)
    if task.kind != "regression":
        # Of a class with one row, scikit-learn cannot hold out a part.
        ids, counts = np.unique(label[known], return_counts=True)
        known &= np.isin(label, ids[counts > 1])
    features, label, weight = train.features[known], label[known], weight[known]
    if not len(label):
        return None
    if task.kind != "regression" and label.min() == label.max():
        return Fitted(task, None)
    if task.log_scale:
        label = np.asarray(to_log(label))
    return Fitted(task, fit(features, label, weight))
