"""The pipelines: configuration, DAG and runners."""
