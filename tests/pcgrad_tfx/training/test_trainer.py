"""`run_fn` as TFX's Trainer runs it."""

import functools

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx

import pcgrad_tfx.training.trainer
from pcgrad_tfx.config import training_rule
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import trainer_config as pcgrad_config
from pcgrad_tfx.training import inputs
from pcgrad_tfx.training.distribution import ACCELERATOR_VARIABLE, check_accelerator
from transform_runs import config_of, to_example
from transformed import op_determinism
from trips import (
    EVAL_STEPS,
    FEATURES,
    ROWS,
    STEPS_PER_EPOCH,
    TASKS,
    dropout_model,
    raw_row,
    trainer_config,
)

pytestmark = pytest.mark.long


def assert_same_weights(found, wanted, atol=0.0):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def differ(found, wanted):
    return any(not np.allclose(a, b, atol=1e-4) for a, b in zip(found, wanted, strict=True))


def test_logs_and_metrics(trained):
    assert trained.epochs == [0, 1]
    lines = trained.conflicts
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        pairs = {tuple(sorted(pair["tasks"])): pair for pair in line["pairs"]}
        assert set(pairs) == {("big_tip", "payment"), ("big_tip", "price"), ("payment", "price")}
        assert all(pair["steps"] == STEPS_PER_EPOCH for pair in line["pairs"])
        assert all(-1 <= pair["mean_cosine"] <= 1 for pair in line["pairs"])
        assert set(line["probes"]["tasks"]) == {task.name for task in TASKS}
        assert all(pair["opposed"] is not None for pair in line["probes"]["pairs"])
    assert 3 <= lines[-1]["probes"]["probes"] < 6
    scalars = trained.scalars()
    assert scalars["train", "epoch_loss"] == scalars["validation", "epoch_loss"] == [0, 1]
    assert scalars[".", "cosine/big_tip/price"] == [0, 1]


@pytest.mark.parametrize(("enough", "split"), [(10, "eval"), (len(ROWS["eval"]) + 1, "train")])
def test_probes_take_rows_of_eval_where_there_are_enough(
    transformed_data, monkeypatch, enough, split
):
    monkeypatch.setattr(inputs, "_ENOUGH_HELD_OUT", enough)
    given = []
    monkeypatch.setattr(inputs, "ConflictProbe", lambda batches, **_: given.append(batches))
    files = map(transformed_data.files, ("train", "eval"))
    config = pcgrad_config(trainer_config(probes=3))
    found = inputs.read_inputs(config, transformed_data.output, transformed_data.files("train"))
    found.conflict_probe(*files)
    _, wanted = transformed_data.rows(split)
    rows = np.concatenate([labels["price"] for _, labels, *_ in given[0]])
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(wanted["price"], axis=0))


