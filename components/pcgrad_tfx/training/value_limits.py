"""Whether transformed labels and ids are such that a loss or an embedding can take them.

Those that our own preprocessing writes are; somebody else's Transform may count from 1, or write -1
for what its vocabulary does not have, and a network trains on that without a word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad_tfx.config.tasks import Task


@dataclasses.dataclass(frozen=True)
class Limit:
    """What runs from 0 to a highest value.

    Attributes:
        name: Of the task whose label it is, or of the feature.
        highest: Its highest value.
        kind: Of the task; `None` for a feature of ids.
    """

    name: str
    highest: int
    kind: str | None

    def check(self, lowest: float, highest: float) -> None:
        """Checks the lowest and highest value that there is.

        Raises:
            ValueError: One is out of the limits.
        """
        if lowest >= 0 and highest <= self.highest:
            return
        found = f"from {lowest:g} to {highest:g}"
        if self.kind is None:
            raise ValueError(
                f"the transformed feature {self.name!r} holds ids {found}, but `embedding_sizes` "
                f"has {self.highest + 1} ids for it, from 0 to {self.highest}; correct the number, "
                "or what your preprocessing_fn writes for an unknown value"
            )
        raise ValueError(
            f"task {self.name!r}: the transformed labels are {found}, but kind {self.kind!r} needs "
            f"numbers from 0 to {self.highest}; count from 0 in your preprocessing_fn, and write "
            "NaN, or 0 in the label's mask, where a label is missing"
        )


def limits(tasks: Sequence[Task], embedding_sizes: Mapping[str, int] | None = None) -> list[Limit]:
    """The limits of classes, of yes and no, and of ids.

    Args:
        tasks: The tasks.
        embedding_sizes: By transformed feature the number of ids, where somebody else wrote them.
    """
    of_labels = [
        Limit(task.name, max(task.units - 1, 1), task.kind)
        for task in tasks
        if task.kind != "regression"
    ]
    of_ids = [Limit(name, size - 1, None) for name, size in (embedding_sizes or {}).items()]
    return of_labels + of_ids


def extremes(
    limited: Sequence[Limit], features: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """The extreme values of a batch.

    Returns:
        [limits, 2], float64: the lowest value, and the highest one, negative; infinite where there
        is none. So the minimum over batches is that of all.
    """
    found = []
    for limit in limited:
        values = tf.cast((features if limit.kind is None else labels)[limit.name], tf.float64)
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
