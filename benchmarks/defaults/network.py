"""Trains the network on the rows in a folder; `network_process` starts it.

It imports nothing of `benchmarks`, so that the packages may be those of another checkout. What a
pipeline would do is done here without one: the proposal of `tfx-pcgrad init`, Transform's
`preprocessing_fn`, the Trainer's `run_fn`, and the saved model's answers to raw rows.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.public.tfxio import TFExampleBeamRecord

from pcgrad_tfx.code_version import code_version
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.inspection.proposal import propose
from pcgrad_tfx.preprocessing import preprocessing_fn
from pcgrad_tfx.trainer import run_fn

_SPLITS = ("train", "eval", "test")
_ROWS_AT_ONCE = 5000


def main() -> None:
    """Trains, and writes answer.json and predictions.npz beside the rows."""
    folder = pathlib.Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    table = pd.concat({name: pd.read_parquet(folder / f"{name}.parquet") for name in _SPLITS})
    # Whole numbers as such, also where some are missing.
    table = table.convert_dtypes(
        convert_string=False, convert_boolean=False, convert_floating=False
    )
    proposal = _proposal(table, request["labels"], pathlib.Path(request["cache"]))
    for column in table.select_dtypes(exclude="number"):
        table[column] = table[column].mask(table[column].isin(proposal["missing"]))
    data = pathlib.Path(request["cache"]) / f"transformed-{_key(proposal)}"
    if not data.exists():
        _transform(table, proposal, data)
    training = {**(proposal["training"] if request["proposed"] else {}), **request["training"]}
    with tempfile.TemporaryDirectory() as temporary:
        model = pathlib.Path(temporary) / "model"
        started, cpu = time.monotonic(), time.process_time()
        run_fn(
            FnArgs(
                train_files=[str(data / "train-*")],
                eval_files=[str(data / "eval-*")],
                transform_graph_path=str(data / "graph"),
                serving_model_dir=str(model),
                model_run_dir=str(pathlib.Path(temporary) / "run"),
                custom_config={
                    "seed": request["seed"],
                    **training,
                    "tasks": proposal["tasks"],
                    "features": proposal["features"],
                },
            )
        )
        answer: dict[str, Any] = {
            "seconds": time.monotonic() - started,
            "cpu_seconds": time.process_time() - cpu,
            "training": training,
        }
        outputs = _predict(table.loc["test"], model)
    tasks = {task["column"]: Task.model_validate(task) for task in proposal["tasks"]}
    answer["classes"] = {label: list(task.classes or ()) for label, task in tasks.items()}
    values = {label: outputs[task.name] for label, task in tasks.items()}
    np.savez(
        folder / "predictions.npz",
        **{name: v if tasks[name].classes else v.reshape(-1) for name, v in values.items()},
    )
    (folder / "answer.json").write_text(json.dumps(answer))


def _proposal(table: pd.DataFrame, labels: list[str], cache: pathlib.Path) -> dict[str, Any]:
    """What `tfx-pcgrad init` finds in the table's CSV files."""
    file = cache / f"proposal-{code_version('pcgrad_tfx.inspection.proposal')}.json"
    if not file.exists():
        with tempfile.TemporaryDirectory() as temporary:
            for name in _SPLITS:
                path = pathlib.Path(temporary) / name / "rows.csv"
                path.parent.mkdir()
                table.loc[name].to_csv(path, index=False)
            found = propose(temporary, labels)
        cache.mkdir(parents=True, exist_ok=True)
        written = {
            "missing": list(found.missing),
            "tasks": [task.model_dump(mode="json") for task in found.tasks],
            "features": found.features.model_dump(mode="json", exclude={"exclude"}),
            "training": found.training.model_dump(mode="json", exclude_unset=True),
        }
        file.write_text(json.dumps(written, indent=1))
    return dict(json.loads(file.read_text()))


def _key(proposal: dict[str, Any]) -> str:
    """Changes with whatever the transformed rows depend on."""
    code = code_version("pcgrad_tfx.transform.preprocessing")
    made_of = [code, proposal["missing"], proposal["tasks"], proposal["features"]]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def _transform(table: pd.DataFrame, proposal: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes Transform's graph, and the transformed rows of train and eval."""
    spec = {name: tf.io.VarLenFeature(_dtype(column)) for name, column in table.items()}
    raw = TFExampleBeamRecord("", schema=schema_utils.schema_from_feature_spec(spec))
    function = functools.partial(preprocessing_fn, custom_config=proposal)
    # Complete, or not there.
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = pathlib.Path(temporary) / "made"
        context = tft_beam.Context(temp_dir=str(pathlib.Path(temporary) / "tmp"))
        with context, beam.Pipeline(FnApiRunner()) as pipeline:
            batches = {
                name: pipeline
                | f"examples {name}" >> beam.Create(list(_examples(table.loc[name])))
                | f"batches {name}" >> raw.BeamSource()
                for name in ("train", "eval")
            }
            config = raw.TensorAdapterConfig()
            graph = (batches["train"], config) | tft_beam.AnalyzeDataset(function)
            _ = graph | tft_beam.WriteTransformFn(str(made / "graph"))
            metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
            metadata_dir = str(made / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR)
            _ = metadata | tft_beam.WriteMetadata(metadata_dir, pipeline)
            encoder = RecordBatchToExamplesEncoder()
            for name, of_split in batches.items():
                transformed, _ = ((of_split, config), graph) | f"transform {name}" >> (
                    tft_beam.TransformDataset(output_record_batches=True)
                )
                _ = (
                    transformed
                    | f"encode {name}" >> beam.FlatMapTuple(lambda batch, _: encoder.encode(batch))
                    | f"write {name}"
                    >> beam.io.WriteToTFRecord(str(made / name), file_name_suffix=".gz")
                )
        made.rename(folder)


def _examples(rows: pd.DataFrame) -> Iterator[bytes]:
    """Serialized tf.Examples; a value that is missing is not there."""
    encoder = RecordBatchToExamplesEncoder()
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        batch = rows.iloc[first : first + _ROWS_AT_ONCE]
        columns = {name: _lists(column) for name, column in batch.items()}
        yield from encoder.encode(pa.RecordBatch.from_pydict(columns))


def _lists(column: pd.Series) -> pa.Array:
    """One value or none for each row."""
    types = {tf.int64: pa.int64(), tf.float32: pa.float32(), tf.string: pa.binary()}
    known = column.notna().to_numpy()
    values = pa.array(column[known].tolist(), type=types[_dtype(column)])
    return pa.LargeListArray.from_arrays(np.append(0, np.cumsum(known)), values)


def _dtype(column: pd.Series) -> tf.DType:
    if not pd.api.types.is_numeric_dtype(column):
        return tf.string
    return tf.int64 if pd.api.types.is_integer_dtype(column) else tf.float32


def _predict(rows: pd.DataFrame, model: pathlib.Path) -> dict[str, npt.NDArray[Any]]:
    """The saved model's answers to rows without labels, by task."""
    serve = tf.saved_model.load(str(model)).signatures["serving_default"]
    examples = list(_examples(rows))
    answers = [
        serve(examples=tf.constant(examples[first : first + _ROWS_AT_ONCE]))
        for first in range(0, len(examples), _ROWS_AT_ONCE)
    ]
    return {name: np.concatenate([each[name].numpy() for each in answers]) for name in answers[0]}


if __name__ == "__main__":
    main()
