"""Training settings that can change from run to run; see `component.TrainingParameters`."""

from pcgrad_tfx.kubeflow.training_parameters.component import TrainingParameters

__all__ = ["TrainingParameters"]
