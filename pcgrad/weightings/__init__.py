"""Weightings: from the Gram matrix of the task gradients, or the losses, to the tasks' weights."""

from pcgrad.weightings.from_both import (
    DualBalancing,
    GradNorm,
)
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
from pcgrad.weightings.from_losses import (
    FAMO,
    DynamicWeightAverage,
    GeometricMean,
    LogLosses,
    RandomWeights,
    SmoothTchebycheff,
    UncertaintyWeights,
)
from pcgrad.weightings.projection import projection_orders
from pcgrad.weightings.stateful import StatefulWeighting
from pcgrad.weightings.weighting import GramWeighting, LossWeighting, Weighting, equal_weights

__all__ = [
    "FAMO",
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualBalancing",
    "DualProj",
    "DynamicWeightAverage",
    "FairGrad",
    "GeometricMean",
    "GradNorm",
    "GradVac",
    "GramWeighting",
    "LogLosses",
    "LossWeighting",
    "NashMTL",
    "Normalized",
    "PrimaryTask",
    "RandomWeights",
    "SmoothTchebycheff",
    "StatefulWeighting",
    "UPGrad",
    "UncertaintyWeights",
    "Weighting",
    "equal_weights",
    "projection_orders",
]
