"""All methods by name, as configurations call them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pcgrad.surgery import PCGrad, PPCGrad
from pcgrad.weightings import (
    FAMO,
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualBalancing,
    DualProj,
    DynamicWeightAverage,
    FairGrad,
    GeometricMean,
    GradNorm,
    GradVac,
    LogLosses,
    NashMTL,
    Normalized,
    PrimaryTask,
    RandomWeights,
    SmoothTchebycheff,
    UncertaintyWeights,
    UPGrad,
)
from pcgrad.weightings.weighting import Weighting

METHODS: Mapping[str, Callable[..., Weighting]] = {
    "pcgrad": PCGrad,
    "ppcgrad": PPCGrad,
    "mgda": MGDA,
    "upgrad": UPGrad,
    "dual_proj": DualProj,
    "cagrad": CAGrad,
    "imtl_g": IMTLG,
    "nash_mtl": NashMTL,
    "fairgrad": FairGrad,
    "aligned_mtl": AlignedMTL,
    "config": ConFIG,
    "gradvac": GradVac,
    "normalized": Normalized,
    "primary_task": PrimaryTask,
    "random": RandomWeights,
    "uncertainty": UncertaintyWeights,
    "dwa": DynamicWeightAverage,
    "geometric_mean": GeometricMean,
    "log_losses": LogLosses,
    "smooth_tchebycheff": SmoothTchebycheff,
    "famo": FAMO,
    "gradnorm": GradNorm,
    "dual_balancing": DualBalancing,
}


def make_weighting(method: str, **arguments: Any) -> Weighting:
    """Makes a weighting by the name of its method.

    Args:
        method: A key of `METHODS`.
        **arguments: Of the method's class.

    Returns:
        An instance of its own: a state is not shared.

    Raises:
        ValueError: There is no such method, or it has no such argument; or an argument's value is
            wrong.

    Example:
        >>> make_weighting("smooth_tchebycheff", mu=0.5)
        SmoothTchebycheff(mu=0.5, preference=None, ideal=None)
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; {_nearest(method, METHODS)}")
    known = inspect.signature(METHODS[method]).parameters
    for name in arguments:
        if name not in known:
            raise ValueError(
                f"the method {method!r} has no argument {name!r}; {_nearest(name, known)}"
            )
    return METHODS[method](**arguments)


def _nearest(given: str, names: Mapping[str, Any]) -> str:
    if not names:
        return "it has none"
    near = difflib.get_close_matches(str(given), list(names), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
