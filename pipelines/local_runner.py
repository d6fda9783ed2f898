"""Runs the whole pipeline on this machine: `python pipelines/local_runner.py`."""

from pcgrad_pipelines.script import run_script

if __name__ == "__main__":
    run_script("pcgrad_pipelines.local.runner")
