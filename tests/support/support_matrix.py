"""Measures which features of `MultiTaskModel` work together; run it to write the results anew.

Each cell of the matrix is a training with two features (on the diagonal: with one). In a process of
its own, because it needs two logical devices. The matrix of each stack is in support_matrix.json;
docs/support.md lists the exceptions.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import sys
import traceback
from collections.abc import Iterable, Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import pcgrad
from pcgrad.keras import MultiTaskModel
from support_features import FEATURES, Feature
from support_training import train

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "support.md"
RESULTS = pathlib.Path(__file__).with_suffix(".json")
STACK = f"TensorFlow {'.'.join(tf.__version__.split('.')[:2])}"
WORKS, OTHER, MORE, KERAS, REFUSED, APART = "✓", "≠", "+", "k", "r", "."
_MEANINGS = {
    OTHER: "trains; without surgery the weights are not those of `keras.Model`",
    MORE: "trains, though `keras.Model` fails",
    KERAS: "fails, as `keras.Model` does",
    REFUSED: "refused with an error that says what to do",
}

# Where training without surgery is not that of `keras.Model`; docs/support.md says why.
_EMBEDDING = "embedding (sparse gradient)"
_DIFFERENT = [{clip, _EMBEDDING} for clip in ("`clipnorm`", "`global_clipnorm`", "`clipvalue`")]
_DIFFERENT.append({"masked positions", "two replicas (Mirrored)"})

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


def matrices() -> dict[str, dict[Pair, str]]:
    """The outcomes of all cells by stack, as they were last measured."""
    return {
        stack: {
            (i, j): symbol for i, row in enumerate(rows.values()) for j, symbol in enumerate(row)
        }
        for stack, rows in json.loads(RESULTS.read_text()).items()
    }


def exceptions(by_stack: Mapping[str, Mapping[Pair, str]]) -> str:
    """What does not simply work, as a Markdown table: a feature, the others, what happens."""
    found: dict[tuple[int, str], list[str]] = {}
    for pair in pairs():
        symbols = {outcomes[pair] for outcomes in by_stack.values()}
        if symbols <= {WORKS, APART}:
            continue
        texts = [
            _MEANINGS[symbol] + ("" if len(symbols) == 1 else f" ({stack})")
            for stack, outcomes in by_stack.items()
            if (symbol := outcomes[pair]) in _MEANINGS
        ]
        text = "; ".join(dict.fromkeys(texts))
        alone = [i for i in set(pair) if _always(i, by_stack)]
        first = alone[0] if alone else min(pair)
        others = "anything" if alone else FEATURES[max(pair)].title
        found.setdefault((first, text), []).append(others)
    lines = [("feature", "with", "what happens"), ("---", "---", "---")]
    for (first, text), others in sorted(found.items()):
        lines.append((FEATURES[first].title, ", ".join(dict.fromkeys(others)), text))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _always(feature: int, by_stack: Mapping[str, Mapping[Pair, str]]) -> bool:
    """Whether a feature has one and the same outcome with all others, and it is an exception."""
    symbols = {
        symbol
        for outcomes in by_stack.values()
        for pair, symbol in outcomes.items()
        if feature in pair and symbol != APART
    }
    return len(symbols) == 1 and symbols != {WORKS}


def main() -> None:
    """Measures all cells and writes the running stack's matrix and the page's table."""
    before, outcomes = matrices(), measure(pairs())
    wrong = {pair: text for pair, text in outcomes.items() if len(text) > 1}
    for (row, column), text in wrong.items():
        print(f"{FEATURES[row].title} with {FEATURES[column].title}: {text}")
    if wrong:
        sys.exit("nothing was written")
    results = json.loads(RESULTS.read_text())
    results[STACK] = {
        feature.title: "".join(outcomes[row, column] for column in range(row + 1))
        for row, feature in enumerate(FEATURES)
    }
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    page = PAGE.read_text()
    PAGE.write_text(page.replace(exceptions(before), exceptions(matrices())))


if __name__ == "__main__":
    main()
