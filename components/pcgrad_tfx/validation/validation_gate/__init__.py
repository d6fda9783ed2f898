"""Stops a pipeline on anomalies in the data; see `component.ValidationGate`."""

from pcgrad_tfx.validation.validation_gate.component import ValidationGate

__all__ = ["ValidationGate"]
