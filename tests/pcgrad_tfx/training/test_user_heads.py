"""Heads of users' own models: what cannot be a task's is refused before training."""

import keras
import pytest
import tensorflow as tf

from built_models import (
    TASKS,
    Own,
    Plain,
    big,
    check,
    convert,
    functional,
    heads,
)
from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.user_models import check_outputs


def lambda_of(function, shape):
    return keras.layers.Lambda(function, output_shape=shape)


@pytest.mark.parametrize("kind", [Own, Plain, None])
@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        (
            "tip",
            lambda: lambda_of(keras.ops.relu, (1,)),
            "outputs from 0 to 8 are no prob",
        ),
        ("tip", lambda: big(2, "softmax"), r"outputs of shape \[N, 2\], but kind 'binary' needs"),
        (
            "tip",
            lambda: lambda_of(keras.ops.tanh, (1,)),
            "outputs from -1 to 1 are no pro",
        ),
        ("zone", lambda: big(3, "softmax"), r"shape \[N, 3\], but kind 'multiclass' needs \[N, 4"),
        ("zone", lambda: big(1, "sigmoid"), r"outputs of shape \[N, 1\], but kind 'multiclass'"),
        ("zone", lambda: big(4, "sigmoid"), "the outputs of a row do not sum to one; apply a soft"),
        (
            "fare",
            lambda: big(2),
            r"outputs of shape \[N, 2\], but kind 'regression' needs \[N, 1\]",
        ),
        (
            "fare",
            lambda: keras.Sequential([big(1), keras.layers.Reshape((1, 1))]),
            r"outputs of shape \[N, 1, 1\], but kind 'regression' needs \[N, 1\]; end its head",
        ),
    ],
)
def test_outputs_that_cannot_be_right_are_refused(kind, name, head, message):
    made = heads(**{name: head()})
    model = convert(functional(made) if kind is None else kind(**made))
    with pytest.raises(ValueError, match=rf"^models\.build: task '{name}': .*{message}"):
        check(model)


@pytest.mark.parametrize("kind", [keras.Model, MultiTaskModel])
@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("tip", lambda: big(1, "relu"), "its head ends in relu, whose outputs are no prob"),
        ("zone", lambda: big(4, "gelu"), r"ends in gelu, .*; end it with Dense\(4, 'softmax'\)"),
        (
            "tip",
            lambda: keras.layers.Activation("tanh"),
            "its head ends in tanh, whose out",
        ),
        ("tip", lambda: keras.Sequential([big(1), keras.layers.ReLU()]), "ends in relu, whose out"),
        ("tip", lambda: keras.Sequential([big(1), keras.layers.PReLU()]), "ends in prelu, whose"),
        ("zone", lambda: big(4, "log_softmax"), "its head ends in log_softmax, whose outputs are"),
        ("tip", lambda: big(1, "softmax"), "its head ends in softmax, which gives 1 for any row"),
        (
            "tip",
            lambda: keras.Sequential([big(1), keras.layers.Softmax()]),
            r"ends in softmax, which gives 1 for any row; end it with Dense\(1, 'sigmoid'\)",
        ),
    ],
)
def test_an_activation_that_gives_no_probabilities_is_refused(kind, name, head, message):
    """Whatever its outputs are for the first rows."""
    plain = functional(heads(**{name: head()}))
    with pytest.raises(ValueError, match=rf"^models\.build: task '{name}': .*{message}"):
        convert(kind(plain.input, plain.output))


@pytest.mark.parametrize("activation", ["hard_sigmoid", keras.ops.sigmoid, "exponential"])
def test_other_activations_may_give_probabilities(activation):
    log = keras.layers.Dense(1, "log_sigmoid") if activation == "exponential" else big(1)
    head = keras.Sequential([log, keras.layers.Activation(activation)])
    check(convert(functional(heads(tip=head))))


def test_a_probability_that_is_always_1_is_refused():
    tip = TASKS[:1]
    model = convert(Own(tip=lambda_of(keras.ops.ones_like, (1,))), tip)
    rows = {"miles_xf": tf.range(8.0), "company_xf": tf.zeros([8], tf.int64)}
    with pytest.raises(ValueError, match="'tip': the outputs are 1 for any row; apply a sigmoid"):
        check_outputs(model, rows, tip, "models.build")
    # Some rows may be of one class.
    check(model, tip)


def test_a_subclass_with_logits_is_refused():
    model = convert(Own(**heads(tip=big(1))))
    message = "task 'tip': outputs from -9 to 8 are no probabilities; apply a sigmoid to its output"
    with pytest.raises(ValueError, match=message):
        check(model)


def test_half_precision_is_no_mistake():
    zone = Task(name="zone", kind="multiclass", column="zone", classes=tuple(map(str, range(1000))))
    head = keras.layers.Dense(1000, "softmax", dtype="bfloat16", name="zone")
    model = convert(functional({"zone": head}), [zone])
    check(model, [zone])


def test_outputs_without_a_last_dimension():
    tip = TASKS[:1]
    flat = keras.Sequential([keras.layers.Dense(1, "sigmoid"), keras.layers.Reshape(())])
    check(convert(functional({"tip": flat}), tip), tip)


@pytest.mark.parametrize("changes", [{"weight": "cost"}, {"class_weight": "balanced"}])
def test_with_weights_outputs_need_a_last_dimension(changes):
    """Keras takes the mean of [N] before it could weight it."""
    tip = [TASKS[0].model_copy(update=changes)]
    flat = keras.Sequential([keras.layers.Dense(1, "sigmoid"), keras.layers.Reshape(())])
    with pytest.raises(ValueError, match=r"outputs of shape \[N\], but kind 'binary' needs \[N, 1"):
        check(convert(functional({"tip": flat}), tip), tip)


def test_counts_need_positive_outputs():
    fare = [Task(name="fare", kind="regression", column="fare", loss="poisson")]
    check(convert(functional({"fare": big(1, "exponential", "fare")}), fare), fare)
    message = "'fare': outputs down to -.*, but loss 'poisson' needs .* Dense\\(1, 'exponential'"
    with pytest.raises(ValueError, match=message):
        check(convert(functional({"fare": big(1, name="fare")}), fare), fare)


@pytest.mark.parametrize(
    ("head", "mean", "fits"),
    [
        (lambda: big(1, "sigmoid"), 5000.0, False),
        (lambda: big(1, "sigmoid"), 0.4, True),
        (lambda: big(1, "tanh"), -3.0, False),
        (lambda: big(1, "relu"), -3.0, False),
        (lambda: big(1, "relu"), 5000.0, True),
        (lambda: big(1), -3.0, True),
    ],
)
def test_a_regression_head_that_cannot_give_the_labels(head, mean, fits):
    model = functional(heads(fare=head()))
    statistics = LabelStatistics(mean=mean, std=1.0)
    if fits:
        convert(model, fare=statistics)
    else:
        with pytest.raises(ValueError, match=r"^models\.build: task 'fare': its head ends in "):
            convert(model, fare=statistics)


def test_a_bounded_head_on_a_logarithmic_scale():
    """The mean is that of the logarithms; 0.65 is that of labels of 0.9."""
    task = [Task(name="fare", kind="regression", column="fare", log_scale=True)]
    model = functional({"fare": keras.layers.Dense(1, "sigmoid")})
    convert(model, task, fare=LabelStatistics(mean=0.65, std=1.0))
    with pytest.raises(ValueError, match="sigmoid, which gives 0 to 1, but the labels lie beyond"):
        convert(model, task, fare=LabelStatistics(mean=0.75, std=1.0))
