"""The saved model answers as the trained one does."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.features import transformed_name
from pcgrad_tfx.training.model import outputs_by_task
from pcgrad_tfx.training.serving import ServedModel, load_weights
from transform_runs import to_example
from trips import FEATURES, LABEL_COLUMNS, ROWS, TASKS, dropout_model, raw_row


def without_labels(row):
    return {name: value for name, value in row.items() if name not in LABEL_COLUMNS}


def assert_same(found, wanted, rows=slice(None)):
    assert set(found) == set(wanted)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name][rows], rtol=1e-5, atol=1e-6)


def test_signatures(trained):
    signatures = trained.saved.signatures
    assert set(signatures) == {"serving_default", "transform_features"}
    outputs = signatures["serving_default"].structured_outputs
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "big_tip": (None, 1),
        "price": (None, 1),
        "payment": (None, 3),
    }


@pytest.mark.parametrize("split", ROWS)
def test_an_answer_to_a_raw_row_is_the_trained_models_to_its_transformed_row(
    trained, transformed_data, split
):
    """The rows of both splits lack each of the features now and then."""
    features, _ = transformed_data.rows(split)
    outputs = trained.model(features, training=False)
    wanted = {name: value.numpy() for name, value in outputs.items()}
    assert_same(trained.serve([without_labels(row) for row in ROWS[split]]), wanted)


def answer_as_tensorflow_serving(folder, request):
    """In a session of the graph, with what the signature says of tensors' names and dtypes."""
    response = predict_pb2.PredictResponse()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = graph.signature_def[request.model_spec.signature_name or "serving_default"]
        assert request.inputs.keys() == signature.inputs.keys()
        fed = {}
        for name, tensor in request.inputs.items():
            assert tensor.dtype == signature.inputs[name].dtype
            fed[signature.inputs[name].name] = tf.make_ndarray(tensor)
        fetched = {name: tensor.name for name, tensor in signature.outputs.items()}
        for name, value in session.run(fetched, fed).items():
            assert value.dtype == tf.as_dtype(signature.outputs[name].dtype)
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return predict_pb2.PredictResponse.FromString(response.SerializeToString())


def test_a_request_to_tensorflow_serving(trained):
    rows = [without_labels(raw_row(i)) for i in range(5)]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "trips"
    request.inputs["examples"].CopyFrom(tf.make_tensor_proto([to_example(row) for row in rows]))
    received = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    response = answer_as_tensorflow_serving(trained.model_dir, received)
    answers = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
    assert {name: value.dtype for name, value in answers.items()} == dict.fromkeys(
        ("big_tip", "price", "payment"), np.float32
    )
    assert_same(answers, trained.serve(rows))


def test_labels_in_a_request_do_not_matter(trained):
    rows = [raw_row(i) for i in range(20)]
    others = [{**row, "tips": [1e6], "fare": [-5.0], "payment": ["Cash"]} for row in rows]
    wanted = trained.serve([without_labels(row) for row in rows])
    for name, value in trained.serve(rows).items():
        np.testing.assert_array_equal(value, wanted[name])
    for name, value in trained.serve(others).items():
        np.testing.assert_array_equal(value, wanted[name])