def test_validation_is_that_of_the_served_answers(trained, transformed_data):
    """Means over the rows that have the label."""
    answers = trained.serve(ROWS["eval"])
    _, labels = transformed_data.rows("eval")
    known = {name: ~np.isnan(label) for name, label in labels.items()}
    assert not any(has_label.all() for has_label in known.values())
    label = {name: labels[name].numpy()[known[name]] for name in labels}
    tip, price, payment = (answers[task.name][known[task.name]] for task in TASKS)
    error = price[:, 0] - label["price"]
    chosen = np.take_along_axis(payment, label["payment"].astype(int)[:, np.newaxis], axis=1)
    wanted = {
        "big_tip_loss": -np.log(np.where(label["big_tip"] == 1, tip[:, 0], 1 - tip[:, 0])).mean(),
        "price_loss": (error**2).mean(),
        "price_mean_absolute_error": np.abs(error).mean(),
        "payment_loss": -np.log(chosen).mean(),
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(trained.history[f"val_{name}"][-1], value, rtol=1e-4)


def test_training_learns(trained):
    for loss in ("loss", "price_loss", "val_loss", "val_price_loss"):
        first, last = trained.history[loss]
        assert last < 0.97 * first


def test_plain_sum_of_losses(trained, transformed_data, tmp_path):
    """A step takes one backward pass; what the tasks do to each other the probes tell."""
    run = transformed_data.train(tmp_path, trainer_config(epochs=2, surgery="none", probes=3))
    assert all(line["pairs"] == [] and line["probes"] for line in run.conflicts)
    assert any(pair["conflicting"] for line in trained.conflicts for pair in line["pairs"])
    assert differ(run.weights, trained.weights)
    assert len(run.conflicts) == 2
    assert set(run.serve([raw_row(1)])) == {task.name for task in TASKS}


class _Weights(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.get_weights())


@pytest.mark.usefixtures("not_exported")
def test_pcgrad_and_ppcgrad_agree_at_every_one_of_50_steps(transformed_data, tmp_path):
    runs, weights = {}, {}
    for surgery in ("pcgrad", "ppcgrad"):
        callback = _Weights()
        config = trainer_config(surgery=surgery)
        with op_determinism():
            runs[surgery] = transformed_data.train(
                tmp_path / surgery, config, train_steps=50, callbacks=[callback]
            )
        weights[surgery] = callback.steps
    assert len(weights["pcgrad"]) == 50
    for one, other in zip(weights["pcgrad"], weights["ppcgrad"], strict=True):
        assert_same_weights(one, other, atol=1e-5)
    one, other = (list(run.history.values()) for run in runs.values())
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("not_exported")
def test_the_seed_determines_the_weights(trained, transformed_data, tmp_path):
    keras.utils.set_random_seed(99)
    again = transformed_data.train(tmp_path / "again", trainer_config(epochs=2, probes=3))
    other = transformed_data.train(tmp_path / "other", trainer_config(epochs=2, seed=1))
    assert_same_weights(again.weights, trained.weights, atol=1e-6)
    assert differ(other.weights, trained.weights)
    # What is looked up by name (a Tuner's objective, a TensorBoard tag) must be there each time.
    assert set(again.history) == set(trained.history)


@pytest.mark.usefixtures("not_exported")
def test_inner_products_layer_by_layer_teach_the_same(trained, transformed_data, tmp_path):
    run = transformed_data.train(tmp_path, trainer_config(epochs=2, gramian="layerwise"))
    assert "shared_0/kernel: product" in run.model.describe_gramian()
    assert "product" not in trained.model.describe_gramian()
    assert_same_weights(run.weights, trained.weights, atol=1e-5)


@pytest.mark.usefixtures("not_exported")
def test_inner_products_at_the_features(trained, transformed_data, tmp_path):
    run = transformed_data.train(tmp_path, trainer_config(epochs=2, gramian="features"))
    assert "at the features" in run.model.describe_gramian()
    assert differ(run.weights, trained.weights)


@pytest.mark.usefixtures("not_exported")
def test_of_many_tasks_they_are_taken_layer_by_layer(transformed_data, tmp_path, monkeypatch):
    monkeypatch.setattr(training_rule, "_TASKS_BY_LAYER", len(TASKS))
    run = transformed_data.train(tmp_path, trainer_config(epochs=1))
    assert "shared_0/kernel: product" in run.model.describe_gramian()


@pytest.mark.usefixtures("not_exported")
@pytest.mark.parametrize(
    ("steps", "epochs", "eval_steps"),
    [
        (4, 1, 2),
        (STEPS_PER_EPOCH, 1, EVAL_STEPS),
        (STEPS_PER_EPOCH + 2, 2, 0),
        (4, 1, EVAL_STEPS + 3),
    ],
)
def test_num_steps_are_exact(transformed_data, tmp_path, steps, epochs, eval_steps):
    run = transformed_data.train(
        tmp_path, trainer_config(), train_steps=steps, eval_steps=eval_steps
    )
    assert run.steps == steps
    assert int(run.model.optimizer.iterations) == steps
    assert len(run.epochs) == epochs
    # There are no more than so many.
    assert run.eval_steps == [min(eval_steps or EVAL_STEPS, EVAL_STEPS)] * epochs


@pytest.mark.usefixtures("not_exported")
@pytest.mark.filterwarnings("ignore:task '.*' had no label in evaluation")
def test_a_batch_without_any_label_of_a_task(transformed_data, tmp_path):
    config = trainer_config(batch_size=1)
    run = transformed_data.train(tmp_path, config, train_steps=20, eval_steps=1)
    assert all(np.isfinite(weight).all() for weight in run.weights)
    # Of eleven rows one lacks the payment, and two the tip.
    assert all(pair["steps"] < 20 for pair in run.conflicts[0]["pairs"])


def test_a_model_of_ones_own_and_its_hyperparameters(transformed_data, tmp_path):
    config = trainer_config(
        epochs=1,
        model_fn="trips.dropout_model",
        features=None,
        learning_rate_schedule="constant",
    )
    values = keras_tuner.HyperParameters()
    for name, value in {"learning_rate": 0.125, "batch_size": 45, "width": 5}.items():
        values.Fixed(name, value)
    run = transformed_data.train(tmp_path, config, hyperparameters=values.get_config())
    assert float(run.model.optimizer.learning_rate) == 0.125
    assert run.steps == 2
    assert run.model.get_layer("shared").units == 5
    assert len(run.conflicts) == 1
    # Without `features` a request may have all columns but the labels'.
    answers = run.serve([{"miles": [3.5], "company": ["Red"], "hour": [7]}, {}])
    shapes = {name: value.shape for name, value in answers.items()}
    assert shapes == {"big_tip": (2, 1), "price": (2, 1), "payment": (2, 3)}
    assert not np.array_equal(*answers["payment"])


def test_logits_are_trained_and_served_as_the_probabilities_that_they_are(
    transformed_data, tmp_path
):
    config = trainer_config(model_fn="trips.dropout_model", features=None)
    runs = [
        transformed_data.train(
            tmp_path / str(logits), config, train_steps=9, hyperparameters={"logits": logits}
        )
        for logits in (False, True)
    ]
    wanted, found = ([np.sort(np.ravel(w)) for w in run.weights] for run in runs)
    by_size = functools.partial(sorted, key=lambda weight: (weight.size, weight.tolist()))
    assert_same_weights(by_size(found), by_size(wanted), atol=1e-5)
    wanted, found = (run.serve(ROWS["eval"]) for run in runs)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["payment"].sum(axis=1), 1, rtol=1e-5)
    assert set(runs[0].history) == set(runs[1].history)


