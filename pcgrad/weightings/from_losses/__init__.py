"""Methods that make the weights without the Gram matrix: one backward pass a step."""

from pcgrad.weightings.from_losses.dynamic_weight_average import DynamicWeightAverage
from pcgrad.weightings.from_losses.famo import FAMO
from pcgrad.weightings.from_losses.geometric_mean import GeometricMean, LogLosses
from pcgrad.weightings.from_losses.random_weights import RandomWeights
from pcgrad.weightings.from_losses.smooth_tchebycheff import SmoothTchebycheff
from pcgrad.weightings.from_losses.uncertainty import UncertaintyWeights

__all__ = [
    "FAMO",
    "DynamicWeightAverage",
    "GeometricMean",
    "LogLosses",
    "RandomWeights",
    "SmoothTchebycheff",
    "UncertaintyWeights",
]