def test_an_empty_example_is_a_row_without_any_value(trained):
    empty = trained.serve([b""])
    known = [row["miles"][0] for row in ROWS["train"] if "miles" in row]
    hours = sorted(row["hour"][0] for row in ROWS["train"] if "hour" in row)
    # The mean, the median and, of texts, the empty one stand for a missing value.
    middle = {"miles": [sum(known) / len(known)], "hour": [hours[len(hours) // 2]]}
    assert_same(empty, trained.serve([{**middle, "company": [""]}]))
    assert all(np.isfinite(value).all() for value in empty.values())


def test_two_values_for_one_feature_are_named(trained):
    for name, values in {"miles": [1.0, 2.0], "company": ["a", "b"], "hour": [1, 2]}.items():
        message = f"column .*{name}.* has several values in one row; only one can be used"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            trained.serve([without_labels(raw_row(5)), {name: values}])


@pytest.mark.parametrize("miles", [3e38, -3e38, 1e30, float("inf"), float("nan")])
def test_answers_to_extreme_numbers_are_finite(trained, miles):
    answers = trained.serve([{**without_labels(raw_row(5)), "miles": [miles]}])
    assert all(np.isfinite(value).all() for value in answers.values())


@pytest.fixture
def with_dropout(transformed_data):
    """A model whose answers in training are others."""
    spec = transformed_data.input_data().feature_spec
    plain = dropout_model(spec, TASKS, {})
    return MultiTaskModel(plain.input, plain.output)


def answer(model, transformed_data):
    """To the eval rows, without saving the model."""
    spec = transformed_data.input_data().feature_spec
    served = ServedModel(model, transformed_data.output, spec, TASKS, FEATURES)
    examples = [to_example(without_labels(row)) for row in ROWS["eval"]]
    return served.signatures()["serving_default"](tf.constant(examples))


def test_answers_are_those_of_a_model_that_is_not_training(with_dropout, transformed_data):
    features, _ = transformed_data.rows("eval")
    wanted = outputs_by_task(with_dropout, with_dropout(features, training=False))
    assert_same(answer(with_dropout, transformed_data), wanted)


@pytest.mark.parametrize("bias", [np.inf, -np.inf])
def test_no_answer_is_infinite(with_dropout, transformed_data, bias):
    """As JSON has no such number."""
    with_dropout.get_layer("price").bias.assign([bias])
    found = answer(with_dropout, transformed_data)["price"]
    np.testing.assert_array_equal(found, np.full((40, 1), np.sign(bias) * np.finfo("f").max))


def test_a_batch_of_1000_is_answered_row_by_row(trained):
    rows = [without_labels(raw_row(i)) for i in range(1000)]
    batch = trained.serve(rows)
    assert batch["payment"].shape == (1000, 3)
    for i in (0, 1, 2, 500, 999):
        assert_same(trained.serve([rows[i]]), batch, slice(i, i + 1))


def test_no_row_is_answered_by_none(trained):
    function = trained.saved.signatures["serving_default"]
    assert function(examples=tf.constant([], tf.string))["payment"].shape == (0, 3)


def test_unseen_categories_have_one_answer_of_their_own(trained):
    row = without_labels(raw_row(5))
    companies = ["Blue", "Red", "Top", "", "Unseen", "Another"]
    prices = trained.serve([{**row, "company": [name]} for name in companies])["price"][:, 0]
    assert prices[4] == prices[5]
    assert len(set(prices)) == 5


def test_answers_are_in_the_labels_own_unit(trained):
    answers = trained.serve([without_labels(row) for row in ROWS["train"]])
    fares = [row["fare"][0] for row in ROWS["train"] if "fare" in row]
    distance = np.abs(answers["price"] - np.mean(fares))
    assert (distance < 5 * np.std(fares)).all()
    assert ((answers["big_tip"] > 0) & (answers["big_tip"] < 1)).all()
    np.testing.assert_allclose(answers["payment"].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("split", ROWS)
def test_transform_features_gives_what_the_trainer_saw(trained, transformed_data, split):
    found = trained.serve(ROWS[split], "transform_features")
    names = {transformed_name(column) for column in FEATURES.columns}
    assert set(found) == names | {key for task in TASKS for key in (task.label_key, task.mask_key)}
    features, labels = transformed_data.rows(split)
    for name, value in features.items():
        np.testing.assert_allclose(found[name].reshape(-1), value, rtol=1e-5, atol=1e-6)
    for task in TASKS:
        mask, label = found[task.mask_key].reshape(-1), found[task.label_key].reshape(-1)
        np.testing.assert_array_equal(np.where(mask > 0, label, np.nan), labels[task.name])


ELSEWHERE = """
import json, sys
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
examples = [bytes.fromhex(line) for line in sys.stdin.read().split(",")]
answers = serve(examples=tf.constant(examples))
ours = {name.split(".")[0] for name in sys.modules} & {"pcgrad", "pcgrad_tfx", "tfx"}
assert not ours, ours
print(json.dumps({name: value.numpy().tolist() for name, value in answers.items()}))
"""


@pytest.mark.slow
def test_a_process_that_has_only_tensorflow_gets_the_same_answers(trained):
    rows = [raw_row(5), {}, {"company": ["Unseen"]}, *(raw_row(i) for i in range(11))]
    examples = ",".join(to_example(without_labels(row)).hex() for row in rows)
    command = [sys.executable, "-c", ELSEWHERE, str(trained.model_dir)]
    found = subprocess.run(command, input=examples, capture_output=True, text=True, check=True)
    answers = json.loads(found.stdout.splitlines()[-1])
    assert_same(answers, trained.serve([without_labels(row) for row in rows]))


def clone(model):
    copy = keras.models.clone_model(model)
    assert not np.array_equal(copy.get_weights()[0], model.get_weights()[0])
    return copy


def test_load_weights(trained):
    model = clone(trained.model)
    load_weights(model, str(trained.model_dir))
    for one, other in zip(model.get_weights(), trained.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_another_number_are_refused(trained):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"does not fit the model to train: ") as error:
        load_weights(model, str(trained.model_dir))
    assert str(trained.model_dir) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_saved_model_of_someone_elses_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ValueError, match=rf"^base_model {tmp_path} holds no `model_weights`; "):
        load_weights(keras.Sequential(), str(tmp_path))
