"""The methods that tests of their common properties go through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import pcgrad


@dataclasses.dataclass(frozen=True)
class Method:
    """A method and what it claims.

    Attributes:
        make: A fresh instance.
        power: Multiplying all gradients by s multiplies the weights by s to this power.
        permuted: A fresh instance for tasks in another order (`permutation[new] = old`); `None`
            where the result depends on the order of the tasks.
        ignores_zero: Whether a task whose gradient is zero changes nothing for the others.
    """

    make: Callable[[], Any]
    power: float = 0
    permuted: Callable[[np.ndarray], Any] | None = None
    ignores_zero: bool = True


def _symmetric(make: Callable[[], Any], power: float = 0) -> Method:
    return Method(make, power, permuted=lambda permutation: make())


METHODS = {
    "AlignedMTL": _symmetric(pcgrad.AlignedMTL),
    "CAGrad": _symmetric(lambda: pcgrad.CAGrad(c=0.4)),
    "ConFIG": _symmetric(pcgrad.ConFIG),
    "DualProj": _symmetric(pcgrad.DualProj),
    "FairGrad": _symmetric(lambda: pcgrad.FairGrad(alpha=2.0), power=-4 / 3),
    # The orders in which the tasks are visited are drawn by their places.
    "GradVac": Method(lambda: pcgrad.GradVac(beta=0.3, seed=5), ignores_zero=False),
    "IMTLG": _symmetric(pcgrad.IMTLG),
    "MGDA": _symmetric(pcgrad.MGDA),
    "NashMTL": _symmetric(pcgrad.NashMTL, power=-1),
    "Normalized": _symmetric(pcgrad.Normalized, power=-1),
    "PrimaryTask": Method(
        lambda: pcgrad.PrimaryTask(1),
        permuted=lambda permutation: pcgrad.PrimaryTask(int(np.flatnonzero(permutation == 1)[0])),
    ),
    "UPGrad": _symmetric(pcgrad.UPGrad),
}
