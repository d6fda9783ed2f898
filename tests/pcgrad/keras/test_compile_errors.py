"""Wrong arguments of `compile` and wrong data: refused by name, with the way out."""

import keras
import numpy as np
import pytest

from multitask_models import UNIT_ROWS, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

Y = labels(a=[1, 2], b=[3, 4])


@pytest.mark.parametrize("surgery", [1, {"reduction": "sum"}, PCGrad])
def test_a_surgery_that_is_none(surgery):
    with pytest.raises(TypeError, match=r"`surgery` is .*PCGrad\(\).*None"):
        linear_model(surgery=surgery)


@pytest.mark.parametrize("loss", [None, {}, []])
def test_no_loss(loss):
    with pytest.raises(ValueError, match="`loss` is .*one loss for each task"):
        linear_model(loss=loss)


def test_a_loss_for_an_unknown_output():
    with pytest.raises(ValueError, match=r"`loss` names 'tip'; .*\['a', 'b'\]"):
        linear_model(loss={"a": "mse", "tip": "mse"})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("loss_weights", {"tip": 2.0}),
        ("metrics", {"tip": ["mae"]}),
        ("weighted_metrics", {"tip": ["mae"]}),
    ],
)
def test_an_argument_for_an_unknown_task(argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` names 'tip'; .*\['a', 'b'\]"):
        linear_model(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("loss_weights", [1.0]),
        ("loss_weights", 2.0),
        ("metrics", ["mae"]),
        ("metrics", ["mae", "mse", "mae"]),
        ("weighted_metrics", "mae"),
    ],
)
def test_an_argument_that_does_not_fit_the_tasks(argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}` is .*dict.*\['a', 'b'\]"):
        linear_model(**{argument: value})


def test_lists_in_the_order_of_the_outputs():
    model = linear_model(
        loss=["mse", "mae"], loss_weights=[1.0, 3.0], metrics=[["mae"], None], run_eagerly=True
    )
    logs = model.evaluate(UNIT_ROWS, Y, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["a_loss"], 2.5)
    np.testing.assert_allclose(logs["b_loss"], 3.5)
    np.testing.assert_allclose(logs["loss"], 2.5 + 3 * 3.5)
    np.testing.assert_allclose(logs["a_mae"], 1.5)


def test_labels_of_a_task_are_missing_altogether():
    model = linear_model(run_eagerly=True)
    with pytest.raises(ValueError, match=r"no labels for task 'b': found labels for \['a'\]"):
        model.fit(UNIT_ROWS, {"a": Y["a"]}, verbose=0)


def test_sample_weights_of_a_task_are_missing():
    model = linear_model(run_eagerly=True)
    weights = {"a": np.ones(2)}
    with pytest.raises(ValueError, match="(?s)sample_weight.*'b'"):
        model.fit(UNIT_ROWS, Y, sample_weight=weights, verbose=0)


def test_one_array_of_labels_for_several_tasks():
    model = linear_model(run_eagerly=True)
    with pytest.raises(ValueError, match="no labels for task 'b'"):
        model.fit(UNIT_ROWS, Y["a"], verbose=0)


def test_an_output_that_a_subclassed_model_does_not_have():
    class OneOutput(MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(1)

        def call(self, inputs):
            return {"a": self.head(inputs)}

    model = OneOutput()
    model.compile(loss={"a": "mse", "b": "mse"}, surgery=PCGrad(), run_eagerly=True)
    with pytest.raises(ValueError, match=r"no outputs for task 'b': found outputs for \['a'\]"):
        model.fit(UNIT_ROWS, Y, verbose=0)


def test_labels_that_are_not_there():
    model = linear_model(run_eagerly=True)
    with pytest.raises(ValueError, match=r"no labels for task 'a': found labels for \[\]"):
        model.fit(UNIT_ROWS, verbose=0)


def test_a_list_of_losses_of_another_length():
    with pytest.raises(ValueError, match=r"`loss` is a list of 3; .*\['a', 'b'\]"):
        linear_model(loss=["mse", "mse", "mse"])


def test_several_losses_of_one_output():
    with pytest.raises(ValueError, match=r"`loss` of output 'a' is a list of 2: pass one loss"):
        linear_model(loss={"a": ["mse", "mae"], "b": "mse"})


def test_a_total_loss_of_ones_own_would_be_ignored():
    class Own(MultiTaskModel):
        def compute_loss(self, *args, **kwargs):
            return 2 * super().compute_loss(*args, **kwargs)

    with pytest.raises(TypeError, match="Own overrides `compute_loss`.*`add_loss`"):
        Own().compile(loss={"a": "mse"})


def test_a_model_without_trainable_weights():
    model = linear_model()
    model.trainable = False
    with pytest.raises(ValueError, match="no weight of the model is trainable"):
        model.train_on_batch(UNIT_ROWS, Y)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_running_without_compiling(method):
    inputs = keras.Input((2,))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(1, name="a")(inputs)})
    with pytest.raises(ValueError, match="compile"):
        getattr(model, method)(UNIT_ROWS, {"a": Y["a"]}, verbose=0)
    with pytest.raises(ValueError, match="`compile`"):
        model.conflicts()


def test_compiling_again_replaces_everything():
    model = linear_model(surgery=PCGrad("sum"))
    model.train_on_batch(UNIT_ROWS, Y)
    model.compile("sgd", loss={"a": "mse"}, run_eagerly=True)
    history = model.fit(UNIT_ROWS, {"a": Y["a"]}, verbose=0).history
    assert set(history) == {"loss", "a_loss"}
    assert model.conflicts() == []