def wild_model(feature_spec, tasks, hyperparameters):
    """The first task's output is no probability: hidden from whoever looks at the layers."""
    plain = dropout_model(feature_spec, tasks, hyperparameters)
    first, *others = plain.outputs
    names = [task.name for task in tasks]
    return keras.Model(plain.input, dict(zip(names, [5.0 * first, *others], strict=True)))


@pytest.mark.usefixtures("not_exported")
def test_our_model_after_a_preprocessing_of_ones_own(trained, transformed_data, tmp_path):
    """The user tells which features are ids; the model is the one that `features` leads to."""
    found = trained.model.get_layer("vectors").get_config()["sizes"]
    sizes = dict(zip(("company_xf", "hour_xf"), found, strict=True))
    own = transformed_data.train(
        tmp_path, trainer_config(epochs=2, features=None, embedding_sizes=sizes)
    )
    assert_same_weights(own.weights, trained.weights, atol=1e-5)


@pytest.mark.usefixtures("not_exported")
def test_warm_start(trained, transformed_data, tmp_path):
    """So slow that the weights stay, and each step counts from 0 again."""
    config = trainer_config(learning_rate=1e-12, seed=7)
    run = transformed_data.train(tmp_path, config, train_steps=4, base_model=trained.folder)
    assert run.steps == 4
    assert_same_weights(run.weights, trained.weights, atol=1e-9)


def test_a_base_model_of_another_shape_is_refused(trained, transformed_data, tmp_path):
    config = trainer_config(epochs=1, hidden_units=[7])
    message = r"does not fit the model to train: .*shared.* has .*7.*, not .*8"
    with pytest.raises(ValueError, match=message):
        transformed_data.train(tmp_path, config, base_model=trained.folder)


def test_a_foreign_base_model_is_refused(transformed_data, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "base" / "model" / "Format-Serving"))
    with pytest.raises(ValueError, match="holds no `model_weights`; warm-start from a model that"):
        transformed_data.train(tmp_path / "run", base_model=tmp_path / "base")


def compiled_model(feature_spec, tasks, hyperparameters):
    model = dropout_model(feature_spec, tasks, hyperparameters)
    model.compile("sgd", ["mse"] * len(tasks))
    return model


OWN = config_of((Task(name="tip", kind="binary", column="tips"),), FEATURES)["tasks"]


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"batch_sise": 8}, {}, 'batch_sise: unknown key; did you mean "batch_size"'),
        ({"tasks": None}, {}, "tasks: is missing"),
        ({"features": None}, {}, "`features` is missing"),
        ({"features": None, "embedding_sizes": {}}, {}, "'company_xf' holds int64; if these are"),
        ({"epochs": 2}, {"train_steps": 3}, "train_args.num_steps = 3 and epochs = 2 both say"),
        ({}, {"hyperparameters": {"width": 5}}, "hyperparameters: width: unknown key"),
        ({"tasks": OWN}, {}, "task 'tip': label_key 'tip_label' is not among the transformed"),
        ({"model_fn": "no_such.build"}, {}, "model_fn: cannot import 'no_such.build'"),
        ({"model_fn": "test_trainer.compiled_model"}, {}, "compiled_model returned a compiled"),
        (
            {"model_fn": "test_trainer.wild_model"},
            {},
            "test_trainer.wild_model: task 'big_tip': outputs from .* are no probabilities; apply",
        ),
    ],
)
def test_what_is_wrong_is_said_before_training(
    transformed_data, tmp_path, changes, arguments, message
):
    with pytest.raises(ValueError, match=rf"\A.*{message}.*\Z"):
        transformed_data.train(tmp_path, trainer_config(**changes), **arguments)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "model_run").exists()


