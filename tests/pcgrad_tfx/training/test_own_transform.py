"""After a Transform of the user's own, whose features may be made of a label's column."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from pcgrad_tfx.config.tasks import Task
from transformed import TransformedData, write_transformed
from trips import trainer_config

SPEC = {
    "miles": tf.io.FixedLenFeature([], tf.float32),
    "fare": tf.io.FixedLenFeature([], tf.float32),
    "tips": tf.io.FixedLenFeature([], tf.float32),
    "total": tf.io.FixedLenFeature([], tf.float32),
}
ROWS = [
    {"miles": [i / 4], "fare": [10.0 + i], "tips": [float(i % 3)], "total": [12.0 + i]}
    for i in range(40)
]
TASKS = [
    Task(name="tip", kind="binary", column="tips", divide_by="fare", above=0.1, label_key="tip"),
    Task(name="total", kind="regression", column="total", label_key="total"),
]

WEIGHTED = {"weight": "miles"}


def labels(inputs):
    tip = tf.cast(inputs["tips"] > 0.1 * inputs["fare"], tf.float32)
    return {"tip": tip, "total": inputs["total"]}


def fare_is_a_feature_too(inputs):
    return labels(inputs) | {
        "miles_xf": tft.scale_to_z_score(inputs["miles"]),
        "fare_xf": tft.scale_to_z_score(inputs["fare"]),
    }


def all_features_are_of_labels(inputs):
    return labels(inputs) | {"per_mile": inputs["fare"] + inputs["tips"]}


def a_weight_is_a_feature_too(inputs):
    return (
        labels(inputs)
        | {TASKS[0].model_copy(update=WEIGHTED).weight_key: inputs["miles"]}
        | {"miles_xf": tft.scale_to_z_score(inputs["miles"])}
    )


def a_label_of_a_vocabulary(inputs):
    ids = tft.compute_and_apply_vocabulary(tf.strings.as_string(inputs["tips"], precision=0))
    return labels(inputs) | {
        "tip": tf.cast(tf.equal(ids, 0), tf.float32),
        "tips_id": tft.scale_to_z_score(tf.cast(ids, tf.float32)),
        "fare_xf": tf.cast(tft.bucketize(inputs["fare"], 4, epsilon=0.01), tf.float32),
    }


def no_feature_is_of_a_label(inputs):
    return labels(inputs) | {"miles_xf": tft.scale_to_z_score(inputs["miles"])}


@pytest.mark.parametrize(
    ("preprocessing", "asked", "remarks"),
    [
        (no_feature_is_of_a_label, {"miles"}, []),
        (
            a_label_of_a_vocabulary,
            {"miles", "fare", "tips"},
            [
                "The features 'fare_xf' are made of column 'fare', which a task has for",
                "The features 'tips_id' are made of column 'tips', which a task has for",
            ],
        ),
        (
            fare_is_a_feature_too,
            {"miles", "fare"},
            ["The features 'fare_xf' are made of column 'fare', which a task has for"],
        ),
        (
            all_features_are_of_labels,
            {"miles", "fare", "tips"},
            [
                "The features 'per_mile' are made of column 'fare', which a task has for",
                "The features 'per_mile' are made of column 'tips', which a task has for",
            ],
        ),
    ],
)
def test_what_a_request_must_have_is_said_before_training(
    tmp_path, capsys, preprocessing, asked, remarks
):
    check_requests(tmp_path, capsys, preprocessing, TASKS, asked, remarks)


def test_a_weight_may_be_a_feature_too(tmp_path, capsys):
    tasks = [TASKS[0].model_copy(update=WEIGHTED), TASKS[1]]
    remark = "The features 'miles_xf' are made of column 'miles', which a task has for"
    check_requests(tmp_path, capsys, a_weight_is_a_feature_too, tasks, {"miles"}, [remark])


def check_requests(tmp_path, capsys, preprocessing, tasks, asked, remarks):
    rows = [{name: values[0] for name, values in row.items()} for row in ROWS]
    write_transformed(tmp_path, preprocessing, SPEC, {"train": rows, "eval": rows[:8]})
    data = TransformedData(tmp_path)
    config = trainer_config(
        tasks=[task.model_dump(mode="json") for task in tasks],
        features=None,
        embedding_sizes={},
    )
    run = data.train(tmp_path / "run", config, train_steps=2)
    said = capsys.readouterr().out.splitlines()
    found = [line for line in said if line.startswith("The features ")]
    assert len(found) == len(remarks)
    for line, remark in zip(found, remarks, strict=True):
        assert line.startswith(remark)
    # The model's own answers to all rows, with no more columns than those.
    (features, *_), *_ = data.input_data(tasks, 40).batches(data.files("train"))
    wanted = run.model(features, training=False)
    requests = [{name: row[name] for name in asked} for row in ROWS]
    for name, value in run.serve(requests).items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-4, atol=1e-5)
