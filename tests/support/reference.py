"""PCGrad in NumPy float64, written from the paper alone.

Yu, Kumar, Gupta, Levine, Hausman, Finn, "Gradient Surgery for Multi-Task Learning", NeurIPS 2020,
Algorithm 1, on whole gradient vectors; section 3 and appendix C for what is shared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

Gradients = Sequence[Sequence["np.ndarray | None"]]  # [task][variable]


def projected(vectors: np.ndarray, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """Algorithm 1 up to the sum: the T projected gradients.

    Args:
        vectors: [T, D], the task gradients.
        orders: For each task the order in which it visits the tasks; its own index is skipped.
    """
    vectors = np.asarray(vectors, np.float64)
    results = []
    for i, order in enumerate(orders):
        running = vectors[i].copy()
        for j in order:
            inner = running @ vectors[j]
            if j != i and inner < 0:
                running -= inner / (vectors[j] @ vectors[j]) * vectors[j]
        results.append(running)
    return np.array(results)


def simultaneously_projected(vectors: np.ndarray) -> np.ndarray:
    """Not Algorithm 1: every inner product is taken with the original gradients."""
    vectors = np.asarray(vectors, np.float64)
    results = []
    for i, own in enumerate(vectors):
        result = own.copy()
        for j, other in enumerate(vectors):
            if j != i and own @ other < 0:
                result -= own @ other / (other @ other) * other
        results.append(result)
    return np.array(results)


def all_orders(tasks: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every outcome of the draw: for each task an order of the others."""
    return itertools.product(
        *(itertools.permutations([j for j in range(tasks) if j != i]) for i in range(tasks))
    )


def update(
    gradients: Gradients, orders: Sequence[Sequence[int]], reduction: str = "sum"
) -> list[np.ndarray | None]:
    """The update of every variable: surgery where at least two tasks reach.

    Args:
        gradients: By task and variable, `None` where the task does not reach the variable.
        orders: As in `projected`.
        reduction: "sum" or "mean".
    """
    return merge(gradients, projected(shared_vectors(gradients), orders), reduction)


def merge(
    gradients: Gradients, surgically_changed: np.ndarray, reduction: str = "sum"
) -> list[np.ndarray | None]:
    """Puts changed shared gradients [T, D] and untouched task-specific ones together."""
    total = surgically_changed.sum(axis=0)
    if reduction == "mean":
        total = total / len(gradients)
    merged: list[np.ndarray | None] = []
    position = 0
    for column in zip(*gradients, strict=True):
        reaching = [gradient for gradient in column if gradient is not None]
        if len(reaching) < 2:
            merged.append(np.asarray(reaching[0], np.float64) if reaching else None)
            continue
        size, shape = np.size(reaching[0]), np.shape(reaching[0])
        merged.append(total[position : position + size].reshape(shape))
        position += size
    return merged


def shared_vectors(gradients: Gradients) -> np.ndarray:
    """[T, D]: each task's gradient over all shared variables, zeros where it does not reach."""
    parts = []
    for column in zip(*gradients, strict=True):
        reaching = [gradient for gradient in column if gradient is not None]
        if len(reaching) > 1:
            zero = np.zeros(np.size(reaching[0]))
            parts.append(
                [zero if g is None else np.asarray(g, np.float64).reshape(-1) for g in column]
            )
    if not parts:
        return np.zeros([len(gradients), 0])
    return np.concatenate([np.array(part) for part in parts], axis=1)


def flat(values: Iterable[np.ndarray | None]) -> np.ndarray:
    """One float64 vector of all that exist."""
    parts = [np.asarray(value, np.float64).reshape(-1) for value in values if value is not None]
    return np.concatenate([np.zeros(0), *parts])
