"""Runs TFX's executors as open-source Kubeflow Pipelines starts them; see `entrypoint`."""
