"""Weightings: from the Gram matrix of the task gradients, or the losses, to the tasks' weights."""

from pcgrad.weightings.from_gramian import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradVac,
    NashMTL,
    Normalized,
    PrimaryTask,
    UPGrad,
)
from pcgrad.weightings.projection import projection_orders
from pcgrad.weightings.weighting import Weighting, equal_weights

__all__ = [
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GradVac",
    "NashMTL",
    "Normalized",
    "PrimaryTask",
    "UPGrad",
    "Weighting",
    "equal_weights",
    "projection_orders",
]
