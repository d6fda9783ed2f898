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

# With fewer chunks there is no estimate of the estimate's variance.
MIN_CHUNKS = 4


@dataclasses.dataclass(frozen=True)
class Probe:
    """Inner products of the tasks' gradients at one point of a training.

    All are divided by the lengths of the gradients of a chunk, so that a point with long gradients
    counts no more than others: "scaled" means by 1/√(c_i c_j), with c_i the mean of ‖g_i^k‖² over
    the chunks on which task i has a gradient. T is the number of tasks. NumPy arrays, float64.

    Attributes:
        step: Number of the training step before which the weights were these.
        chunks: K.
        chunk_rows: Rows of a chunk.
        lengths: [T], √c_i.
        products: [T, T], M_ij, scaled: on the diagonal the part of a chunk's squared gradient that
            is signal, which may come out below 0 where there is none.
        product_covariances: [T, T, 3, 3], of the estimates M_ij, M_ii and M_jj.
        terms: [T, T], what task j adds to task i's descent: w_j M_ij / w_i, divided by c_i.
        descent: [T, 2], the sum of the terms, and the same for the update that the training's
            weighting makes of a chunk's gradients; NaN if it has none.
        descent_covariances: [T, 2, 2, 2], of `descent` and M_ii.
        labelled: [T], the share of chunks on which the task has a gradient.
        opposed: [T, T], for two tasks the share of chunks in which their gradients have a negative
            inner product; on the diagonal the share of pairs of chunks in which one task's do. Of
            those that have a gradient.
    """

    step: int
    chunks: int
    chunk_rows: int
    lengths: Array
    products: Array
    product_covariances: Array
    terms: Array
    descent: Array
    descent_covariances: Array
    labelled: Array
    opposed: Array


def probe_statistics(
    products: Array,
    loss_weights: Array,
    update_weights: Array | None,
    step: int,
    chunk_rows: int,
) -> Probe:
    """Makes the unbiased estimates, and their covariances, from all inner products.

    A task without labels on a chunk has a gradient of zero there, as in a step of the training; so
    has one whose gradient is not finite.

    Args:
        products: [K, T, K, T], float64: ⟨g_i^k, g_j^l⟩ at [k, i, l, j].
        loss_weights: [T], the weights w of the losses.
        update_weights: [K, T], the weights that the training's weighting gives to the tasks'
            gradients of each chunk, after the loss weights; `None` if it has none.
        step: Number of the training step.
        chunk_rows: Rows of a chunk.

    Raises:
        ValueError: There are fewer than four chunks.
    """
    chunks, tasks = products.shape[:2]
    if chunks < MIN_CHUNKS:
        raise ValueError(f"a probe of {chunks} chunks: take at least {MIN_CHUNKS}")
    by_pair = np.transpose(products, (1, 3, 0, 2))  # [i, j, k, l]
    squares = np.einsum("iikk->ik", by_pair)
    known = np.isfinite(squares) & (squares > 0)
    both = known[:, None, :] & known[None, :, :]
    by_pair = np.where(known[:, None, :, None] & known[None, :, None, :], by_pair, 0.0)
    counts = known.sum(axis=1)
    lengths = np.sqrt(np.nan_to_num(_mean(np.where(known, squares, 0.0).sum(axis=1), counts)))
    scaled = by_pair * _inverse(lengths[:, None] * lengths[None, :])[:, :, None, None]
    same = np.einsum("ijkk->ijk", scaled)

    scaled = _without_diagonal(scaled)
    kernels = (scaled + np.swapaxes(scaled, 2, 3)) / 2
    whole = chunks * (chunks - 1)
    estimates = kernels.sum(axis=(2, 3)) / whole
    own_kernels = np.einsum("iikl->ikl", kernels)
    triples = np.stack(
        np.broadcast_arrays(kernels, own_kernels[:, None], own_kernels[None, :]), axis=2
    )

    weights = loss_weights * lengths
    relative = weights[None, :] * _inverse(weights)[:, None]
    descent_kernels = [np.einsum("ij,ijkl->ikl", relative, kernels)]
    if update_weights is not None:
        usual = np.where(np.isfinite(update_weights), update_weights, 0.0)
        of_chunks = np.einsum("ij,lj,ijkl->ikl", relative, usual, scaled)
        descent_kernels.append((of_chunks + np.swapaxes(of_chunks, 1, 2)) / 2)
    descent = np.full((tasks, 2), math.nan)
    covariances = np.full((tasks, 2, 2, 2), math.nan)
    for place, kernel in enumerate(descent_kernels):
        descent[:, place] = kernel.sum(axis=(1, 2)) / whole
        covariances[:, place] = _covariances(np.stack([kernel, own_kernels], axis=1))

    opposed = _mean((both & (same < 0)).sum(axis=2), both.sum(axis=2))
    against_itself = (own_kernels < 0).sum(axis=(1, 2))
    np.fill_diagonal(opposed, _mean(against_itself, counts * (counts - 1)))
    return Probe(
        step=step,
        chunks=chunks,
        chunk_rows=chunk_rows,
        lengths=lengths,
        products=estimates,
        product_covariances=_covariances(triples),
        terms=estimates * relative,
        descent=descent,
        descent_covariances=covariances,
        labelled=counts / chunks,
        opposed=opposed,
    )


def _without_diagonal(kernels: Array) -> Array:
    """Pairs of different chunks only."""
    return kernels * (1 - np.eye(kernels.shape[-1]))


def _covariances(kernels: Array) -> Array:
    """Covariances of U-statistics of degree two, without bias.

    The kernel of a pair of chunks is taken apart as in an analysis of variance: its mean, an effect
    of each of the two chunks, with variance a, and a rest, with variance b. Then the variance of
    the mean over all pairs is 4a/K + 2b/(K(K-1)), and a and b follow from the spread of the chunks'
    means and of all pairs. (A jackknife counts b twice: far too wide where noise is all there is.)

    Args:
        kernels: [..., A, K, K], symmetric, zeros on the diagonals: A statistics.

    Returns:
        [..., A, A]
    """
    count = kernels.shape[-1]
    pairs = count * (count - 1)
    total = kernels.sum(axis=(-2, -1))[..., None] / pairs
    of_chunks = kernels.sum(axis=-1) / (count - 1) - total
    spread = np.einsum("...ak,...bk->...ab", of_chunks, of_chunks) / (count - 1)
    rests = _without_diagonal(kernels - total[..., None])
    all_pairs = np.einsum("...akl,...bkl->...ab", rests, rests) / pairs
    # E spread = p a + q b, E all_pairs = r a + s b.
    p, q = ((count - 2) / (count - 1)) ** 2, (count - 2) / (count - 1) ** 2
    r, s = 2 - 4 / count, 1 - 2 / pairs
    effect = (s * spread - q * all_pairs) / (p * s - q * r)
    rest = (p * all_pairs - r * spread) / (p * s - q * r)
    return 4 * effect / count + 2 * rest / pairs


def _inverse(values: Array) -> Array:
    """With 0 for 0."""
    values = np.asarray(values, float)
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


def _mean(sums: Array, counts: Array) -> Array:
    """With NaN of nothing."""
    sums = np.asarray(sums, float)
    return np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts != 0)
