"""What is printed of each epoch."""

import io
import math
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.training.building import compile_model
from pcgrad_tfx.training.callbacks import epoch_lines
from pcgrad_tfx.training.callbacks.epoch_lines import WIDTH, EpochLines
from pcgrad_tfx.training.callbacks.loss_ranges import LossRange
from pcgrad_tfx.training.label_statistics import LabelStatistics

TASKS = (
    Task(name="sold", kind="binary", column="sold"),
    Task(name="price", kind="regression", column="price"),
    Task(name="grade", kind="multiclass", column="grade", classes=["a", "b", "c"]),
)
ROWS, STD = 64, 10.0
CLASSES = {"multiclass": ["a", "b", "c"]}


def labels(task, rng):
    if task.kind == "regression":
        return rng.normal(1, STD, ROWS).astype("float32")
    return rng.integers(0, len(task.classes or "01"), ROWS).astype("float32")


def ranges_of(tasks):
    return {task.name: LossRange(STD**2) for task in tasks if task.kind == "regression"}


def train(tasks, console, *, epochs=2, error_at=None):
    """Trains a small model on made-up rows; returns Keras's logs of each epoch."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    inputs = keras.Input([3])
    sizes = {"multiclass": 3}
    outputs = {
        task.name: keras.layers.Dense(sizes.get(task.kind, 1), task.activation)(inputs)
        for task in tasks
    }
    model = MultiTaskModel(inputs, outputs)
    statistics = {t.name: LabelStatistics(100.0, STD) for t in tasks if t.kind == "regression"}
    config = TrainerConfig(tasks=tasks, embedding_sizes={}, surgery="none")
    compile_model(model, config, tasks, statistics, steps=10)
    rows = (rng.normal(size=(ROWS, 3)), {task.name: labels(task, rng) for task in tasks})
    history = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: history.append(logs))

    def stop(batch, logs):
        if batch == error_at:
            raise FloatingPointError("diverged")

    with EpochLines(tasks, ranges_of(tasks), "logs/7", console) as lines:
        callbacks = [lines, record, keras.callbacks.LambdaCallback(on_train_batch_end=stop)]
        model.fit(
            *rows,
            batch_size=16,
            epochs=epochs,
            validation_data=rows,
            callbacks=callbacks,
            verbose=0,
        )
    return history


def plain_console():
    return Console(file=io.StringIO(), width=60)


def printed(console):
    return console.file.getvalue().splitlines()


def test_an_epoch_is_one_line_with_a_metric_on_eval_for_each_task():
    console = plain_console()
    logs = train(TASKS, console, epochs=12)
    lines = printed(console)
    assert len(lines) == 12
    first, last = logs[0], logs[-1]
    assert re.fullmatch(
        rf"  epoch  1/12  \d+\.\d s  loss {first['loss']:.4g}  "
        rf"sold AUC {first['val_sold_auc']:.4g}  "
        rf"price MAE {first['val_price_mean_absolute_error']:.4g}  "
        rf"grade accuracy {first['val_grade_sparse_categorical_accuracy']:.4g}",
        lines[0],
    )
    assert lines[-1].startswith("  epoch 12/12  ")
    assert f"{last['val_sold_auc']:.4g}" in lines[-1]
    assert max(map(len, lines)) <= WIDTH


def test_of_one_task_too():
    console = plain_console()
    train(TASKS[:1], console)
    assert " AUC 0." in printed(console)[0]


def many(*kinds, number=7):
    return [
        Task(name=f"{kind[:3]}_{n}", kind=kind, column="x", classes=CLASSES.get(kind))
        for n in range(number)
        for kind in kinds
    ]


def epochs_of(tasks, console, *logs):
    """What is printed of epochs whose numbers are given."""
    with EpochLines(tasks, ranges_of(tasks), "logs/7", console) as lines:
        lines.set_params({"epochs": len(logs), "steps": 1})
        for epoch, values in enumerate(logs):
            lines.on_epoch_begin(epoch)
            lines.on_epoch_end(epoch, values)
    return printed(console)


def test_of_many_tasks_the_mean_and_the_worst_and_where_the_rest_is():
    logs = {"loss": 1.5}
    for n in range(7):
        logs |= {f"val_bin_{n}_auc": 0.9 - 0.1 * n, f"val_bin_{n}_loss": 0.5}
        logs |= {f"val_reg_{n}_loss": 10.0 + n, f"val_reg_{n}_mean_absolute_error": 3.0}
    # Without labels in eval.
    logs |= {"val_reg_2_loss": math.nan, "val_reg_2_mean_absolute_error": math.nan}
    first, where, second = epochs_of(many("binary", "regression"), plain_console(), logs, logs)
    assert first.endswith(" s  loss 1.5  AUC 0.6, worst 0.3 (bin_6)  R² 0.868, worst 0.84 (reg_6)")
    assert where == "    all tasks: tensorboard --logdir logs/7"
    assert second.partition(" s ")[2] == first.partition(" s ")[2]


def test_of_many_kinds_only_the_means():
    logs = {"loss": 1.5}
    for n in range(3):
        logs |= {f"val_bin_{n}_auc": 0.75, f"val_mul_{n}_sparse_categorical_accuracy": 0.5}
        logs |= {f"val_reg_{n}_loss": 25.0, f"val_reg_{n}_mean_absolute_error": 3.0}
    tasks = many("binary", "regression", "multiclass", number=3)
    first, _ = epochs_of(tasks, plain_console(), logs)
    assert first.endswith("  loss 1.5  AUC 0.75  R² 0.75  accuracy 0.5")


def test_names_as_long_as_they_may_be_do_not_make_lines_longer():
    tasks = [Task(name=letter * 64, kind="binary", column="x") for letter in "ab"]
    logs = {"loss": 1.5} | {f"val_{task.name}_auc": 0.75 for task in tasks}
    first, _ = epochs_of(tasks, plain_console(), logs)
    assert first.endswith("  loss 1.5  AUC 0.75")


@pytest.mark.parametrize("error_at", [None, 2])
def test_a_terminal_has_a_progress_bar_which_does_not_stay(error_at):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    if error_at is None:
        train(TASKS, console)
    else:
        with pytest.raises(FloatingPointError):
            train(TASKS, console, error_at=error_at)
    text = console.file.getvalue()
    assert "━" in text
    assert "epoch 1/2" in text
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert text.rindex(show) > text.rindex(hide)


def test_all_numbers_are_logged(monkeypatch):
    messages = []
    monkeypatch.setattr(epoch_lines.logging, "info", lambda text, *of: messages.append(text % of))
    logs = train(TASKS, plain_console(), epochs=1)
    (message,) = [m for m in messages if m.startswith("epoch 1/1: ")]
    for name, value in logs[0].items():
        assert f"{name}={value:.6g}" in message
