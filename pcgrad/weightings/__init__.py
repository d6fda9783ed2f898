"""Weightings: from the Gram matrix of the task gradients, or the losses, to the tasks' weights."""

from pcgrad.weightings.projection import projection_orders
from pcgrad.weightings.weighting import Weighting, equal_weights

__all__ = [
    "Weighting",
    "equal_weights",
    "projection_orders",
]
