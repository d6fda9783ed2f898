"""Gradient surgery for multi-task learning in TensorFlow: PCGrad and PPCGrad."""

from pcgrad.gramian import cosines, gram_matrix
from pcgrad.surgery import PCGrad, PPCGrad, weighted_backward
from pcgrad.task_gradients import TaskGradients, combine, task_gradients
from pcgrad.weightings import Weighting, equal_weights, projection_orders

__all__ = [
    "PCGrad",
    "PPCGrad",
    "TaskGradients",
    "Weighting",
    "combine",
    "cosines",
    "equal_weights",
    "gram_matrix",
    "projection_orders",
    "task_gradients",
    "weighted_backward",
]
