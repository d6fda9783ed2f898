"""Measures which features of `MultiTaskModel` work together; run it to write docs/support.md anew.

Each cell of the matrix is a training with two features (on the diagonal: with one). In a process of
its own, because it needs two logical devices.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Iterable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import pcgrad
from pcgrad.keras import MultiTaskModel
from support_features import FEATURES, Feature
from support_training import train

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "support.md"
STACK = f"TensorFlow {'.'.join(tf.__version__.split('.')[:2])}"
WORKS, OTHER, MORE, KERAS, REFUSED, APART = "✓", "≠", "+", "k", "r", ""

# Where training without surgery is not that of `keras.Model`; docs/support.md says why.
_EMBEDDING = "embedding (sparse gradient)"
_DIFFERENT = [{clip, _EMBEDDING} for clip in ("`clipnorm`", "`global_clipnorm`", "`clipvalue`")]

Pair = tuple[int, int]


def pairs() -> list[Pair]:
    """All cells: the diagonal first, then those below it."""
    numbers = range(len(FEATURES))
    return [(i, i) for i in numbers] + [(j, i) for i, j in itertools.combinations(numbers, 2)]


def measure(wanted: Iterable[Pair]) -> dict[Pair, str]:
    """The outcome of some cells: its symbol, or what went wrong if it is none of them."""
    make_two_devices()
    return {pair: _outcome(*pair) for pair in wanted}


def make_two_devices() -> None:
    """Must come before TensorFlow's first operation."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)


def _outcome(row: int, column: int) -> str:
    features = [FEATURES[i] for i in sorted({row, column})]
    kinds = [feature.excludes for feature in features if feature.excludes]
    if len(set(kinds)) < len(kinds):
        return APART
    keras.utils.clear_session(free_memory=False)
    try:
        ours = train(MultiTaskModel, features, surgery=True)
    except Exception as error:
        return _failure(features, error)
    if not all(np.isfinite(weight).all() for weight in ours["after"]):
        return "weights are not finite"
    if all(map(np.array_equal, ours["before"], ours["after"])):
        return "nothing was learned"
    without = [feature for feature in features if not feature.is_exact]
    if without != features:
        wanted = train(MultiTaskModel, without, surgery=True)
        return _compared(features, ours, wanted, "weights differ from those without it")
    return _compared_with_keras(features)


def _compared_with_keras(features: list[Feature]) -> str:
    """Without surgery the training is that of `keras.Model`."""
    if any(feature.is_own for feature in features):
        return WORKS
    try:
        wanted = train(keras.Model, features, surgery=False)
    except Exception:
        return MORE
    found = train(MultiTaskModel, features, surgery=False)
    return _compared(features, found, wanted, "without surgery weights differ from keras.Model's")


def _compared(features: list[Feature], found: dict, wanted: dict, problem: str) -> str:
    """Whether two trainings from the same start led to the same weights."""
    titles = {feature.title for feature in features}
    tolerance = 0.1 if {"`mixed_float16`", "`mixed_bfloat16`"} & titles else 1e-4
    # Each replica draws its own dropout.
    if {"dropout", "two replicas (Mirrored)"} <= titles:
        return WORKS
    for one, other, start in zip(found["after"], wanted["after"], wanted["before"], strict=True):
        error = np.linalg.norm(one - other)
        if error > tolerance * max(np.linalg.norm(other - start), 1e-3):
            return OTHER if titles in _DIFFERENT else f"{problem} by {error:.2g}"
    return WORKS


def _failure(features: list[Feature], error: Exception) -> str:
    if any(feature.is_own for feature in features):
        features = [feature for feature in features if not feature.is_own]
    try:
        train(keras.Model, features, surgery=False)
    except Exception:
        return KERAS
    raised_in = pathlib.Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    is_ours = raised_in.is_relative_to(pathlib.Path(pcgrad.__file__).parent)
    if is_ours and isinstance(error, ValueError | TypeError):
        return REFUSED
    return f"{type(error).__name__}: {str(error)[:300]}"


def table(outcomes: dict[Pair, str]) -> str:
    """The matrix as Markdown: its lower triangle."""
    numbers = [str(i + 1) for i in range(len(FEATURES))]
    lines = [["", "", *numbers], ["---:", "---", *(":-:" for _ in numbers)]]
    for row, feature in enumerate(FEATURES):
        cells = [outcomes[row, column] for column in range(row + 1)]
        lines.append([numbers[row], feature.title, *cells, *[""] * (len(numbers) - row - 1)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def documented(page: str, stack: str = STACK) -> str | None:
    """The matrix that the page has for a stack."""
    found = re.search(
        rf"^## {re.escape(stack)}[^\n]*\n\n(\|.*?)(?:\n\n|\n\Z|\Z)", page, re.M | re.S
    )
    return found[1].rstrip() if found else None


def main() -> None:
    """Measures all cells and writes the running stack's matrix into the page."""
    outcomes = measure(pairs())
    wrong = {pair: text for pair, text in outcomes.items() if len(text) > 1}
    for (row, column), text in wrong.items():
        print(f"{FEATURES[row].title} with {FEATURES[column].title}: {text}")
    page = PAGE.read_text()
    old = documented(page)
    new = table(outcomes)
    PAGE.write_text(page.replace(old, new) if old else f"{page}\n## {STACK}\n\n{new}\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
