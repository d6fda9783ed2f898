"""The compiler for Kubeflow Pipelines and Vertex AI."""
