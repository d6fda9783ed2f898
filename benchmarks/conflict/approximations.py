"""Trains with weights that are approximate, and compares them with the exact ones step by step.

    python -m benchmarks.conflict.approximations   # writes results/approximations.json

PCGrad (sum) with a Gram matrix in every k-th step (`surgery_every`), with one at the features
(`gramian="features"`), and the plain sum of the losses. Agreement is the cosine between the update
of the shared variables and the exact one, of the same batch and orders, a mean over the steps of
the training that takes the former. All are trained from the same initial weights on the same
batches; the mean of the tasks' losses on test is compared by pairs of trainings.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from benchmarks.conflict.problems import PROBLEMS, draw
from benchmarks.data import tables
from benchmarks.one_core import use_one_core
from benchmarks.paper.differences import paired_difference
from benchmarks.paper.digits import overlaid_digits
from pcgrad import PCGrad, combine, cosines, gram_matrix, task_gradients
from pcgrad.layerwise.features import feature_gram_matrix

_RESULTS = pathlib.Path(__file__).parents[1] / "results" / "approximations.json"
_FEATURES, _PLAIN = "features", "plain sum"
# The first one is exact.
WAYS = ("1", "2", "5", "10", "25", _FEATURES, _PLAIN)
_NAMES = {"1": "exact", _FEATURES: '`gramian = "features"`', _PLAIN: "plain sum"}

Array = npt.NDArray[Any]
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Data:
    """What one training is about.

    Attributes:
        parts: Features and labels by task, of training and of test; a label may be NaN.
        widths: Of the layers that all tasks share.
        heads: Units and loss by task.
    """

    parts: tuple[tuple[Array, Mapping[str, Array]], tuple[Array, Mapping[str, Array]]]
    widths: tuple[int, ...]
    heads: Mapping[str, tuple[int, Loss]]

    def network(self, seed: int) -> keras.Model:
        """A multi-layer perceptron and a linear head for each task."""
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((self.parts[0][0].shape[1],))
        hidden = inputs
        for width in self.widths:
            hidden = keras.layers.Dense(width, activation="relu")(hidden)
        outputs = {
            task: keras.layers.Dense(units)(hidden) for task, (units, _) in self.heads.items()
        }
        return keras.Model(inputs, outputs)

    def losses(self, outputs: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]) -> Any:
        """The tasks' mean losses over the rows that have a label."""
        found = {}
        for task, (_, loss) in self.heads.items():
            known = ~tf.math.is_nan(labels[task])
            values = loss(tf.where(known, labels[task], 0.0), outputs[task])
            count = tf.reduce_sum(tf.cast(known, tf.float32))
            found[task] = tf.math.divide_no_nan(tf.reduce_sum(tf.where(known, values, 0.0)), count)
        return found


