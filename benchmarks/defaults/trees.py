"""Boosted trees: scikit-learn's by default, and scikit-learn's and LightGBM's tuned."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import loguniform
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import ParameterSampler

from benchmarks.defaults.rows import Prediction, Problem

# What scikit-learn's trees can tell apart.
_MOST_TEXTS = 255

SETTINGS: Final = 20
# Settings are tried on a sample of so many rows; the best one is trained on all.
ROWS_TO_TUNE: Final = 20_000
_MOST_TREES = 1000
_TREES_AT_ONCE = 20
_PATIENCE = 40  # trees that make nothing better

_RANGES = {
    "learning_rate": loguniform(0.02, 0.3),
    "leaves": loguniform(4, 64),
    "l2": loguniform(1e-4, 30),
    "rows_of_a_leaf": loguniform(3, 100),
}

# Learns with some settings, stops by eval: (loss on eval, number of trees, values of test).
_Fit = Callable[[Problem, dict[str, Any]], tuple[float, int, npt.NDArray[Any]]]


def fit_trees(problem: Problem) -> tuple[Prediction, dict[str, Any]]:
    """Predicts by scikit-learn's HistGradientBoosting as it is; eval is not used."""
    problem, classes = _with_codes(_with_categories(problem))
    model = _estimator(problem).fit(problem.train, problem.train_label)
    return Prediction(_predict(problem, model, problem.test), classes), {}


def fit_tuned_trees(problem: Problem) -> tuple[Prediction, dict[str, Any]]:
    """Predicts by HistGradientBoosting with the best of 20 settings, stopped by eval."""
    return _tuned(problem, _grow_histogram)


def fit_tuned_lightgbm(problem: Problem) -> tuple[Prediction, dict[str, Any]]:
    """Predicts by LightGBM with the best of 20 settings, stopped by eval.

    It is no requirement of the project: `pip install "lightgbm>=4.7"`.
    """
    return _tuned(problem, _grow_lightgbm)


def _tuned(problem: Problem, fit: _Fit) -> tuple[Prediction, dict[str, Any]]:
    problem = _with_categories(problem)
    some = np.random.default_rng(problem.seed).permutation(len(problem.train))[:ROWS_TO_TUNE]
    sample, _ = _with_codes(
        dataclasses.replace(
            problem, train=problem.train.iloc[some], train_label=problem.train_label.iloc[some]
        )
    )
    problem, classes = _with_codes(problem)
    candidates = ParameterSampler(_RANGES, SETTINGS, random_state=problem.seed)
    best = min(candidates, key=lambda settings: fit(sample, settings)[0])
    _, trees, values = fit(problem, best)
    settings = {**{key: float(value) for key, value in best.items()}, "trees": trees}
    return Prediction(values, classes), settings


def _grow_histogram(
    problem: Problem, settings: dict[str, Any]
) -> tuple[float, int, npt.NDArray[Any]]:
    model = _estimator(
        problem,
        learning_rate=settings["learning_rate"],
        max_leaf_nodes=round(settings["leaves"]),
        l2_regularization=settings["l2"],
        min_samples_leaf=round(settings["rows_of_a_leaf"]),
        early_stopping=False,
        warm_start=True,
    )
    losses: dict[int, float] = {}
    for trees in range(_TREES_AT_ONCE, _MOST_TREES + 1, _TREES_AT_ONCE):
        model.set_params(max_iter=trees).fit(problem.train, problem.train_label)
        losses[trees] = _loss(problem, _predict(problem, model, problem.eval))
        best = min(losses, key=losses.__getitem__)
        if trees - best >= _PATIENCE:
            break
    staged = model.staged_predict if problem.kind == "regression" else model.staged_predict_proba
    values = next(itertools.islice(staged(problem.test), best - 1, None))
    return losses[best], best, values[:, 1] if problem.kind == "binary" else values


def _grow_lightgbm(
    problem: Problem, settings: dict[str, Any]
) -> tuple[float, int, npt.NDArray[Any]]:
    import lightgbm  # noqa: PLC0415 (not everybody who runs the benchmark has it)

    kind = lightgbm.LGBMRegressor if problem.kind == "regression" else lightgbm.LGBMClassifier
    model = kind(
        n_estimators=_MOST_TREES,
        learning_rate=settings["learning_rate"],
        num_leaves=round(settings["leaves"]),
        reg_lambda=settings["l2"],
        min_child_samples=round(settings["rows_of_a_leaf"]),
        n_jobs=1,
        verbose=-1,
        random_state=problem.seed,
    )
    model.fit(
        problem.train,
        problem.train_label,
        eval_X=problem.eval,
        eval_y=problem.eval_label,
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    loss = _loss(problem, _predict(problem, model, problem.eval))
    return loss, int(model.best_iteration_), _predict(problem, model, problem.test)


def _with_categories(problem: Problem) -> Problem:
    """The texts as categories; those that are not among the most frequent ones are missing."""
    kinds = {}
    for column in problem.train.select_dtypes(exclude="number"):
        frequent = problem.train[column].value_counts().index[: _MOST_TEXTS - 1]
        kinds[column] = pd.CategoricalDtype(frequent)
    parts = {name: getattr(problem, name).astype(kinds) for name in ("train", "eval", "test")}
    return dataclasses.replace(problem, **parts)


def _with_codes(problem: Problem) -> tuple[Problem, tuple[str, ...]]:
    """The classes as numbers from 0; without rows of eval whose class is not in train."""
    if problem.kind != "multiclass":
        return problem, ()
    codes, classes = pd.factorize(problem.train_label, sort=True)
    held_out = classes.get_indexer(problem.eval_label)
    known = held_out >= 0
    coded = dataclasses.replace(
        problem,
        train_label=pd.Series(codes),
        eval=problem.eval[known],
        eval_label=pd.Series(held_out[known]),
    )
    return coded, tuple(classes)


def _estimator(problem: Problem, **settings: Any) -> Any:
    kind = (
        HistGradientBoostingRegressor
        if problem.kind == "regression"
        else HistGradientBoostingClassifier
    )
    return kind(categorical_features="from_dtype", random_state=problem.seed, **settings)


def _predict(problem: Problem, model: Any, features: pd.DataFrame) -> npt.NDArray[Any]:
    """The values of a `Prediction`."""
    if problem.kind == "regression":
        return np.asarray(model.predict(features))
    values = np.asarray(model.predict_proba(features))
    return values[:, 1] if problem.kind == "binary" else values


def _loss(problem: Problem, values: npt.NDArray[Any]) -> float:
    if problem.kind == "regression":
        return float(mean_squared_error(problem.eval_label, values))
    classes = sorted(problem.train_label.unique())
    return float(log_loss(problem.eval_label, values, labels=classes))
