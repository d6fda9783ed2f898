"""Tasks are checked data, and what a kind implies follows from one table."""

import json
import subprocess
import sys

import keras
import pytest
import tensorflow_model_analysis as tfma
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_model_analysis.proto import config_pb2

from pcgrad_tfx.config.task_kinds import KINDS
from pcgrad_tfx.config.tasks import Gate, Task, check_tasks, parse_tasks

BINARY = {"name": "tip", "kind": "binary", "column": "tips"}
REGRESSION = {"name": "fare", "kind": "regression", "column": "fare"}
MULTICLASS = {"name": "zone", "kind": "multiclass", "column": "zone", "classes": ("a", "b", "c")}

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
numbers_above_0 = st.floats(min_value=1e-30, allow_infinity=False)
common = {
    "name": names,
    "column": st.text(min_size=1),
    "loss_weight": numbers_above_0,
    "only_where": st.none()
    | st.dictionaries(
        st.text(min_size=1),
        st.text(min_size=1) | st.integers() | st.booleans() | st.lists(numbers, min_size=1),
        min_size=1,
    ),
    "weight": st.none() | st.text(min_size=1),
    "gate": st.builds(
        Gate, min_gain=numbers, max_drop=st.floats(min_value=0, allow_infinity=False)
    ),
}
class_weight = st.none() | st.just("balanced")
of_binary = class_weight | st.dictionaries(st.sampled_from("01"), numbers_above_0, min_size=1)
classes = st.lists(st.text(min_size=1), min_size=3, unique=True).map(tuple)
tasks = st.one_of(
    st.builds(
        Task,
        kind=st.just("binary"),
        above=numbers,
        class_weight=of_binary,
        label_smoothing=st.floats(0, 1, exclude_max=True),
        **common,
    ),
    st.builds(Task, kind=st.just("binary"), positive=st.text(min_size=1), **common),
    st.builds(
        Task,
        kind=st.just("regression"),
        valid_above=numbers,
        log_scale=st.booleans(),
        **common,
    ),
    st.builds(
        Task,
        kind=st.just("regression"),
        loss=st.just("huber"),
        huber_delta=numbers_above_0,
        **common,
    ),
    st.builds(
        Task, kind=st.just("multiclass"), classes=classes, class_weight=class_weight, **common
    ),
)


@given(task=tasks)
def test_json_round_trip(task):
    text = json.dumps([task.model_dump(mode="json")])
    assert parse_tasks(json.loads(text)) == (task,)


def test_names_follow_from_the_task():
    task = Task(**BINARY, divide_by="fare", above=0.2)
    assert (task.label_key, task.mask_key) == ("tip_label", "tip_label_mask")
    assert task.weight_key == "tip_label_weight"
    assert task.source_columns == ("tips", "fare")
    own = Task(**BINARY, label_key="my_label")
    assert (own.label_key, own.mask_key) == ("my_label", "my_label_mask")
    assert own.source_columns == ("tips",)
    paid = Task(**BINARY, divide_by="fare", above=0.2, only_where={"paid": 1, "fare": [1, 2]})
    assert paid.columns == ("tips", "fare", "paid")
    weighed = Task(**MULTICLASS, weight="miles")
    assert (weighed.columns, weighed.number_columns) == (("zone", "miles"), ("miles",))


@pytest.mark.parametrize(
    ("fields", "units", "activation", "dtype"),
    [
        (BINARY, 1, "sigmoid", "float32"),
        (REGRESSION, 1, None, "float32"),
        (MULTICLASS, 3, "softmax", "int64"),
    ],
)
def test_head_follows_from_the_kind(fields, units, activation, dtype):
    task = Task(**fields)
    assert (task.units, task.activation, task.label_dtype) == (units, activation, dtype)


def test_a_loss_follows_from_the_kind_unless_it_is_given():
    for fields in (BINARY, REGRESSION, MULTICLASS):
        losses = KINDS[fields["kind"]].losses
        assert Task(**fields).loss == losses[0]
        for loss in losses:
            assert Task(**fields, loss=loss).loss == loss
    counts = Task(**REGRESSION, loss="poisson")
    assert counts.activation == "exponential"


def test_every_kind_has_a_row_in_the_table():
    assert set(KINDS) == set(Task.model_fields["kind"].annotation.__args__)


@pytest.mark.parametrize("fields", [BINARY, REGRESSION, MULTICLASS])
def test_keras_and_tfma_know_what_the_table_names(fields):
    task = Task(**fields)
    assert callable(keras.losses.get(task.loss))
    for name in task.keras_metrics:
        assert isinstance(keras.metrics.get(name), keras.metrics.Metric)
    threshold = config_pb2.MetricThreshold(value_threshold={"lower_bound": {"value": 0}})
    for metric in (task.primary_metric, *task.detail_metrics):
        config = config_pb2.MetricConfig(
            class_name=metric.class_name, module=metric.module, threshold=threshold
        )
        specs = [config_pb2.MetricsSpec(metrics=[config])]
        (key,) = tfma.metrics.metric_thresholds_from_metrics_specs(specs)
        assert key.name == metric.name


