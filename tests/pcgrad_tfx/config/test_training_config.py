"""What a Trainer may be given, and the line that says what is wrong."""

import json

import keras_tuner
import pytest

from pcgrad_tfx.config.training_config import hyperparameter_values, trainer_config

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
        ({"qqqqq": 1}, "qqqqq: unknown key; there are: surgery, surgery_every, .*…"),
        ({"surgery": "pcgard"}, 'surgery: "pcgard" .*ppcgrad, none, .*; did you mean "pcgrad"'),
        ({"gramian": "tap"}, 'gramian: "tap" .*tape, .*auto, features; did you mean "tape"'),
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


@pytest.mark.parametrize(
    "key", ["epochs", "batch_size", "embedding_dim", "hidden_units", "head_units"]
)
def test_numbers_that_tensorflow_cannot_count_to_are_refused(key):
    most = 2**31 - 1
    value = [most] if key.endswith("units") else most
    trainer_config(CONFIG | {key: value})
    for larger in (2**31, 10**30):
        value = [larger] if key.endswith("units") else larger
        with pytest.raises(ValueError, match=rf"^custom_config: {key}.*: {larger} "):
            trainer_config(CONFIG | {key: value})


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


def hyperband(folder, build):
    """The best hyperparameters of a second round of Hyperband, as TFX's Tuner writes them."""
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("loss", "min"), max_epochs=4, factor=2
    )
    oracle._set_project_dir(str(folder), "tuning")
    values = keras_tuner.HyperParameters()
    build(values)
    oracle.update_space(values)
    found = {}
    for number in range(12):
        trial = oracle.create_trial("tuner")
        if trial.status != "RUNNING":
            break
        oracle.update_trial(trial.trial_id, {"loss": 1 / (number + 1)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        found |= trial.hyperparameters.values
    (best,) = oracle.get_best_trials(1)
    return json.loads(json.dumps(best.hyperparameters.get_config())), set(found)


def test_hyperparameters_of_hyperband(tmp_path):
    def build(values):
        values.Choice("learning_rate", [0.25, 0.5])
        values.Choice("hidden_units", ["64,32", "64, 32"])

    config, names = hyperband(tmp_path, build)
    own = {"tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round", "tuner/trial_id"}
    assert own < names
    found = trainer_config({**CONFIG, "epochs": 7}, config)
    assert found.learning_rate in (0.25, 0.5)
    assert (found.hidden_units, found.epochs) == ((64, 32), 7)
    assert set(hyperparameter_values(config)) == {"learning_rate", "hidden_units"}
    assert trainer_config(CONFIG, config, train_steps=7).epochs is None


@pytest.mark.parametrize("form", [dict, tuned])
@pytest.mark.parametrize(
    ("value", "widths"),
    [("64,32", (64, 32)), (" 8 , 4,2", (8, 4, 2)), ("16", (16,)), (16, (16,)), ("", ())],
)
def test_widths_that_a_tuner_can_hold(form, value, widths):
    assert trainer_config(CONFIG, form({"hidden_units": value})).hidden_units == widths
    assert trainer_config(CONFIG, form({"head_units": value})).head_units == widths


@pytest.mark.parametrize("value", ["64,x", "64;32", "64,,32", "64,", "-3", "0", 2.5])
def test_wrong_widths_are_named(value):
    with pytest.raises(ValueError, match=r"^hyperparameters: hidden_units\[\d\]: .*\Z"):
        trainer_config(CONFIG, tuned({"hidden_units": value}))


@pytest.mark.parametrize("form", [dict, tuned])
@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    "key", ["hidden_units", "head_units", "batch_size", "learning_rate", "dropout", "activation"]
)
def test_a_truth_value_is_no_number(form, key, value):
    """As `hp.Boolean` gives it; for Python it is 1 or 0."""
    text = str(value).lower()
    with pytest.raises(ValueError, match=rf"^hyperparameters: {key}: {text} is neither a number"):
        trainer_config(CONFIG, form({key: value}))
    with pytest.raises(ValueError, match=rf"^custom_config: {key}: {text} is neither a number"):
        trainer_config({**CONFIG, key: [8, value] if key.endswith("units") else value})
    assert trainer_config(CONFIG, form({"wide": value})).wide is value


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
