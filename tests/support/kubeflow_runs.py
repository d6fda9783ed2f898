"""A small pipeline, compiled for Kubeflow."""

import random
from pathlib import Path
from typing import Any

import yaml

from pcgrad_pipelines.kubeflow.runner import DONE, main

SUFFIX = {"kfp": "yaml", "vertex": "json"}
# The components of the taxi pipeline.
COMMON = {
    "CsvExampleGen", "StatisticsGen", "CuratedSchema", "ExampleValidator", "ValidationGate",
    "Transform", "TrainingParameters", "Trainer", "Reference", "ConflictReport", "Evaluator",
    "Pusher",
}  # fmt: skip
BASELINE = {
    "kfp": {"LastPushedModel"},
    "vertex": {"LatestBlessedModel-model-resolver", "LatestBlessedModel-model-blessing-resolver"},
}
CONFIG = """\
name = "houses"

[data]
path = "houses.csv"

[[tasks]]
name = "price"
kind = "regression"
column = "price"
gate = { min_gain = 0.05, max_drop = 1.0 }

[[tasks]]
name = "expensive"
kind = "binary"
column = "price"
above = 100.0

[features]
numeric = ["area"]
categorical = ["district"]

[training]
batch_size = 32
learning_rate = 0.02
learning_rate_schedule = "constant"
hidden_units = [8]
embedding_dim = 2
"""


def write_houses(folder: Path, rows: int = 600) -> Path:
    """Writes the data and the configuration, and returns the path of the latter."""
    choose = random.Random(0)
    lines = ["area,district,price"]
    for _ in range(rows):
        area, district = choose.uniform(20, 200), choose.choice(["north", "south", "east"])
        price = area * (1.5 if district == "south" else 1.0) + choose.gauss(0, 10)
        lines.append(f"{area:.1f},{district},{price:.1f}")
    (folder / "houses.csv").write_text("\n".join(lines) + "\n")
    config = folder / "houses.toml"
    config.write_text(CONFIG)
    return config


def compile_for(target: str, output: Path, *arguments: str) -> Path:
    """Compiles for a target, by default the taxi pipeline, and returns the file."""
    places = {
        "kfp": ["--pipeline-root=minio://mlpipeline/v2", "--push-destination=gs://models/taxi"],
        "vertex": ["--pipeline-root=gs://bucket/pipelines"],
    }[target]
    common = ["--target", target, "--image=registry/tfx-pcgrad:1", f"--output={output}"]
    # The last one of an option counts.
    assert main([*common, *places, *arguments]) == DONE
    return output


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a compiled pipeline."""
    return list(yaml.safe_load_all(path.read_text()))


def spec(path: Path) -> dict[str, Any]:
    """Its specification."""
    first = documents(path)[0]
    return first.get("pipelineSpec", first)


def containers(path: Path) -> dict[str, Any]:
    """The containers of its components."""
    executors = spec(path)["deploymentSpec"]["executors"]
    return {
        name.removesuffix("_executor"): executor["container"]
        for name, executor in executors.items()
        if "container" in executor
    }
