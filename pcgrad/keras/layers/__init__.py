"""Layers that share experts between tasks, for models of one's own."""

from pcgrad.keras.layers.cgc import CGC
from pcgrad.keras.layers.mmoe import MMoE

__all__ = ["CGC", "MMoE"]
