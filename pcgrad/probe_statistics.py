"""What gradients at fixed weights say about the tasks, without the noise of single batches.

A probe takes K chunks of rows, all different, and the gradient g_i^k of each task i on each chunk k
at the same weights. Let G_i be the task's gradient on the whole population. Then

    M_ij = mean over k ≠ l of ⟨g_i^k, g_j^l⟩

estimates ⟨G_i, G_j⟩ without bias, also for i = j and whatever noise the tasks share, because no row
is in both factors: a U-statistic (Hoeffding 1948). A mean of ⟨g_i^k, g_j^k⟩, what single batches
show, does not: the noise of the common rows is in it.

Pure functions of NumPy arrays; `pcgrad.GradientProbe` makes what goes in.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

# With fewer chunks the estimate's variance could not be told.
MIN_CHUNKS = 4


@dataclasses.dataclass(frozen=True)
class Probe:
    """Inner products of the tasks' gradients at one point of a training.

    They are divided by the lengths of the gradients of a chunk, so that a point with long gradients
    counts no more than others: by √(c_i c_j), with c_i the mean of ‖g_i^k‖² over the chunks on
    which task i has a gradient. A task without labels on a chunk has a gradient of zero there, as
    in a step of the training; so has one whose gradient is not finite. T is the number of tasks, K
    of chunks. NumPy arrays, float64 if nothing else is said.

    Attributes:
        step: Number of the training step before which the weights were these.
        chunk_rows: Rows of a chunk.
        lengths: [T], √c_i.
        gramian: [K, T, K, T], float32: ⟨g_i^k, g_j^l⟩/√(c_i c_j) at [k, i, l, j].
        loss_weights: [T], the weights w of the losses.
        update_weights: [K, T], the weights that the training's weighting gives to the tasks'
            gradients of each chunk, after the loss weights; NaN if it has none.
        labelled: [T], the share of chunks on which the task has a gradient.
        opposed: [T, T], for two tasks the share of chunks in which their gradients have a negative
            inner product; on the diagonal the share of pairs of chunks in which one task's do. Of
            those that have a gradient.
    """

    step: int
    chunk_rows: int
    lengths: Array
    gramian: npt.NDArray[np.float32]
    loss_weights: Array
    update_weights: Array
    labelled: Array
    opposed: Array

    @property
    def chunks(self) -> int:
        """K."""
        return len(self.gramian)

    @property
    def products(self) -> Array:
        """[T, T], M_ij, divided as `gramian` is.

        On the diagonal it is the part of a chunk's squared gradient that is signal, which may come
        out below 0 where there is none.
        """
        return mean_of_pairs(self.kernels())

    def kernels(self) -> Array:
        """[T, T, K, K], whose mean over k ≠ l is M_ij; symmetric in k and l, 0 for k = l."""
        return _symmetric(np.transpose(self.gramian, (1, 3, 0, 2)).astype(np.float64))

    @property
    def labelled_pairs(self) -> Array:
        """[T], the share of pairs of different chunks on both of which the task has a gradient."""
        return self.labelled * (self.labelled * self.chunks - 1) / (self.chunks - 1)

    def relative_weights(self) -> Array:
        """[T, T], by which M_ij becomes what task j adds to task i's descent: w_j M_ij / w_i."""
        weights = self.loss_weights * self.lengths
        return weights[None, :] * _inverse(weights)[:, None]

    def update_kernels(self) -> Array:
        """[T, K, K], whose mean over k ≠ l is task i's descent under the weighting's update."""
        usual = np.where(np.isnan(self.update_weights), 0.0, self.update_weights)
        return _symmetric(
            np.einsum("ij,lj,kilj->ikl", self.relative_weights(), usual, self.gramian)
        )


def probe_statistics(
    products: Array,
    loss_weights: Array,
    update_weights: Array | None,
    step: int,
    chunk_rows: int,
) -> Probe:
    """Makes a probe from all inner products.

    Args:
        products: [K, T, K, T], float64: ⟨g_i^k, g_j^l⟩ at [k, i, l, j].
        loss_weights: [T].
        update_weights: [K, T]; `None` if the training has no weighting.
        step: Number of the training step.
        chunk_rows: Rows of a chunk.

    Raises:
        ValueError: There are fewer than four chunks.
    """
    chunks, tasks = products.shape[:2]
    if chunks < MIN_CHUNKS:
        raise ValueError(f"a probe of {chunks} chunks: take at least {MIN_CHUNKS}")
    squares = np.einsum("kiki->ki", products)
    known = np.isfinite(squares) & (squares > 0)
    both = known[:, :, None] & known[:, None, :]
    counts = known.sum(axis=0)
    lengths = np.sqrt(np.nan_to_num(_mean(np.where(known, squares, 0.0).sum(axis=0), counts)))
    scales = _inverse(lengths)
    scaled = np.where(known[:, :, None, None] & known, products, 0.0)
    scaled = scaled * scales[:, None, None] * scales
    same = np.einsum("kikj->kij", scaled)
    opposed = _mean((both & (same < 0)).sum(axis=0), both.sum(axis=0))
    against_itself = (np.einsum("kili->ikl", scaled) < 0).sum(axis=(1, 2))
    np.fill_diagonal(opposed, _mean(against_itself, counts * (counts - 1)))
    return Probe(
        step=step,
        chunk_rows=chunk_rows,
        lengths=lengths,
        gramian=scaled.astype(np.float32),
        loss_weights=np.asarray(loss_weights, np.float64),
        update_weights=np.full((chunks, tasks), math.nan)
        if update_weights is None
        else np.where(np.isfinite(update_weights), update_weights, 0.0),
        labelled=counts / chunks,
        opposed=opposed,
    )


def mean_of_pairs(kernels: Array) -> Array:
    """[...], the mean over k ≠ l of [..., K, K]: a U-statistic of degree two."""
    chunks = kernels.shape[-1]
    return np.asarray(kernels.sum(axis=(-2, -1)) / (chunks * (chunks - 1)))


def _symmetric(kernels: Array) -> Array:
    return _without_diagonal((kernels + np.swapaxes(kernels, -2, -1)) / 2)


def _without_diagonal(kernels: Array) -> Array:
    """Pairs of different chunks only."""
    return kernels * (1 - np.eye(kernels.shape[-1]))


def covariances(kernels: Array) -> Array:
    """Covariances of U-statistics of degree two, by the jackknife over chunks (Arvesen 1969).

    Too large, up to twice, where the pairs of chunks differ by more than the chunks do, that is
    where nearly all is noise.

    Args:
        kernels: [..., A, K, K], symmetric, zeros on the diagonals: A statistics.

    Returns:
        [..., A, A]
    """
    chunks = kernels.shape[-1]
    without_one = kernels.sum(axis=(-2, -1))[..., None] - 2 * kernels.sum(axis=-1)
    without_one /= (chunks - 1) * (chunks - 2)
    apart = without_one - without_one.mean(axis=-1, keepdims=True)
    return np.einsum("...ak,...bk->...ab", apart, apart) * ((chunks - 1) / chunks)


def _inverse(values: Array) -> Array:
    """With 0 for 0."""
    values = np.asarray(values, float)
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


def _mean(sums: Array, counts: Array) -> Array:
    """With NaN of nothing."""
    sums = np.asarray(sums, float)
    return np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts != 0)
