"""What a Trainer may be given, and the line that says what is wrong."""

import json

import keras_tuner
import pytest

from pcgrad_tfx.training_config import trainer_config

TASK = {"name": "fare", "kind": "regression", "column": "fare"}
CONFIG = {"tasks": [TASK], "features": {"numeric": ["miles"]}}


def test_defaults():
    config = trainer_config(CONFIG)
    assert config.surgery == "pcgrad"
    assert config.epochs is None
    assert config.checkpoint_root is None
    assert [task.label_key for task in config.tasks] == ["fare_label"]


def test_a_configuration_survives_json():
    config = trainer_config({**CONFIG, "surgery": "none", "hidden_units": [4], "epochs": 3})
    assert trainer_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sugery": "none"}, 'sugery: unknown key; did you mean "surgery"'),
        ({"model_function": "a.b"}, 'model_function: unknown key; did you mean "model_fn"'),
        ({"qqqqq": 1}, "qqqqq: unknown key; .*surgery, gramian, .*code_version"),
        ({"surgery": "pcgard"}, 'surgery: "pcgard" .*ppcgrad, none; did you mean "pcgrad"'),
        ({"gramian": "tap"}, 'gramian: "tap" .*tape, .*auto; did you mean "tape"'),
        ({"epochs": 0}, "epochs: 0 .*greater than or equal to 1"),
        ({"batch_size": "many"}, 'batch_size: "many" .*whole number'),
        ({"learning_rate": 0}, "learning_rate: 0 .*greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate: NaN .*finite"),
        ({"seed": -1}, "seed: -1 .*greater than or equal to 0"),
        ({"hidden_units": [8, "x"]}, r'hidden_units\[1\]: "x" .*whole number'),
        ({"hidden_units": [8, 0]}, r"hidden_units\[1\]: 0 .*greater than or equal to 1"),
        ({"head_units": [0]}, r"head_units\[0\]: 0 .*greater than or equal to 1"),
        ({"tasks": []}, "there is no task; add one"),
        ({"tasks": [TASK, TASK]}, "two tasks are named 'fare'"),
        ({"tasks": [{**TASK, "kind": "ranking"}]}, r'tasks\[0\]\.kind: "ranking" .*regression'),
        ({"features": None}, "`features` is missing; pass it, or `embedding_sizes` .*`model_fn`"),
        ({"embedding_sizes": {}}, "`features` says how many ids there are; remove .*"),
        ({"features": None, "embedding_sizes": {"a": 0}}, "embedding_sizes.a: 0 .*equal to 1"),
        ({"features": {"numeric": []}}, "features: no column is a feature"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes, message):
    with pytest.raises(ValueError, match=rf"^custom_config: {message}.*\Z"):
        trainer_config(CONFIG | changes)


def test_every_mistake_has_its_line():
    with pytest.raises(ValueError, match=r"\A.*batch_size.*\n.*sead.*seed.*\Z"):
        trainer_config({**CONFIG, "batch_size": 0, "sead": 1})


@pytest.mark.parametrize("config", [None, {}, {"features": {"numeric": ["miles"]}}])
def test_missing_tasks(config):
    with pytest.raises(ValueError, match=r"^custom_config: tasks: is missing.*\Z"):
        trainer_config(config)


def test_features_are_not_needed_with_a_model_of_ones_own():
    assert trainer_config({"tasks": [TASK], "model_fn": "package.build"}).features is None


def tuned(values):
    hyperparameters = keras_tuner.HyperParameters()
    for name, value in values.items():
        hyperparameters.Fixed(name, value)
    return hyperparameters.get_config()


@pytest.mark.parametrize("form", [dict, tuned])
def test_hyperparameters_override_the_configuration(form):
    config = {**CONFIG, "batch_size": 8, "seed": 3}
    found = trainer_config(config, form({"batch_size": 64, "learning_rate": 0.25}))
    assert (found.batch_size, found.learning_rate, found.seed) == (64, 0.25, 3)


@pytest.mark.parametrize("form", [dict, tuned])
def test_a_wrong_hyperparameter_is_named(form):
    with pytest.raises(ValueError, match=r"^hyperparameters: learning_rate: -1.0 .*\Z"):
        trainer_config(CONFIG, form({"learning_rate": -1.0}))


@pytest.mark.parametrize("form", [dict, tuned])
def test_an_unknown_hyperparameter_is_refused_unless_a_model_fn_may_know_it(form):
    values = form({"learning_rat": 0.25})
    with pytest.raises(ValueError, match=r"^hyperparameters: learning_rat: .*learning_rate.*\Z"):
        trainer_config(CONFIG, values)
    config = trainer_config({**CONFIG, "model_fn": "package.build"}, values)
    assert config.learning_rate == trainer_config(CONFIG).learning_rate


@pytest.mark.parametrize("key", ["tasks", "model_fn", "checkpoint_root"])
def test_a_hyperparameter_is_no_other_key_of_the_configuration(key):
    with pytest.raises(ValueError, match=f"^hyperparameters: {key}: unknown key"):
        trainer_config(CONFIG, {key: "x"})


def test_steps_take_the_place_of_epochs():
    assert trainer_config(CONFIG, train_steps=7).epochs is None


@pytest.mark.parametrize(
    ("changes", "hyperparameters"), [({"epochs": 3}, None), ({}, {"epochs": 3})]
)
def test_steps_and_epochs_together_are_an_error_that_names_both(changes, hyperparameters):
    with pytest.raises(ValueError, match=r"train_args.num_steps = 7 and epochs = 3 "):
        trainer_config(CONFIG | changes, hyperparameters, train_steps=7)
