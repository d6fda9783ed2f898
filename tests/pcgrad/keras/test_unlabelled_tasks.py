"""A task without any label in an epoch: NaN and a warning, never a perfect zero."""

import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import MODES, UNIT_ROWS, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import RaiseOnDivergence

NAN = np.nan
X = np.tile(UNIT_ROWS, (3, 1))
# Three batches; task b has labels in the last one only, or in none.
LAST = labels(a=[2, 0] * 3, b=[NAN] * 4 + [2, 4])
NEVER = labels(a=[2, 0] * 3, b=[NAN] * 6)


def model_of(**arguments):
    arguments.setdefault("loss", dict.fromkeys("ab", "mse"))
    return linear_model(surgery=PCGrad("sum"), metrics={"b": ["mae"]}, **arguments)


def fit(model, y, **arguments):
    return model.fit(X, y, batch_size=2, shuffle=False, verbose=0, **arguments).history


@pytest.mark.parametrize("mode", MODES)
def test_losses_and_metrics_are_nan_and_the_total_is_the_others(mode):
    model = model_of(**MODES[mode])
    with pytest.warns(UserWarning, match="task 'b' had no label in training") as caught:
        history = fit(model, NEVER, epochs=2, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(caught) == 1
    assert np.isnan([history["b_loss"], history["b_mae"]]).all()
    assert history["loss"] == history["a_loss"]
    assert len(history["loss"]) == 2


class Several(keras.metrics.MeanMetricWrapper):
    """Its result is a dict."""

    def result(self):
        return {"once": super().result(), "twice": 2 * super().result()}


def test_a_metric_of_several_values():
    several = Several(keras.losses.mean_absolute_error, name="several")
    model = linear_model(surgery=PCGrad(), loss=dict.fromkeys("ab", "mse"), metrics={"b": several})
    with pytest.warns(UserWarning, match="task 'b' had no label in training"):
        history = fit(model, NEVER)
    assert np.isnan([history["once"], history["twice"]]).all()
    history = fit(model, LAST)
    np.testing.assert_allclose(history["twice"], 2 * np.array(history["once"]))


def test_validation():
    """`EarlyStopping` and `ModelCheckpoint` would take zero for the best epoch."""
    model = model_of(optimizer="sgd")
    with pytest.warns(UserWarning, match="task 'b' had no label in evaluation"):
        history = fit(model, LAST, validation_data=(X, NEVER))
    assert np.isnan([history["val_b_loss"], history["val_b_mae"]]).all()
    assert history["val_loss"] == history["val_a_loss"]
    assert np.isfinite([history["b_loss"], history["b_mae"]]).all()


def test_each_phase_has_one_warning():
    with pytest.warns(UserWarning, match="task 'b' had no label") as caught:
        fit(model_of(optimizer="sgd"), NEVER, epochs=2, validation_data=(X, NEVER))
    phases = [str(warning.message).partition(" had no label in ")[2] for warning in caught]
    assert sorted(phase.partition(":")[0] for phase in phases) == ["evaluation", "training"]


def test_a_total_of_nothing_is_nan():
    model = model_of()
    nothing = labels(a=[NAN] * 6, b=[NAN] * 6)
    with pytest.warns(UserWarning, match="had no label in evaluation") as caught:
        found = model.evaluate(X, nothing, verbose=0, return_dict=True)
    assert len(caught) == 2
    assert all(map(math.isnan, found.values()))


def test_labels_that_are_still_to_come_are_no_divergence():
    """Of one batch nothing is known yet, not even of task a."""
    model = model_of(optimizer="sgd")
    totals = []
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        RaiseOnDivergence(),
        keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: totals.append(logs)),
    ]
    y = {"a": np.where([True, True, False, False, False, False], NAN, LAST["a"]), "b": LAST["b"]}
    history = fit(model, y.copy(), callbacks=callbacks)
    assert np.isfinite([logs["loss"] for logs in totals]).all()
    assert math.isnan(totals[0]["b_loss"])
    assert np.isfinite(list(history.values())).all()


def test_divergence_is_still_found_beside_a_task_without_labels():
    y = {"a": NEVER["a"].copy(), "b": NEVER["b"]}
    y["a"][3] = np.inf
    model = model_of()
    with pytest.raises(FloatingPointError, match="in step 2: the gradient of task 'a'"):
        fit(model, y, callbacks=[RaiseOnDivergence()])


@pytest.mark.filterwarnings("ignore:task .* had no label")
def test_a_validation_without_labels_is_no_divergence():
    nothing = labels(a=[NAN] * 6, b=[NAN] * 6)
    for held_out in (NEVER, nothing):
        model = model_of(optimizer="sgd")
        fit(model, LAST, validation_data=(X, held_out), callbacks=[RaiseOnDivergence()])


def test_no_warning_where_there_is_a_label():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model_of(optimizer="sgd"), LAST, validation_data=(X, LAST))


@pytest.mark.filterwarnings("ignore:task .* had no label")
def test_a_task_whose_name_begins_with_that_of_another():
    """A metric is NaN with its own task."""
    model = linear_model(
        ("a", "a_b"),
        loss={"a": "mse", "a_b": "mse"},
        metrics={"a": ["mae"], "a_b": ["mae"]},
        surgery=PCGrad("sum"),
    )
    found = {}
    for missing in ("a", "a_b"):
        y = labels(**{name: [NAN if name == missing else 1.0] * 2 for name in ("a", "a_b")})
        logs = model.evaluate(UNIT_ROWS, y, verbose=0, return_dict=True)
        found[missing] = {name for name, value in logs.items() if math.isnan(value)}
    assert found == {"a": {"a_loss", "a_mae"}, "a_b": {"a_b_loss", "a_b_mae"}}


def one_number(y_true, y_pred):
    return tf.reduce_mean((y_true - y_pred) ** 2)


class OneNumber(keras.losses.Loss):
    """Without Keras's reduction."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return one_number(y_true, y_pred)


def explained(y_true, y_pred):
    return 1 - tf.reduce_mean((y_true - y_pred) ** 2)


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_and_a_metric_of_one_number(mode):
    """A batch without labels does not make them NaN; nor does it name a wrong step."""
    found = []
    for loss in ("mse", one_number, OneNumber()):
        model = linear_model(
            optimizer="sgd",
            loss={"a": "mse", "b": loss},
            metrics={"b": [explained]},
            surgery=PCGrad("sum"),
            **MODES[mode],
        )
        y = {name: values[:, np.newaxis] for name, values in LAST.items()}
        found.append(fit(model, y, callbacks=[RaiseOnDivergence()]))
    for name, values in found[0].items():
        for other in found[1:]:
            np.testing.assert_allclose(other[name], values, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(found[0]["b_explained"], 1 - np.array(found[0]["b_loss"]), rtol=1e-5)


def test_one_number_that_is_infinite_names_its_step():
    y = {"a": LAST["a"], "b": LAST["b"].copy()}
    y["b"][5] = np.inf
    model = linear_model(loss={"a": "mse", "b": one_number}, surgery=PCGrad("sum"))
    with pytest.raises(FloatingPointError, match="in step 3: the gradient of task 'b'"):
        fit(model, y, callbacks=[RaiseOnDivergence()])
