"""The Trainer of this package in a TFX pipeline of your own: stock components around it."""

import importlib.resources
import pathlib
import sys

from tfx import v1 as tfx

from pcgrad_tfx.features import Features
from pcgrad_tfx.tasks import Task

TASKS = [
    Task(name="big_tip", kind="binary", column="tips", divide_by="fare", above=0.2),
    Task(name="fare", kind="regression", column="fare", valid_above=0),
]
FEATURES = Features(
    numeric=("pickup_latitude", "pickup_longitude"),
    categorical=("company",),
    bucketized={"trip_start_hour": 6},
)
SETTINGS = {
    "tasks": [task.model_dump(mode="json") for task in TASKS],
    "features": FEATURES.model_dump(mode="json"),
}


def create_pipeline(folder: pathlib.Path) -> tfx.dsl.Pipeline:
    """Examples, statistics and schema as everywhere; Transform and Trainer with our functions."""
    # The Chicago taxi trips that TFX ships.
    data = importlib.resources.files("tfx.components") / "testdata" / "external" / "csv"
    examples = tfx.components.CsvExampleGen(input_base=str(data))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=False
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="pcgrad_tfx.preprocessing.preprocessing_fn",
        custom_config=SETTINGS,
    )
    trainer = tfx.components.Trainer(
        run_fn="pcgrad_tfx.trainer.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=100),
        eval_args=tfx.proto.EvalArgs(),
        custom_config={**SETTINGS, "surgery": "pcgrad", "learning_rate": 1e-3},
    )
    database = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(folder / "metadata.sqlite")
    )
    return tfx.dsl.Pipeline(
        pipeline_name="own_pipeline",
        pipeline_root=str(folder / "artifacts"),
        components=[examples, statistics, schema, transform, trainer],
        metadata_connection_config=database,
    )


if __name__ == "__main__":
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "example").resolve()
    tfx.orchestration.LocalDagRunner().run(create_pipeline(output))
    print(f"Model: {next((output / 'artifacts' / 'Trainer' / 'model').iterdir())}")