def _squared(label: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    return (label - output[:, 0]) ** 2


def _binary(label: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(label, output[:, 0])


def _classes(label: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(label, tf.int32), output)


def conflict(seed: int) -> Data:
    """Two tasks that want the opposite of a trunk that is two units wide."""
    problem = PROBLEMS["opposed, scarce trunk"]
    generator = np.random.default_rng(seed)
    parts = []
    for rows in (4800, 20_000):
        features, labels = draw(problem, rows, generator)
        parts.append((features, {task: values[:, 0] for task, values in labels.items()}))
    return Data((parts[0], parts[1]), (32, problem.trunk), dict.fromkeys("ab", (1, _squared)))


def digits(seed: int) -> Data:
    """The paper's example at this size: two digits on one canvas, a trunk of four units."""
    training, _, test = overlaid_digits(seed, (8000, 1, 2000))
    parts = [
        (
            part.images.reshape(len(part.images), -1),
            dict(zip("ab", part.labels.T.astype(np.float32), strict=True)),
        )
        for part in (training, test)
    ]
    return Data((parts[0], parts[1]), (64, 4), dict.fromkeys("ab", (10, _classes)))


def taxi(seed: int) -> Data:
    """Trips: numbers standardized, everything else one-hot."""
    frame, kinds = tables.load("taxi")
    order = np.random.default_rng(seed).permutation(len(frame))
    frame = frame.iloc[order]
    labels = {}
    for task, kind in kinds.items():
        values = frame.pop(task).astype(float)
        if kind == "regression":
            values = np.log(values)
            values = (values - values.mean()) / values.std()
        labels[task] = values.to_numpy(np.float32)
    ids = [column for column in frame if not column.endswith(("latitude", "longitude"))]
    numbers = frame.drop(columns=ids)
    numbers = ((numbers - numbers.mean()) / numbers.std()).fillna(0)
    features = np.hstack([numbers, pd.get_dummies(frame[ids].astype(str))]).astype(np.float32)
    train = int(0.8 * len(features))
    parts = [
        (features[part], {task: values[part] for task, values in labels.items()})
        for part in (slice(train), slice(train, None))
    ]
    heads = {task: (1, _binary if kind == "binary" else _squared) for task, kind in kinds.items()}
    return Data((parts[0], parts[1]), (64, 32), heads)


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem and how long it is trained."""

    data: Callable[[int], Data]
    batch: int
    epochs: int
    learning_rate: float


CASES = {
    "taxi": Case(taxi, 128, 5, 3e-3),
    "conflict": Case(conflict, 64, 8, 3e-3),
    "paper": Case(digits, 128, 6, 3e-3),
}


class Training:
    """One network, trained again and again, with one trace for each kind of weights.

    Args:
        data: Of any seed; all have the same shapes.
        case: How long, and how.
    """

    def __init__(self, data: Data, case: Case) -> None:
        self._case, self._data = case, data
        self._model = data.network(0)
        self._optimizer = keras.optimizers.Adam(case.learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        self._surgery = PCGrad("sum", seed=0)
        self._kept = tf.Variable(tf.zeros([len(data.heads)], tf.float64))
        self._step = tf.function(self._one_step, autograph=False)

    def run(self, data: Data, seed: int, way: str, epochs: int) -> tuple[float, float]:
        """Trains from scratch.

        Returns:
            The mean agreement, and the mean of the tasks' losses on test.
        """
        self._model.set_weights(data.network(seed).get_weights())
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        self._optimizer.learning_rate = self._case.learning_rate
        rows = tf.data.Dataset.from_tensor_slices(data.parts[0])
        batches = rows.shuffle(10**5, seed=seed).batch(self._case.batch, drop_remainder=True)
        every = int(way) if way.isdecimal() else 1
        found = []
        for step, (x, y) in enumerate(batches.repeat(epochs)):
            is_due = tf.constant(step % every == 0)
            kind = way if way in (_FEATURES, _PLAIN) else "kept"
            found.append(self._step(x, y, tf.constant(step, tf.int64), is_due, kind))
        x, y = data.parts[1]
        tested = data.losses(self._model(x), y)
        return float(np.mean(found)), float(np.mean(list(tested.values())))

    def _one_step(
        self,
        x: tf.Tensor,
        y: Mapping[str, tf.Tensor],
        step: tf.Tensor,
        is_due: tf.Tensor,
        kind: str,
    ) -> tf.Tensor:
        variables = self._model.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            losses = self._data.losses(self._model(x), y)
        gradients = task_gradients(tape, losses, variables)
        gramian = gram_matrix(gradients)
        exact = self._surgery(gramian, step)
        if kind == _PLAIN:
            weights = tf.ones_like(exact)
        elif kind == _FEATURES:
            products, _ = feature_gram_matrix(tape, losses, variables)
            weights = self._surgery(products, step)
        else:
            weights = self._kept.assign(tf.where(is_due, exact, self._kept))
        update = combine(gradients, weights)
        self._optimizer.apply_gradients(zip(update, variables, strict=True))
        # Of Σ w_t g_t and the exact one.
        both = tf.stack([weights, exact])
        products = tf.matmul(both, tf.matmul(gramian, both, transpose_b=True))
        return cosines(products)[0, 1]


def measure(name: str, seeds: int, epochs: int | None = None) -> dict[str, Any]:
    """All ways on one problem."""
    case = CASES[name]
    training = Training(case.data(0), case)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        data = case.data(seed)
        for way in WAYS:
            found[way].append(training.run(data, seed, way, epochs or case.epochs))
    exact = [loss for _, loss in found[WAYS[0]]]
    ways = {}
    for way, runs in found.items():
        losses = [loss for _, loss in runs]
        difference = paired_difference(
            [b / a for a, b in zip(exact, losses, strict=True)], [1.0] * seeds
        )
        ways[way] = {
            "agreement": float(np.mean([agreement for agreement, _ in runs])),
            "losses": losses,
            "difference": dataclasses.asdict(difference),
        }
    return {"problem": name, "seeds": seeds, "epochs": epochs or case.epochs, "ways": ways}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for docs/methods.md: for each problem the agreement and the losses' difference."""
    heads = [f"{row['problem']}: {what}" for row in rows for what in ("cosine", "loss on test")]
    lines = [["weights", *heads], ["---", *("---:" for _ in heads)]]
    for way in WAYS:
        cells = []
        for row in rows:
            found = row["ways"][way]
            ends = found["difference"]
            change = f"{ends['mean']:+.1%} ({ends['low']:+.1%} … {ends['high']:+.1%})"
            loss = f"{np.mean(found['losses']):.4f}" if way == WAYS[0] else change
            cells += [f"{found['agreement']:.3f}", loss]
        lines.append([_NAMES.get(way, f"`surgery_every = {way}`"), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="two at least (default: 3)")
    parser.add_argument("--epochs", type=int, help="other than a problem's own")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS, help="a JSON file")
    args = parser.parse_args()
    use_one_core()
    rows = []
    for name in args.problems:
        rows.append(measure(name, args.seeds, args.epochs))
        print(markdown(rows[-1:]), flush=True)
        result = {"tensorflow": tf.__version__, "rows": rows}
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
