"""Overlaid digits: two on one canvas, as in MultiMNIST but from scikit-learn's 8×8 images."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

SIDE, OFFSET = 8, 4
CANVAS = SIDE + OFFSET

# Shares of the base images.
_TRAINING, _VALIDATION = 0.6, 0.2


@dataclasses.dataclass(frozen=True)
class Overlays:
    """Canvases with two digits each.

    Attributes:
        images: [rows, 12, 12], float32 in 0 … 1.
        labels: [rows, 2], int32: the digit at the top left and the one at the bottom right.
        sources: [rows, 2]: the indices of the base images.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    sources: npt.NDArray[np.int64]


def overlay(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Puts one digit at the top left, another at the bottom right; the brighter pixel wins.

    Args:
        first: [rows, 8, 8].
        second: [rows, 8, 8].

    Returns:
        [rows, 12, 12]; the middle 4×4 pixels are covered by both digits.
    """
    canvas = np.zeros((len(first), CANVAS, CANVAS), np.float32)
    canvas[:, :SIDE, :SIDE] = first
    canvas[:, OFFSET:, OFFSET:] = np.maximum(canvas[:, OFFSET:, OFFSET:], second)
    return canvas


def overlaid_digits(seed: int, rows: tuple[int, int, int]) -> tuple[Overlays, Overlays, Overlays]:
    """Splits the base images first, then draws pairs within each part.

    Args:
        seed: Of the split and of the pairs.
        rows: How many canvases for training, validation and test.

    Returns:
        The canvases for training, validation and test; no base image is in two of them.
    """
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(images))
    ends = [int(len(images) * _TRAINING), int(len(images) * (_TRAINING + _VALIDATION))]
    made = []
    for part, count in zip(np.split(shuffled, ends), rows, strict=True):
        sources = rng.choice(part, (count, 2))
        canvas = overlay(images[sources[:, 0]], images[sources[:, 1]])
        made.append(Overlays(canvas, digits.target[sources].astype(np.int32), sources))
    return made[0], made[1], made[2]
