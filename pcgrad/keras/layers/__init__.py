"""Layers for multi-task models of one's own: experts shared between tasks, marked features."""

from pcgrad.keras.layers.cgc import CGC
from pcgrad.keras.layers.mmoe import MMoE
from pcgrad.keras.layers.shared_features import SharedFeatures

__all__ = ["CGC", "MMoE", "SharedFeatures"]
