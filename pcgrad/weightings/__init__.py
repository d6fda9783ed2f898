"""Weightings: from the Gram matrix of the task gradients, or the losses, to the tasks' weights."""

from pcgrad.weightings.from_both import DualBalancing, GradNorm
from pcgrad.weightings.from_gramian import Normalized
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
    "DualBalancing",
    "DynamicWeightAverage",
    "GeometricMean",
    "GradNorm",
    "GramWeighting",
    "LogLosses",
    "LossWeighting",
    "Normalized",
    "RandomWeights",
    "SmoothTchebycheff",
    "StatefulWeighting",
    "UncertaintyWeights",
    "Weighting",
    "equal_weights",
    "projection_orders",
]