def test_an_accelerator_that_was_asked_for_must_be_there(transformed_data, tmp_path, monkeypatch):
    monkeypatch.setenv(ACCELERATOR_VARIABLE, "nvidia.com/gpu")
    devices = [tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices)
    with pytest.raises(ValueError, match=r"^an accelerator \(nvidia.com/gpu\) was asked for"):
        transformed_data.train(tmp_path)
    devices.append(tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU"))
    check_accelerator()


@pytest.mark.parametrize("train_steps", [1, 20])
def test_diverged_training_is_an_error_and_no_model(transformed_data, tmp_path, train_steps):
    message = r"^training diverged in step \d: .* is not finite; lower the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        transformed_data.train(
            tmp_path, trainer_config(learning_rate=1e30), train_steps=train_steps
        )
    assert not (tmp_path / "model").exists()


def test_an_empty_train_split_is_named(transformed_data, tmp_path, monkeypatch):
    split = tmp_path / "examples" / "Split-train"
    split.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    tf.io.TFRecordWriter(str(split / "empty.gz"), options).close()
    (tmp_path / "examples" / "Split-eval").mkdir()
    monkeypatch.setattr(transformed_data, "examples_dir", tmp_path / "examples")
    with pytest.raises(ValueError, match=r"there is no row in .*Split-train.*; check the train"):
        transformed_data.train(tmp_path / "run")


def test_as_a_module_file(transformed_data, tmp_path):
    properties = {"module_file": pcgrad_tfx.training.trainer.__file__}
    run = transformed_data.train(tmp_path, trainer_config(), train_steps=1, properties=properties)
    assert set(run.serve([raw_row(1)])) == {task.name for task in TASKS}


@pytest.mark.slow
def test_as_a_module_file_of_a_pipeline(transformed_data, tmp_path):
    """TFX packs the module file and its siblings into a wheel, and installs that."""
    examples, graph = transformed_data.inputs().values()
    importers = {
        name: tfx.dsl.Importer(
            source_uri=artifact.uri,
            artifact_type=type(artifact),
            properties={"split_names": artifact.split_names} if name == "examples" else None,
        ).with_id(name)
        for name, (artifact,) in (("examples", examples), ("graph", graph))
    }
    trainer = tfx.components.Trainer(
        module_file=pcgrad_tfx.training.trainer.__file__,
        examples=importers["examples"].outputs["result"],
        transform_graph=importers["graph"].outputs["result"],
        train_args=tfx.proto.TrainArgs(num_steps=2),
        eval_args=tfx.proto.EvalArgs(),
        custom_config=trainer_config(),
    )
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="module_file",
        pipeline_root=str(tmp_path / "root"),
        metadata_connection_config=connection(str(tmp_path / "metadata.db")),
        components=[*importers.values(), trainer],
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    (wheel,) = (tmp_path / "root" / "_wheels").iterdir()
    assert wheel.suffix == ".whl"
    (model,) = (tmp_path / "root").glob("Trainer/model/*/Format-Serving")
    serve = tf.saved_model.load(str(model)).signatures["serving_default"]
    assert set(serve(examples=tf.constant([to_example(raw_row(1))]))) == {t.name for t in TASKS}


def test_the_optimizer_and_the_surgery_are_the_configured_ones(transformed_data, tmp_path):
    config = trainer_config(
        epochs=4, optimizer="sgd", learning_rate=0.2, learning_rate_schedule="cosine", warmup=0.25,
        weight_decay=0.03, clipnorm=0.7, ema=0.9, surgery="dwa",
    )  # fmt: skip
    model = transformed_data.train(tmp_path, config).model
    # Its paper goes by epochs.
    assert model.compiled_training.weighting.period == STEPS_PER_EPOCH
    optimizer = model.optimizer
    assert type(optimizer) is keras.optimizers.SGD
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.03, 0.7)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9)
    schedule = optimizer.get_config()["learning_rate"]["config"]
    rate = keras.optimizers.schedules.CosineDecay(**schedule)
    steps = 4 * STEPS_PER_EPOCH
    rates = [float(rate(step)) for step in range(steps + 1)]
    assert rates[0] == 0
    assert rates[steps // 8] == pytest.approx(0.1)
    assert rates[steps // 4] == pytest.approx(0.2)
    assert rates[5 * steps // 8] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "separate"])
def test_every_architecture_is_saved_and_served(transformed_data, tmp_path, architecture):
    config = trainer_config(epochs=1, architecture=architecture, hidden_units=[6, 4])
    run = transformed_data.train(tmp_path, config)
    answers = run.serve([{"miles": [3.5], "company": ["Red"], "hour": [7]}, {}])
    assert set(answers) == {task.name for task in TASKS}
    assert not any(np.array_equal(*values) for values in answers.values())
