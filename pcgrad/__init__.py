"""Gradient surgery for multi-task learning in TensorFlow: PCGrad, PPCGrad and other methods."""

from pcgrad.gradient_probe import GradientProbe
from pcgrad.gramian import cosines, gram_matrix
from pcgrad.methods import make_weighting
from pcgrad.probe_statistics import Probe
from pcgrad.probe_summary import summarize_probes
from pcgrad.surgery import PCGrad, PPCGrad, weighted_backward
from pcgrad.task_gradients import TaskGradients, combine, task_gradients
from pcgrad.weightings import (
    FAMO,
    DualBalancing,
    DynamicWeightAverage,
    GeometricMean,
    GradNorm,
    GramWeighting,
    LogLosses,
    LossWeighting,
    Normalized,
    RandomWeights,
    SmoothTchebycheff,
    StatefulWeighting,
    UncertaintyWeights,
    Weighting,
    equal_weights,
    projection_orders,
)

__all__ = [
    "FAMO",
    "DualBalancing",
    "DynamicWeightAverage",
    "GeometricMean",
    "GradNorm",
    "GradientProbe",
    "GramWeighting",
    "LogLosses",
    "LossWeighting",
    "Normalized",
    "PCGrad",
    "PPCGrad",
    "Probe",
    "RandomWeights",
    "SmoothTchebycheff",
    "StatefulWeighting",
    "TaskGradients",
    "UncertaintyWeights",
    "Weighting",
    "combine",
    "cosines",
    "equal_weights",
    "gram_matrix",
    "make_weighting",
    "projection_orders",
    "summarize_probes",
    "task_gradients",
    "weighted_backward",
]
