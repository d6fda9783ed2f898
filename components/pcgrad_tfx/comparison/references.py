"""What boosted trees and a linear model reach on the same rows, each tuned on eval."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow_transform as tft
from pydantic import BaseModel
from scipy.stats import qmc
from tfx.utils import json_utils

from pcgrad_tfx.comparison.processes import Inputs
from pcgrad_tfx.comparison.results import LINEAR, TREES
from pcgrad_tfx.config.features import transformed_name
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.data.example_files import count_rows, example_files
from pcgrad_tfx.evaluation.scores import primary_metric
from pcgrad_tfx.evaluation.splits import EVAL, TEST, TRAIN, read_test_split, split_files
from pcgrad_tfx.reference.models import Fitted, fit_linear, grow
from pcgrad_tfx.reference.rows import (
    READ_ROWS,
    Rows,
    Values,
    affordable,
    check_features,
    collect,
    every,
)
from pcgrad_tfx.training.dataset import InputData

# So many trees are grown; the best number of them is chosen on eval, by so many at a time.
_TREES, _STEP = 200, 10

# Least and most: the learning rate, the leaves of a tree, the rows of a leaf.
_RATES, _LEAVES, _ROWS = (0.02, 0.3), (8, 64), (5, 80)

# Powers of ten of the linear model's penalty.
_PENALTIES = (-3.0, 4.0)

_Model: TypeAlias = Callable[[Task, Rows, Values], Fitted | None]


class ReferenceScore(BaseModel, frozen=True, extra="forbid"):
    """The best of a search on eval.

    Attributes:
        model: "boosted trees" or "linear model".
        task: The task's name.
        test: The primary metric on the test split; None where it is undefined.
    """

    model: str
    task: str
    test: float | None


class _Data(NamedTuple):
    tasks: Sequence[Task]
    train: Rows
    eval: Rows
    test: Rows
    is_category: Values


def best_trees(task: str, count: int, inputs: Inputs) -> ReferenceScore:
    """Boosted trees of one task: of so many settings, scikit-learn's first, the best on eval."""
    tried: list[dict[str, Any]] = [{}]
    for point in qmc.Halton(3, scramble=False).random(max(count, 1))[1:]:
        rate, leaves, rows = (
            low * (high / low) ** share
            for (low, high), share in zip((_RATES, _LEAVES, _ROWS), point, strict=True)
        )
        tried.append(
            {
                "learning_rate": rate,
                "max_leaf_nodes": round(leaves),
                "min_samples_leaf": round(rows),
            }
        )
    # As of the network the best epoch, so of the trees the best number of them.
    grow_all = functools.partial(grow, max_iter=_TREES, early_stopping=False)
    models = [functools.partial(grow_all, **settings) for settings in tried]
    return _best(inputs, TREES, task, models, _STEP)


def best_linear(task: str, count: int, inputs: Inputs) -> ReferenceScore:
    """A ridge or a logistic regression of one task: of so many penalties the best on eval."""
    powers = np.linspace(*_PENALTIES, count) if count > 1 else [0.0]
    models = [functools.partial(fit_linear, penalty=float(10**power)) for power in powers]
    return _best(inputs, LINEAR, task, models, 1)


def reference_tasks(inputs: Inputs) -> list[str]:
    """The tasks that take about a minute; none if a feature is not one number in each row."""
    try:
        data = _read(inputs)
    except ValueError:
        return []
    return [task.name for task in affordable(data.tasks, *data.train.features.shape)]


def _best(
    inputs: Inputs, model: str, task_name: str, models: Iterable[_Model], step: int
) -> ReferenceScore:
    data = _read(inputs)
    (task,) = (task for task in data.tasks if task.name == task_name)

    def metric(split: Rows, predictions: Values) -> float | None:
        return primary_metric(task, split.labels[task_name], predictions, split.weights[task_name])

    best, on_test = -math.inf, None
    for make in models:
        fitted = make(task, data.train, data.is_category)
        if fitted is None:
            break
        stages = zip(
            fitted.staged(data.eval.features), fitted.staged(data.test.features), strict=True
        )
        for of_eval, of_test in itertools.islice(stages, step - 1, None, step):
            on_eval = metric(data.eval, of_eval)
            if on_eval is not None and on_eval > best:
                best, on_test = on_eval, metric(data.test, of_test)
    return ReferenceScore(model=model, task=task_name, test=on_test)


@functools.lru_cache(maxsize=1)
def _read(inputs: Inputs) -> _Data:
    config = TrainerConfig.model_validate_json(inputs.config)
    artifacts = json_utils.loads(inputs.artifacts)
    tft_output = tft.TFTransformOutput(artifacts["transform_graph"].uri)
    data = InputData(tft_output, config.tasks, READ_ROWS)
    check_features(data)
    if config.features is None:
        categorical = list(config.embedding_sizes or ())
    else:
        categorical = [transformed_name(column) for column in config.features.categorical]
    files = {
        split: split_files(artifacts["transformed_examples"], split) for split in (TRAIN, EVAL)
    }
    rows = count_rows(example_files(files[TRAIN]))
    thinned = data.batches(files[TRAIN], every=every(rows, len(data.feature_spec)))
    train, is_category = collect(thinned, categorical, TRAIN)
    held_out, _ = collect(data.batches(files[EVAL]), categorical, EVAL)
    test_batches = read_test_split(artifacts["examples"], tft_output, data)
    test, _ = collect(test_batches, categorical, TEST)
    return _Data(config.tasks, train, held_out, test, is_category)
