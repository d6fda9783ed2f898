"""Hypothesis strategies for task gradients."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SHAPES = ((3,), (2, 2), ())
LARGE_SIZES = (2049, 5000, 20_011)
REDUCTIONS = st.sampled_from(["sum", "mean"])


def some_tasks(*numbers: int) -> st.SearchStrategy[int]:
    """How many tasks; few different numbers, as each is traced once."""
    return st.sampled_from(numbers)


@st.composite
def integer_gradients(draw: st.DrawFn, tasks: int) -> list[list[np.ndarray]]:
    """Gradients of small integers: rich in zero, equal, opposite and orthogonal ones."""
    elements = st.integers(-3, 3)
    return [
        [draw(hnp.arrays(np.float32, s, elements=elements)) for s in SHAPES] for _ in range(tasks)
    ]


@st.composite
def partial_gradients(draw: st.DrawFn, tasks: int) -> list[list[np.ndarray | None]]:
    """Like `integer_gradients`, but every task reaches only some of the variables."""
    gradients = draw(integer_gradients(tasks))
    reached = draw(hnp.arrays(bool, (tasks, len(SHAPES))))
    assume(reached.any())
    return [
        [gradient if reached[t, v] else None for v, gradient in enumerate(row)]
        for t, row in enumerate(gradients)
    ]


@st.composite
def ill_conditioned_gradients(
    draw: st.DrawFn,
    tasks: int,
    largest_exponent: int = 15,
    lowest_cosine: float = -0.9999,
) -> np.ndarray:
    """[T, D] float32 gradients of norms from 1e-15 to 1e15, some almost opposite to another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.one_of(st.integers(8, 600), st.sampled_from(LARGE_SIZES)))
    rows = rng.normal(size=(tasks, size))
    if draw(st.booleans()):
        # Equal elements round alike: errors add up instead of averaging out.
        rows[0] = rng.uniform(1, 2)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for task in range(1, tasks):
        if draw(st.booleans()):
            cosine = draw(st.floats(lowest_cosine, -0.9))
            other = rows[draw(st.integers(0, task - 1))]
            across = rows[task] - (rows[task] @ other) * other
            across /= np.linalg.norm(across)
            rows[task] = cosine * other + np.sqrt(1 - cosine**2) * across
    scales = 10.0 ** draw(
        hnp.arrays(np.float64, tasks, elements=st.floats(-largest_exponent, largest_exponent))
    )
    return (rows * scales[:, np.newaxis]).astype(np.float32)
