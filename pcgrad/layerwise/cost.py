"""What inner products of kernels' gradients cost in one way and in another, in multiplications."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from pcgrad.layerwise.uses import Product

# As measured: TensorFlow takes the gradient of `[batch, positions, in] · [in, out]` by the kernel
# in `batch` products, and adds these up.
_IN_PIECES = 1.27

# As measured, in float32 multiplications of a matrix product: what it takes to repeat one of the
# products by rows in float64, and one of those of gradients, which are bound by memory.
_ROWS_AGAIN = 2.5
_GRADIENTS_AGAIN = 15.0


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What the cost of a kernel's products depends on.

    Attributes:
        inputs: Its rows, in.
        outputs: Its columns, out.
        rows: Rows N of the layer's input, by use; `None` where the size of the batch decides.
        positions: Rows for one element of the batch, by use; `None` where that is not known.
        in_pieces: Whether any input has more than two dimensions.
    """

    inputs: int
    outputs: int
    rows: tuple[int | None, ...]
    positions: tuple[int | None, ...]
    in_pieces: bool

    @classmethod
    def of(cls, uses: Sequence[Product]) -> Kernel:
        """The kernel of some uses."""
        shapes = [use.rows.shape[:-1] for use in uses]
        return cls(
            uses[0].inputs,
            uses[0].outputs,
            tuple(shape.num_elements() for shape in shapes),
            tuple(shape[1:].num_elements() for shape in shapes),
            any(shape.rank > 1 for shape in shapes),
        )

    def most_rows(self, tasks: int) -> int:
        """Up to how many rows its inner products by rows are cheaper than by gradients."""
        return most_rows(self.inputs, self.outputs, tasks)

    @property
    def static_rows(self) -> int | None:
        """N of all uses together; `None` where the size of the batch decides."""
        return None if None in self.rows else sum(n for n in self.rows if n is not None)

    def all_rows(self, batch: int) -> int | None:
        """N for a batch of this size; `None` where it is not known."""
        total = 0
        for rows, positions in zip(self.rows, self.positions, strict=True):
            if rows is None and positions is None:
                return None
            total += rows if rows is not None else batch * (positions or 0)
        return total


def most_rows(inputs: int, outputs: int, tasks: int) -> int:
    """Up to how many rows N inner products by rows take fewer multiplications than by gradients.

    By rows N² · in for A Aᵀ, N² · t · out for its product with D, N · t² · out for the pairs and
    N · in · out for the weighted sum; by gradients N · t · in · out and t² · in · out.
    """
    square = inputs + tasks * outputs
    linear = (tasks - 1) * inputs * outputs - tasks**2 * outputs
    constant = tasks**2 * inputs * outputs
    return int((linear + math.sqrt(linear**2 + 4 * square * constant)) / (2 * square))


def saving(kernels: Iterable[Kernel], tasks: int, batch: int, *, opposed: bool = False) -> float:
    """The fraction of a step's multiplications that layer-wise inner products save.

    Args:
        kernels: Of all matrix products; nothing else is counted.
        tasks: T.
        batch: The size of the batch.
        opposed: Whether gradients oppose each other, so that inner products are taken again, in
            float64.

    Returns:
        Negative if they cost more; 0 if the number of rows is not known.
    """
    tape = layerwise = 0.0
    by_rows_again, by_gradients_again = (
        (1 + _ROWS_AGAIN, 1 + _GRADIENTS_AGAIN) if opposed else (1.0, 1.0)
    )
    for kernel in kernels:
        rows = kernel.all_rows(batch)
        if rows is None:
            return 0.0
        size = kernel.inputs * kernel.outputs
        # The forward pass, and T times the gradient by the layer's input.
        common = (1 + tasks) * rows * size
        pairs = tasks**2 * size * by_gradients_again
        tape += common + pairs + tasks * rows * size * (_IN_PIECES if kernel.in_pieces else 1)
        positions_unknown = kernel.in_pieces and kernel.static_rows is None
        if rows <= kernel.most_rows(tasks) and not positions_unknown:
            products = rows**2 * (kernel.inputs + tasks * kernel.outputs)
            products += rows * tasks**2 * kernel.outputs
            layerwise += common + products * by_rows_again + rows * size
        else:
            layerwise += common + pairs + tasks * rows * size
    return 1 - layerwise / tape if tape else 0.0
