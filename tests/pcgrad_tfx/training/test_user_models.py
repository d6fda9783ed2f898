"""Models of users' own: those that fit are trained, the others refused before training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.model import outputs_by_task
from pcgrad_tfx.training.user_models import as_multi_task_model, check_outputs, load_model_fn
from trips import dropout_model

TASKS = (
    Task(name="tip", kind="binary", column="tips"),
    Task(name="fare", kind="regression", column="fare"),
    Task(name="zone", kind="multiclass", column="zone", classes=("a", "b", "c", "d")),
)
SPEC = {
    "miles_xf": tf.io.FixedLenFeature([], tf.float32),
    "company_xf": tf.io.FixedLenFeature([], tf.int64),
}
MILES = {"miles_xf": SPEC["miles_xf"]}
FEATURES = {"miles_xf": tf.constant([-9.0, 0.5, 8.0]), "company_xf": tf.constant([0, 1, 4])}
WIDE = LabelStatistics(mean=5000.0, std=10.0)


def convert(model, tasks=TASKS, spec=None, **statistics):
    return as_multi_task_model(model, tasks, "models.build", spec or SPEC, statistics)


def check(model, tasks=TASKS):
    check_outputs(model, FEATURES, tasks, "models.build")


def inputs():
    return {
        name: keras.Input((), name=name, dtype=feature.dtype.name) for name, feature in SPEC.items()
    }


def column(given):
    """The miles; Keras wants all inputs to be connected."""
    unused = 0 * keras.ops.cast(given["company_xf"], "float32")
    return keras.layers.Reshape((1,))(given["miles_xf"] + unused)


def functional(heads, as_list=False):
    """Heads by task's name, each a layer."""
    given = inputs()
    outputs = {name: head(column(given)) for name, head in heads.items()}
    return keras.Model(given, list(outputs.values()) if as_list else outputs)


def heads(**changes):
    return {
        task.name: keras.layers.Dense(task.units, task.activation, name=task.name) for task in TASKS
    } | changes


def test_load_model_fn():
    assert load_model_fn("trips.dropout_model") is dropout_model


@pytest.mark.parametrize(
    "path",
    [
        "dropout_model",
        "no_such_package.build",
        "trips.no_such_function",
        ".build",
        "..models.build",
        "",
    ],
)
def test_a_function_that_cannot_be_imported_is_named(path):
    with pytest.raises(ValueError, match=r"^custom_config: model_fn: cannot import ") as error:
        load_model_fn(path)
    assert repr(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match=r"'trips.BATCH_SIZE' is not a function"):
        load_model_fn("trips.BATCH_SIZE")


def test_a_function_of_other_arguments_is_refused():
    message = r"'keras.utils.set_random_seed' takes other arguments.*let it take feature_spec, task"
    with pytest.raises(ValueError, match=message):
        load_model_fn("keras.utils.set_random_seed")


