"""Methods that make the weights of the Gram matrix and the losses."""

from pcgrad.weightings.from_both.dual_balancing import DualBalancing
from pcgrad.weightings.from_both.grad_norm import GradNorm

__all__ = ["DualBalancing", "GradNorm"]
