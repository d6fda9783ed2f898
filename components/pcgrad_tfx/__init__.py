"""PCGrad in TensorFlow Extended: the components of a multi-task pipeline."""
