"""PrimaryTask: auxiliary tasks help one task, and never hurt it."""

from __future__ import annotations

import tensorflow as tf

from pcgrad.weightings.arguments import natural_argument
from pcgrad.weightings.weighting import GramWeighting


class PrimaryTask(GramWeighting):
    """Projects auxiliary gradients off the primary task's, never the reverse, and sums.

    `d = g_p + Σ_{i≠p} (g_i − min(0, ⟨g_i, g_p⟩) / ‖g_p‖² g_p)`: `w_i = 1`, `w_p = 1 − Σ_{i≠p}
    min(0, G_ip) / G_pp`. To first order no auxiliary task takes anything from the primary one:
    `⟨d, g_p⟩ ≥ ‖g_p‖²`. For one task that counts, and others that are there to help it; what the
    auxiliary tasks do to each other is left alone. The plain sum where no auxiliary gradient
    conflicts with the primary one, and where that one is zero.

    Sources: Du, Czarnecki, Jayakumar, Farajtabar, Pascanu, Lakshminarayanan, "Adapting Auxiliary
    Losses Using Gradient Similarity", 2018 (arXiv 1812.02224), who leave out, or weigh by the
    cosine, the gradients that are projected here; the projection is PCGrad's.

    Args:
        task: The name of the primary task, or its index, from 0.

    Cost: O(T).

    Raises:
        ValueError: It is no name and no integer of 0 or more; or, at the call, there is no such
            task, or names are not known, as in a call by hand.

    Example:
        >>> PrimaryTask(0)(tf.constant([[2.0, -1.0], [-1.0, 4.0]])).numpy().tolist()
        [1.5, 1.0]
    """

    def __init__(self, task: int | str) -> None:
        self.task = task if isinstance(task, str) else natural_argument("task", task)
        self._names: tuple[str, ...] = ()

    def name_tasks(self, names: tuple[str, ...]) -> None:
        """Tells the names of the tasks, in order.

        Raises:
            ValueError: The primary task is not among them.
        """
        if isinstance(self.task, str) and self.task not in names:
            raise ValueError(f"PrimaryTask: `task` is {self.task!r}; the tasks are {list(names)}")
        self._names = names

    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        tasks, index = gramian.shape[0], self._index()
        if index >= tasks:
            raise ValueError(f"`task` must be below the number of tasks, {tasks}, not {index}")
        conflicts = tf.minimum(gramian[index], 0)
        removed = tf.math.divide_no_nan(tf.reduce_sum(conflicts), gramian[index, index])
        primary = tf.one_hot(index, tasks, dtype=gramian.dtype)
        return 1 - removed * primary

    def _index(self) -> int:
        if not isinstance(self.task, str):
            return self.task
        if not self._names:
            raise ValueError(
                f"PrimaryTask: the names of the tasks are not known here; pass the index of "
                f"{self.task!r} as `task`"
            )
        return self._names.index(self.task)