def test_lowest_value_is_above_the_constant_prediction():
    assert Task(**BINARY, gate=Gate(min_gain=0.1)).lowest_value == 0.6
    assert Task(**REGRESSION, gate=Gate(min_gain=0.1)).lowest_value == 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (BINARY | {"name": "1st"}, "name"),
        (BINARY | {"name": "a" * 65}, "name"),
        (BINARY | {"name": "tip\n"}, "name"),
        (BINARY | {"column": ""}, "column"),
        (BINARY | {"kind": "binry"}, "kind"),
        (BINARY | {"colour": "x"}, "colour"),
        (BINARY | {"loss_weight": 0}, "loss_weight"),
        (BINARY | {"loss_weight": float("inf")}, "loss_weight"),
        (BINARY | {"above": float("nan")}, "above"),
        (BINARY | {"gate": {"max_drop": -0.1}}, r"gate\.max_drop"),
        (BINARY | {"divide_by": "fare"}, "needs a threshold; add `above`"),
        (BINARY | {"divide_by": "tips", "above": 1}, "`divide_by` is `column` itself"),
        (BINARY | {"classes": ("a", "b", "c")}, "`classes` is for kind 'multiclass'"),
        (REGRESSION | {"above": 1}, "`above` makes a binary label"),
        (MULTICLASS | {"above": 1}, "`above` makes a binary label"),
        (MULTICLASS | {"classes": None}, "at least 3 names; with 2 use 'binary'"),
        (MULTICLASS | {"classes": ("a", "b")}, "at least 3 names; with 2 use 'binary'"),
        (MULTICLASS | {"classes": ("a", "b", "a")}, "`classes` names 'a' twice"),
        (MULTICLASS | {"divide_by": "fare"}, "`divide_by` is for numbers"),
        (MULTICLASS | {"valid_above": 0}, "`valid_above` is for numbers"),
        (BINARY | {"positive": ""}, "positive"),
        (BINARY | {"positive": "yes", "above": 1}, "`above` is for numbers; remove one"),
        (BINARY | {"positive": "yes", "valid_above": 1}, "`valid_above` is for numbers"),
        (REGRESSION | {"positive": "yes"}, "`positive` makes a binary label"),
        (MULTICLASS | {"positive": "a"}, "`positive` makes a binary label"),
        (REGRESSION | {"class_weight": "balanced"}, "`class_weight` is for classes, not for kind"),
        (BINARY | {"class_weight": "even"}, '`class_weight` is "balanced" or a table of classes'),
        (BINARY | {"class_weight": {}}, '`class_weight` is "balanced" or a table of classes'),
        (BINARY | {"class_weight": {"1": True}}, "that of '1' is no number above 0"),
        (BINARY | {"class_weight": {"0": 2, "1": 0}}, "that of '1' is no number above 0"),
        (BINARY | {"class_weight": {"yes": 2}}, "names 'yes', which is no class; there are: 0, 1"),
        (MULTICLASS | {"class_weight": {"d": 2}}, "names 'd', which is no class; there are: a, b"),
        (BINARY | {"loss": "huber"}, "`loss` 'huber' is not for kind 'binary'; there are: binary_"),
        (REGRESSION | {"loss": "focal"}, "'regression'; there are: mean_squared_error, mean_abs"),
        (MULTICLASS | {"loss": "binary_crossentropy"}, "there are: sparse_categorical_cross"),
        (REGRESSION | {"loss": "hubr"}, "loss"),
        (REGRESSION | {"huber_delta": 2}, "`huber_delta` is for loss 'huber', not 'mean_squared_e"),
        (REGRESSION | {"loss": "huber", "huber_delta": 0}, "huber_delta"),
        (BINARY | {"focal_gamma": 2}, "`focal_gamma` is for loss 'focal', not 'binary_cross"),
        (BINARY | {"label_smoothing": 1}, "label_smoothing"),
        (REGRESSION | {"label_smoothing": 0.1}, "`label_smoothing` is for classes, not for kind"),
        (REGRESSION | {"loss": "poisson", "log_scale": True}, "already; remove `log_scale`"),
        (BINARY | {"log_scale": True}, "`log_scale` is for kind 'regression', not 'binary'"),
        (MULTICLASS | {"log_scale": True}, "`log_scale` is for kind 'regression'"),
    ],
)
def test_wrong_task(fields, message):
    with pytest.raises(ValueError, match=message):
        Task(**fields)


def test_a_draft_may_lack_its_classes_but_nothing_else():
    draft = {"draft": True}
    fields = {key: value for key, value in MULTICLASS.items() if key != "classes"}
    assert Task.model_validate(fields, context=draft).classes is None
    for wrong in ({"classes": ("a", "b")}, {"divide_by": "fare"}, {"kind": "binry"}):
        with pytest.raises(ValueError, match=r"classes|divide_by|kind"):
            Task.model_validate(fields | wrong, context=draft)


def test_task_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Task(**BINARY).name = "other"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "there is no task"),
        ([BINARY, REGRESSION | {"name": "tip"}], "two tasks are named 'tip'"),
        ([BINARY, REGRESSION | {"label_key": "tip_label"}], "two tasks write 'tip_label'"),
        ([BINARY, REGRESSION | {"label_key": "tip_label_mask"}], "write 'tip_label_mask'"),
        ([BINARY, REGRESSION | {"label_key": "tip_label_weight"}], "write 'tip_label_weight'"),
    ],
)
def test_wrong_list_of_tasks(wrong, message):
    with pytest.raises(ValueError, match=message):
        check_tasks([Task(**fields) for fields in wrong])
    with pytest.raises(ValueError, match=message):
        parse_tasks(wrong)


@pytest.mark.parametrize("module", ["pcgrad_tfx.config.tasks", "pcgrad_tfx.config.features"])
def test_importing_tasks_does_not_import_tensorflow(module):
    code = f"import sys, {module}; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert not {"tensorflow", "keras", "tfx", "tensorflow_model_analysis"} & set(loaded)