def test_a_functional_model_becomes_a_multi_task_model_with_the_same_layers():
    plain = dropout_model(SPEC, TASKS, {})
    model = convert(plain)
    assert isinstance(model, MultiTaskModel)
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in plain.weights]
    for one, other in zip(model(FEATURES), plain(FEATURES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_multi_task_model_is_taken_as_it_is():
    plain = functional(heads())
    model = MultiTaskModel(plain.input, plain.output)
    assert convert(model) is model
    check(model)


def nested(units):
    """A head that is a model."""
    return keras.Sequential([keras.layers.Dense(3, "relu"), keras.layers.Dense(units)])


@pytest.mark.parametrize("kind", [keras.Model, MultiTaskModel])
@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("is_nested", [False, True])
def test_logits_become_probabilities(kind, as_list, is_nested):
    def head(name, units):
        made = nested(units) if is_nested else keras.layers.Dense(units)
        made.name = name
        return made

    plain = functional(heads(tip=head("tip", 1), zone=head("zone", 4)), as_list)
    model = convert(kind(plain.input, plain.output))
    check(model)
    found = outputs_by_task(model, model(FEATURES))
    logits = plain(FEATURES)
    logits = dict(zip(heads(), logits, strict=True)) if as_list else logits
    np.testing.assert_allclose(found["tip"], tf.sigmoid(logits["tip"]), rtol=1e-6)
    np.testing.assert_allclose(found["zone"], tf.nn.softmax(logits["zone"]), rtol=1e-6)
    np.testing.assert_array_equal(found["fare"], logits["fare"])
    assert {id(weight) for weight in model.weights} == {id(weight) for weight in plain.weights}


def test_a_cast_behind_a_sigmoid_is_no_logit():
    """The way that Keras's guide to mixed precision ends a head."""
    cast = keras.Sequential(
        [keras.layers.Dense(1, "sigmoid"), keras.layers.Activation("linear", dtype="float32")]
    )
    plain = functional(heads(tip=cast))
    found = convert(plain)(FEATURES)["tip"]
    np.testing.assert_array_equal(found, plain(FEATURES)["tip"])


class Probability(keras.layers.Dense):
    """A dense layer that applies its sigmoid itself."""

    def call(self, inputs):
        return keras.ops.sigmoid(super().call(inputs))


def test_a_dense_layer_of_ones_own_is_no_logit():
    plain = functional(heads(tip=Probability(1)))
    found = convert(plain)(FEATURES)["tip"]
    np.testing.assert_array_equal(found, plain(FEATURES)["tip"])


class Own(MultiTaskModel):
    """Returns what it is given."""

    def __init__(self, **layers):
        super().__init__()
        self._heads = layers

    def call(self, features, training=False):
        return {
            name: head(tf.reshape(features["miles_xf"], [-1, 1]))
            for name, head in self._heads.items()
        }


class Plain(keras.Model):
    """Of Keras's own class, and not built."""

    def __init__(self, **layers):
        super().__init__()
        self._heads = layers

    def call(self, features, training=False):
        value = keras.ops.reshape(features["miles_xf"], (-1, 1))
        return {name: head(value) for name, head in self._heads.items()}


@pytest.mark.parametrize("kind", [Own, Plain])
def test_a_subclass_that_is_not_built(kind):
    model = convert(kind(**heads()))
    assert model.built
    assert len(model.trainable_weights) == 6
    check(model)
    assert set(outputs_by_task(model, model(FEATURES))) == {task.name for task in TASKS}


def big(units, activation=None, name=None):
    """A head with outputs far from 0."""
    return keras.layers.Dense(units, activation, kernel_initializer="ones", name=name)


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


class ToTensor(keras.layers.Layer):
    """From a mapping of features to one tensor."""

    def call(self, features, training=None):
        columns = [keras.ops.cast(value, "float32") for value in features.values()]
        return keras.ops.stack(columns, axis=1)


@pytest.mark.parametrize(
    "kind",
    ["list", "tensor", "sequential", "mapping", "built sequential", "sequential of a tensor"],
)
def test_one_output_for_one_task_needs_no_name(kind):
    given, head = inputs(), keras.layers.Dense(1, "sigmoid")
    spec = MILES if kind in ("built sequential", "sequential of a tensor") else SPEC
    model = {
        "list": lambda: keras.Model(given, [head(column(given))]),
        "tensor": lambda: keras.Model(given, head(column(given))),
        "mapping": lambda: keras.Model(given, {"out": head(column(given))}),
        "sequential": lambda: keras.Sequential([ToTensor(), head]),
        "built sequential": lambda: keras.Sequential([keras.Input((1,)), head]),
        "sequential of a tensor": lambda: keras.Sequential([keras.layers.Reshape((1,)), head]),
    }[kind]()
    features = {name: FEATURES[name] for name in spec}
    model = convert(model, TASKS[:1], spec)
    check_outputs(model, features, TASKS[:1], "models.build")
    model.compile("sgd", loss={"tip": "binary_crossentropy"})
    loss = model.train_on_batch(features, {"tip": tf.constant([0.0, 1.0, 1.0])})
    assert np.isfinite(loss).all()


class FailsOnRows(keras.layers.Layer):
    """Passes while the model is built."""

    def call(self, values):
        if tf.executing_eagerly():
            raise KeyError(-1)
        return values


def test_a_model_that_fails_on_rows_is_refused():
    model = convert(functional(heads(tip=keras.Sequential([FailsOnRows(), big(1, "sigmoid")]))))
    with pytest.raises(
        ValueError, match=r"^models\.build returned a model that cannot be called: "
    ):
        check(model)


def compiled():
    model = functional(heads())
    model.compile("sgd", loss={task.name: task.loss for task in TASKS})
    return model


class Trained(keras.Model):
    """With a step of its own."""

    def train_step(self, data):
        return {}


class Weighted(keras.Model):
    """With a loss of its own."""

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def functional_of(cls):
    plain = functional(heads())
    return cls(plain.input, plain.output)


class Unnamed(Own):
    """Returns a list."""

    def call(self, features, training=False):
        return list(super().call(features, training).values())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (compiled, " returned a compiled model; leave compiling it to the Trainer"),
        (
            lambda: dropout_model(SPEC, TASKS[:2], {}),
            r" returned a model with outputs \['fare', 'tip'\]; name them like the",
        ),
        (
            lambda: functional({"out": keras.layers.Dense(1)}),
            r" returned a model with outputs \['out'\]; name them like the tasks, \['fare', 'tip'",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), " returned Sequential, which cannot t"),
        (
            lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
            r" returned Sequential, which cannot take a mapping of the features \['company_xf', 'm",
        ),
        (
            lambda: keras.Sequential([ToTensor(), keras.layers.Dense(1)]),
            r" returned a model with outputs \['sequential.*'\]; name them like the tasks",
        ),
        (lambda: Plain(tip=keras.layers.Dense(1)), r" returned a model with outputs \['tip'\]; na"),
        (lambda: Own(tip=keras.layers.Dense(1)), r" returned a model with outputs \['tip'\]; name"),
        (Trained, " returned Trained, which has a train_step of its own"),
        (lambda: functional_of(Trained), " returned Trained, which has a train_step of its own"),
        (lambda: functional_of(Weighted), " returned Weighted, which has a compute_loss of its o"),
        (lambda: Unnamed(**heads()), ": Unnamed returns its outputs without names; let its `call`"),
        (lambda: None, " returned NoneType; return a functional keras.Model or a"),
        (lambda: keras.layers.Dense(1), " returned Dense; return a functional keras.Model or a"),
    ],
)
def test_an_unfit_model_is_refused(model, message):
    with pytest.raises(ValueError, match=rf"^models\.build{message}") as raised:
        check(convert(model()))
    assert "\n" not in str(raised.value)
