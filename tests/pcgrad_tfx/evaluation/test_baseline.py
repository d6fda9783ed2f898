"""Only a blessed model of the same tasks is a baseline."""

import json

import pytest
from tfx.types import standard_artifacts

from pcgrad_tfx.config.tasks import parse_tasks
from pcgrad_tfx.evaluation.baseline import SameTasksModelStrategy
from pcgrad_tfx.training.task_definitions import definitions, learned_same_tasks, write_definitions
from trips import TASKS

TIP = {"name": "tip", "kind": "binary", "column": "tips", "above": 0.0}
FARE = {"name": "fare", "kind": "regression", "column": "fare"}


def tasks(*items):
    return parse_tasks(items)


@pytest.fixture
def blessed(tmp_path):
    """Makes a blessed model of some tasks, the way Trainer and Evaluator leave it."""
    models, blessings = [], []

    def make(made_of, is_blessed=True):
        model = standard_artifacts.Model()
        model.id = len(models) + 1
        model.uri = str(tmp_path / str(model.id))
        if made_of:
            write_definitions(f"{model.uri}/Format-Serving", made_of)
        blessing = standard_artifacts.ModelBlessing()
        blessing.set_int_custom_property("current_model_id", model.id)
        blessing.set_int_custom_property("blessed", int(is_blessed))
        models.append(model)
        blessings.append(blessing)
        return {"model": list(models), "model_blessing": list(blessings)}

    return make


def found(artifacts, wanted, trained=()):
    strategy = SameTasksModelStrategy(json.dumps(definitions(wanted)))
    given = {**artifacts, "trained": list(trained)}
    resolved = strategy.resolve_artifacts(None, given)
    assert resolved["trained"] == given["trained"]
    return [model.id for model in resolved["model"]]


def test_the_last_blessed_model_of_the_same_tasks(blessed):
    blessed(tasks(TIP, FARE))
    blessed(tasks(TIP, FARE))
    blessed(tasks(TIP, FARE), is_blessed=False)
    artifacts = blessed(tasks(TIP))
    assert found(artifacts, tasks(FARE, TIP)) == [2]
    assert found(artifacts, tasks(TIP)) == [4]


def test_a_model_is_not_its_own_baseline(blessed):
    blessed(tasks(TIP))
    artifacts = blessed(tasks(TIP))
    first, second = artifacts["model"]
    assert found(artifacts, tasks(TIP), [second]) == [1]
    assert found(artifacts, tasks(TIP), [first]) == [2]
    assert found({**artifacts, "model": [second]}, tasks(TIP), [second]) == []


@pytest.mark.parametrize(
    "other",
    [[TIP], [TIP, FARE, {**FARE, "name": "more"}], [{**TIP, "above": 1.0}, FARE]],
    ids=["a task less", "a task more", "another label"],
)
def test_other_tasks_are_no_baseline(blessed, other):
    assert found(blessed(tasks(*other)), tasks(TIP, FARE)) == []


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ({**TIP, "column": "payment", "above": None, "positive": "Card"}, {"positive": "Cash"}),
        (TIP, {"column": "fare"}),
        (TIP, {"divide_by": "fare"}),
        (TIP, {"valid_above": 0.0}),
        (FARE, {"log_scale": True}),
        (FARE, {"weight": "miles"}),
        (FARE, {"only_where": {"payment": "Card"}}),
        (
            {"name": "zone", "kind": "multiclass", "column": "zone", "classes": ("a", "b", "c")},
            {"classes": ("b", "a", "c")},
        ),
    ],
)
def test_what_makes_a_label_makes_a_task(blessed, task, change):
    assert found(blessed(tasks(task)), tasks(task)) == [1]
    assert found(blessed(tasks(task)), tasks({**task, **change})) == []


def test_what_changes_no_label_and_no_weight_is_the_same_task(blessed):
    changed = {**TIP, "gate": {"min_gain": 0.3}, "loss_weight": 2.0, "class_weight": "balanced"}
    changed |= {"loss": "focal", "focal_gamma": 1.0, "label_smoothing": 0.1}
    assert found(blessed(tasks(changed, FARE)), tasks(TIP, FARE)) == [1]


def test_a_model_that_does_not_tell_its_tasks_is_no_baseline(blessed):
    assert found(blessed(None), tasks(TIP)) == []


def test_without_any_model_there_is_no_baseline():
    assert found({"model": [], "model_blessing": []}, tasks(TIP)) == []


def test_run_fn_notes_the_tasks(trained):
    assert learned_same_tasks(str(trained.model_dir), definitions(TASKS))


def test_an_older_models_tasks_lack_the_keys_that_have_come_since(tmp_path):
    """They learned what the keys' defaults say."""
    write_definitions(str(tmp_path), tasks(TIP))
    file = tmp_path / "assets.extra" / "tasks.json"
    stored = json.loads(file.read_text())
    stored["tip"].pop("only_where")
    stored["tip"].pop("weight")
    file.write_text(json.dumps(stored))
    assert learned_same_tasks(str(tmp_path), definitions(tasks(TIP)))
    assert not learned_same_tasks(
        str(tmp_path), definitions(tasks({**TIP, "only_where": {"paid": 1}}))
    )
