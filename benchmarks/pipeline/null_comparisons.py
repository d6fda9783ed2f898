"""How often a comparison of equals claims a difference.

`python benchmarks/pipeline/null_comparisons.py`

The local runner prepares small data of two tasks; then the Comparison component runs on them again
and again, with its search, but whatever method it asks for, it gets equal weights with a seed of
their own. So no method can be better, and each claim is a false one; 5% of the comparisons may make
one.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact, standard_artifacts

from benchmarks.data.known_truth import TASKS, known_truth
from pcgrad_pipelines.config import PipelineConfig, load_config
from pcgrad_pipelines.local.run_summary import NodeRun, read_last_run
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.executor import Executor
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Run, read_comparison
from pcgrad_tfx.comparison.settings import ComparedMethod, ComparisonSettings
from pcgrad_tfx.comparison.statistics import Finding, compare_methods
from pcgrad_tfx.comparison.trainings import Job, Trainings

_REPOSITORY = pathlib.Path(__file__).parents[2]
_CONFIG = f"""
name = "equals"
[data]
path = "equals.csv"
{TASKS}
[features]
numeric = ["x1", "x2", "x3", "x4", "x5", "x6"]
categorical = []
[training]
epochs = 3
batch_size = 32
learning_rate = 0.01
hidden_units = [8]
"""
# What is asked for, and never trained.
_METHODS = (EQUAL_WEIGHTS, "PCGrad", "PPCGrad")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--rows", type=int, default=600, help="of the data (default: 600)")
    parser.add_argument("--search", type=int, default=4, help="settings tried (default: 4)")
    args = parser.parse_args()
    claiming = 0
    with tempfile.TemporaryDirectory() as folder:
        found = false_claims(pathlib.Path(folder), args.comparisons, args.rows, args.search)
        for number, claims in enumerate(found, 1):
            claiming += bool(claims)
            print(f"{claiming} of {number} comparisons claim a difference", flush=True)
            for claim in claims:
                print(f"  {claim}")


def false_claims(
    folder: pathlib.Path, comparisons: int, rows: int, search: int
) -> Iterator[list[Finding]]:
    """Compares equals.

    Args:
        folder: For all that is made.
        comparisons: How often.
        rows: Of the data.
        search: Settings that are tried for each method.

    Yields:
        What each comparison claims about a task, or about all together.
    """
    known_truth("aligned", rows).to_csv(folder / "equals.csv", index=False)
    path = folder / "equals.toml"
    path.write_text(_CONFIG)
    config = load_config(path)
    inputs = _prepared(folder, config)
    settings = ComparisonSettings(
        methods=tuple(ComparedMethod(surgery=name) for name in ("pcgrad", "ppcgrad")),
        search=search,
        static_weights=(),
        single_task=False,
        reference=False,
        # What is trained is replaced, in this process.
        jobs=1,
    )
    custom_config = {
        **config.training.model_dump(mode="json", exclude_none=True),
        "tasks": [task.model_dump(mode="json", exclude={"gate"}) for task in config.tasks],
        "features": config.features.model_dump(mode="json", exclude={"exclude"}),
        "comparison": settings.model_dump(mode="json", exclude_none=True),
    }
    properties = {"custom_config": json.dumps(custom_config)}
    for number in range(comparisons):
        output = ComparisonResults()
        output.uri = str(folder / str(number))
        pathlib.Path(output.uri).mkdir()
        with _equals(number):
            Executor().Do(inputs, {"comparison": [output]}, properties)
        found = compare_methods(read_comparison(output.uri))
        yield [finding for finding in found if finding.is_significant]


def _prepared(folder: pathlib.Path, config: PipelineConfig) -> dict[str, list[artifact.Artifact]]:
    """The inputs of a Comparison, from a run of the pipeline."""
    output = folder / "output"
    runner = _REPOSITORY / "pipelines" / "local_runner.py"
    command = [sys.executable, runner, "--config", folder / "equals.toml", "--output", output]
    subprocess.run(list(map(str, command)), check=True)
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(output / "metadata.sqlite")
    nodes = read_last_run(connection, config.name)
    return {
        "examples": _input(standard_artifacts.Examples, nodes["CsvExampleGen"], "examples"),
        "transformed_examples": _input(
            standard_artifacts.Examples, nodes["Transform"], "transformed_examples"
        ),
        "transform_graph": _input(
            standard_artifacts.TransformGraph, nodes["Transform"], "transform_graph"
        ),
    }


def _input(kind: type[artifact.Artifact], node: NodeRun, name: str) -> list[artifact.Artifact]:
    made = kind()
    made.set_mlmd_artifact(node.outputs[name])
    return [made]


@contextlib.contextmanager
def _equals(number: int) -> Iterator[None]:
    """Whatever is to be trained becomes equal weights, with seeds that no other training has."""
    train = Trainings.run

    def run(self: Trainings, job: Job) -> Run:
        method = job.candidate.method
        equal = job.candidate.model_copy(update={"method": EQUAL_WEIGHTS, "surgery": "none"})
        # Seeds of the search are far from the others.
        own_seed = 1000 * number + 100 * _METHODS.index(method) + job.seed
        found = train(self, dataclasses.replace(job, candidate=equal, seed=own_seed))
        return found.model_copy(update={"method": method, "seed": job.seed})

    with (
        mock.patch.object(Trainings, "run", run),
        mock.patch.object(Trainings, "step_times", return_value=[]),
    ):
        yield


if __name__ == "__main__":
    main()
