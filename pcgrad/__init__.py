"""Gradient surgery for multi-task learning in TensorFlow: PCGrad and PPCGrad."""

from pcgrad.gradient_probe import GradientProbe
from pcgrad.gramian import cosines, gram_matrix
from pcgrad.probe_statistics import Probe
from pcgrad.probe_summary import summarize_probes
from pcgrad.surgery import PCGrad, PPCGrad, weighted_backward
from pcgrad.task_gradients import TaskGradients, combine, task_gradients
from pcgrad.weightings import (
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
    Weighting,
    equal_weights,
    projection_orders,
)

__all__ = [
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GradVac",
    "GradientProbe",
    "NashMTL",
    "Normalized",
    "PCGrad",
    "PPCGrad",
    "PrimaryTask",
    "Probe",
    "TaskGradients",
    "UPGrad",
    "Weighting",
    "combine",
    "cosines",
    "equal_weights",
    "gram_matrix",
    "projection_orders",
    "summarize_probes",
    "task_gradients",
    "weighted_backward",
]
