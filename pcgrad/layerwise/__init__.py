"""Exact Gram matrices of task gradients without T full backward passes."""

from pcgrad.layerwise.backward import layerwise_backward
from pcgrad.layerwise.gradients import LayerwiseGradients, layerwise_gradients

__all__ = ["LayerwiseGradients", "layerwise_backward", "layerwise_gradients"]
