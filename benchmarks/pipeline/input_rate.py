"""Whether reading the examples holds up training: rows per second, of the flights, by `fit`.

On one core, so that nothing is hidden behind the training step. In turn: the step alone, on a batch
in memory; with our reader; with the dataset that TFX's Trainer offers.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import rich.box
import rich.console
import rich.table
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.util import examples_utils, tfxio_utils
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts
from tfx_bsl.public import tfxio

from benchmarks.data.flights import ALL_ROWS, write_flights
from benchmarks.measuring import interleaved_seconds, median_ratio
from benchmarks.one_core import use_one_core
from pcgrad_tfx.config.training_config import trainer_config
from pcgrad_tfx.training.building import build, compile_model
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.training.label_statistics import label_statistics

_ROOT = pathlib.Path(__file__).parents[2]
_RESULTS = pathlib.Path(__file__).parents[1] / "results"
_STEPS = 100
_ALONE = "step alone"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ALL_ROWS, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=20, help="at least (default: %(default)s)")
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = _run_pipeline(pathlib.Path(folder), args.rows)
        use_one_core()
        measured = _measure(made, args.rounds)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("", "rows per CPU second", "÷ step alone"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in measured:
        table.add_row(row["way"], f"{row['rows_per_second']:,.0f}", f"{row['ratio']:.2f}")
    rich.console.Console().print(table)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "input_rate.json").write_text(json.dumps(measured, indent=1) + "\n")


def _run_pipeline(folder: pathlib.Path, rows: int) -> pathlib.Path:
    """Runs everything up to the Trainer, and what follows it. Returns the artifacts' folder."""
    config, output = write_flights(folder, rows), folder / "output"
    command = [sys.executable, str(_ROOT / "pipelines" / "local_runner.py")]
    options = ["--config", str(config), "--output", str(output), "--epochs", "1"]
    subprocess.run([*command, *options], stdout=sys.stderr, check=False)
    return output / "artifacts"


def _measure(artifacts: pathlib.Path, rounds: int) -> list[dict[str, Any]]:
    (record,) = artifacts.glob("Trainer/model_run/*/training.json")
    config = trainer_config(_settings(record))
    (graph,) = artifacts.glob("Transform/transform_graph/*")
    tft_output = tft.TFTransformOutput(str(graph))
    (examples,) = artifacts.glob("Transform/transformed_examples/*")
    files = [str(examples / "Split-train" / "*")]
    data = InputData(tft_output, config.tasks, config.batch_size)
    label_scales = label_statistics(data.batches(files), config.tasks).labels

    def trained(batches: tf.data.Dataset) -> Callable[[], object]:
        """Some steps of `fit`, which go on where the last ones ended."""
        model = build(config, data.feature_spec, tft_output, label_scales)
        compile_model(model, config, config.tasks, label_scales)
        model.make_train_function()
        rest = iter(batches)

        def steps() -> None:
            for _ in range(_STEPS):
                tf.nest.map_structure(lambda value: value.numpy(), model.train_function(rest))

        return steps

    ours = data.epochs(files, 0, 0, 1000)
    batch = next(iter(ours))
    ways = {
        _ALONE: tf.data.Dataset.from_tensors(batch).cache().repeat(),
        "our reader": ours,
        "TFX's dataset": _of_tfx(files, tft_output, config.batch_size).map(data.split),
    }
    seconds = interleaved_seconds(
        {way: trained(batches) for way, batches in ways.items()}, rounds, 60
    )
    rows = _STEPS * config.batch_size
    return [
        {
            "way": way,
            "rows_per_second": rows / statistics.median(times),
            "ratio": median_ratio(seconds[_ALONE], times),
        }
        for way, times in seconds.items()
    ]


def _settings(record: pathlib.Path) -> dict[str, Any]:
    settings = json.loads(record.read_text())["settings"]
    return {key: value for key, value in settings.items() if value is not None}


def _of_tfx(files: list[str], tft_output: tft.TFTransformOutput, batch: int) -> tf.data.Dataset:
    """As a `run_fn` reads that follows TFX's examples."""
    examples = standard_artifacts.Examples()
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    read = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ["InputRate"])
    options = tfxio.TensorFlowDatasetOptions(batch_size=batch, shuffle_buffer_size=20_000)
    return read(files, options, tft_output.transformed_metadata.schema)


if __name__ == "__main__":
    main()
