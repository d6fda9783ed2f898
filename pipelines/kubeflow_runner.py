"""Compiles the pipeline for Kubeflow: `python pipelines/kubeflow_runner.py --target kfp …`."""

from pcgrad_pipelines.script import run_script

if __name__ == "__main__":
    run_script("pcgrad_pipelines.kubeflow.runner")
