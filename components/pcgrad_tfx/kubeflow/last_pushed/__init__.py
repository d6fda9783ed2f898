"""Finds the baseline where there is no ML Metadata to ask; see `component.LastPushedModel`."""

from pcgrad_tfx.kubeflow.last_pushed.component import LastPushedModel
from pcgrad_tfx.kubeflow.last_pushed.executor import ABSENT_PROPERTY, is_absent

__all__ = ["ABSENT_PROPERTY", "LastPushedModel", "is_absent"]
