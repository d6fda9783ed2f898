"""Whether transformed labels, weights and ids are such that a loss or an embedding can take them.

Those that our own preprocessing writes are; somebody else's Transform may count from 1, or write -1
for what its vocabulary does not have, and a network trains on that without a word.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import tensorflow as tf

from pcgrad_tfx.config.tasks import Task


@dataclasses.dataclass(frozen=True)
class Limit:
    """What runs from a lowest value, mostly 0, to a highest one.

    Attributes:
        name: Of the task whose label or weight it is, or of the feature of ids or numbers.
        highest: Its highest value.
        what: Which of them it is.
        kind: Of the task whose label it is.
        lowest: Its lowest value.
    """

    name: str
    highest: float
    what: Literal["label", "weight", "id", "number"]
    kind: str = ""
    lowest: float = 0.0

    def check(self, lowest: float, highest: float) -> None:
        """Checks the lowest and highest value that there is.

        Raises:
            ValueError: One is out of the limits.
        """
        if lowest >= self.lowest and highest <= self.highest:
            return
        found = f"from {lowest:g} to {highest:g}"
        if self.what == "number":
            raise ValueError(
                f"the transformed feature {self.name!r} holds NaN or infinite numbers; write a "
                "finite one in your preprocessing_fn in their place"
            )
        if self.what == "weight":
            raise ValueError(
                f"task {self.name!r}: the transformed weights are {found}, but weights are finite "
                "numbers of at least 0; write 0 in your preprocessing_fn where a row must not count"
            )
        if self.kind == "regression" and not math.isfinite(highest - lowest):
            raise ValueError(
                f"task {self.name!r}: the transformed labels are {found}, but labels are finite "
                "numbers; write NaN, or 0 in the label's mask, where a label is missing"
            )
        if self.kind == "regression":
            raise ValueError(
                f"task {self.name!r}: the transformed labels are {found}, but loss 'poisson' needs "
                "labels of at least 0; correct them, or choose another `loss`"
            )
        if self.what == "id":
            raise ValueError(
                f"the transformed feature {self.name!r} holds ids {found}, but `embedding_sizes` "
                f"has {self.highest + 1} ids for it, from 0 to {self.highest}; correct the "
                "number, or what your preprocessing_fn writes for an unknown value"
            )
        raise ValueError(
            f"task {self.name!r}: the transformed labels are {found}, but kind {self.kind!r} needs "
            f"numbers from 0 to {self.highest}; count from 0 in your preprocessing_fn, and write "
            "NaN, or 0 in the label's mask, where a label is missing"
        )


def limits(
    tasks: Sequence[Task],
    embedding_sizes: Mapping[str, int] | None = None,
    features: Iterable[str] = (),
) -> list[Limit]:
    """The limits of labels, of weights, of ids and of other numbers.

    Args:
        tasks: The tasks.
        embedding_sizes: By transformed feature the number of ids, where somebody else wrote them.
        features: All transformed features; those that hold no ids are numbers.
    """
    largest = tf.float32.max
    of_labels = [
        Limit(task.name, len(task.class_names) - 1, "label", task.kind)
        for task in tasks
        if task.kind != "regression"
    ]
    of_labels += [
        Limit(task.name, largest, "label", task.kind, 0.0 if task.loss == "poisson" else -largest)
        for task in tasks
        if task.kind == "regression"
    ]
    of_weights = [Limit(task.name, largest, "weight") for task in tasks if task.weight is not None]
    if embedding_sizes is None:
        return of_labels + of_weights
    of_ids = [Limit(name, size - 1, "id") for name, size in embedding_sizes.items()]
    of_numbers = [
        Limit(name, largest, "number", lowest=-largest)
        for name in features
        if name not in embedding_sizes
    ]
    return of_labels + of_weights + of_ids + of_numbers


def extremes(
    limited: Sequence[Limit],
    features: Mapping[str, tf.Tensor],
    labels: Mapping[str, tf.Tensor],
    weights: Mapping[str, tf.Tensor] | None = None,
) -> tf.Tensor:
    """The extreme values of a batch; that of weights and numbers is infinite if one is NaN.

    Returns:
        [limits, 2], float64: the lowest value, and the highest one, negative; infinite where there
        is none. So the minimum over batches is that of all.
    """
    found = []
    batch = {"id": features, "number": features, "label": labels, "weight": weights or {}}
    for limit in limited:
        values = tf.cast(batch[limit.what][limit.name], tf.float64)
        if limit.what in ("weight", "number"):
            values = tf.where(tf.math.is_nan(values), tf.constant(math.inf, tf.float64), values)
        known = tf.boolean_mask(values, ~tf.math.is_nan(values))
        found.append(tf.stack([tf.reduce_min(known), tf.reduce_min(-known)]))
    return tf.stack(found) if found else tf.zeros([0, 2], tf.float64)


def check_limits(limited: Sequence[Limit], found: tf.Tensor) -> None:
    """Checks what `extremes` has found.

    Raises:
        ValueError: A value is out of its limits.
    """
    for limit, (lowest, negative_highest) in zip(limited, found.numpy().tolist(), strict=True):
        limit.check(lowest, -negative_highest)
