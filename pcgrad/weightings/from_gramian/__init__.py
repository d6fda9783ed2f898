"""Methods that make the weights of the Gram matrix."""

from pcgrad.weightings.from_gramian.aligned_mtl import AlignedMTL
from pcgrad.weightings.from_gramian.cagrad import CAGrad
from pcgrad.weightings.from_gramian.con_fig import ConFIG
from pcgrad.weightings.from_gramian.dual_proj import DualProj
from pcgrad.weightings.from_gramian.fair_grad import FairGrad
from pcgrad.weightings.from_gramian.grad_vac import GradVac
from pcgrad.weightings.from_gramian.imtl_g import IMTLG
from pcgrad.weightings.from_gramian.mgda import MGDA
from pcgrad.weightings.from_gramian.nash_mtl import NashMTL
from pcgrad.weightings.from_gramian.normalized import Normalized
from pcgrad.weightings.from_gramian.primary_task import PrimaryTask
from pcgrad.weightings.from_gramian.upgrad import UPGrad

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
]
