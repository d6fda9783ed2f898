"""Methods that make the weights of the Gram matrix."""

from pcgrad.weightings.from_gramian.normalized import Normalized

__all__ = ["Normalized"]
