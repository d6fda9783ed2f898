"""Which finished runs an interrupted comparison takes over: those that would come out the same."""

import json
import os
from types import SimpleNamespace

import pytest
from tfx.types import standard_artifacts

from comparison_runs import UNTUNED
from pcgrad_tfx.comparison import executor
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.methods import Candidate
from pcgrad_tfx.comparison.references import ReferenceScore
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Run
from pcgrad_tfx.comparison.trainings import Job
from pcgrad_tfx.comparison.work import Finished
from transformed import artifact
from trips import TASKS, trainer_config

FIRST, FIFTH = (EQUAL_WEIGHTS, 0), ("single task", 0)
GRID = [{"price": 3}]


class Interrupted:
    """Trainings of which four are finished before the process is killed."""

    def __init__(self):
        self.trained = []
        self.rows = {}

    @property
    def config(self):
        return SimpleNamespace(restore_best=True)

    def run(self, job):
        if len(self.trained) == 4:
            raise KeyboardInterrupt
        self.trained.append((job.candidate.method, job.seed))
        return Run(method=job.candidate.method, seed=job.seed, eval={}, test={})


@pytest.fixture
def first_trained(tmp_path, monkeypatch):
    """Begins a comparison; returns the first run that it trains itself."""

    def begin(*, uris=None, settings=None, **config):
        trainings = Interrupted()
        monkeypatch.setattr(executor, "_check_whole", lambda _: None)
        monkeypatch.setattr(executor.Inputs, "prepared", lambda _: trainings)
        inputs = {
            "examples": standard_artifacts.Examples,
            "transformed_examples": standard_artifacts.Examples,
            "transform_graph": standard_artifacts.TransformGraph,
        }
        common = {"epochs": 2, "checkpoint_root": os.fspath(tmp_path)}
        custom_config = trainer_config(**(common | config))
        custom_config["comparison"] = UNTUNED | {"static_weights": GRID} | (settings or {})
        with pytest.raises(KeyboardInterrupt):
            executor.Executor().Do(
                {key: [artifact(kind, (uris or {}).get(key, key))] for key, kind in inputs.items()},
                {"comparison": [artifact(ComparisonResults, tmp_path / "results")]},
                {"custom_config": json.dumps(custom_config)},
            )
        return trainings.trained[0]

    return begin


def test_the_same_comparison_goes_on(first_trained):
    assert first_trained() == FIRST
    assert first_trained() == FIFTH


@pytest.mark.parametrize(
    "change",
    [
        {"surgery": "none"},
        {"seed": 7},
        {"settings": {"seeds": 3}},
        {"settings": {"epochs": 2}},
    ],
    ids=str,
)
def test_what_changes_no_training_keeps_the_finished_runs(first_trained, change):
    first_trained()
    assert first_trained(**change) == FIFTH


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"static_weights": [{"price": 5}]}, ("static weights", 0)),
        ({"static_weights": []}, FIFTH),
        ({"methods": ["famo", "pcgrad"]}, ("FAMO", 0)),
        ({"methods": [{"architecture": "mmoe"}]}, ("mmoe", 0)),
        ({"methods": ["ppcgrad", "pcgrad"]}, FIFTH),
        ({"search": 2}, (EQUAL_WEIGHTS, executor._SEARCH_SEED)),
    ],
    ids=str,
)
def test_what_is_new_is_trained_alone(first_trained, settings, first):
    first_trained()
    assert first_trained(settings=settings) == first


def with_tasks(**changes):
    first, *others = (task.model_dump(mode="json", exclude={"gate"}) for task in TASKS)
    return {"tasks": [first | changes, *others]}


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"epochs": 3}},
        {"epochs": 3},
        {"batch_size": 8},
        {"learning_rate": 0.1},
        {"hidden_units": [9]},
        {"head_units": [4]},
        {"embedding_dim": 3},
        {"gramian": "layerwise"},
        {"model_fn": "trips.dropout_model"},
        {"code_version": "another"},
        with_tasks(loss_weight=2.0),
        with_tasks(above=0.3),
        {"uris": {"examples": "others"}},
        {"uris": {"transformed_examples": "others"}},
        {"uris": {"transform_graph": "others"}},
    ],
    ids=lambda change: str(change)[:70],
)
def test_what_changes_a_training_forgets_the_finished_runs(first_trained, change):
    first_trained()
    assert first_trained(**change) == FIRST
    # Each keeps its own.
    assert first_trained(**change) == FIFTH
    assert first_trained() == FIFTH


def test_references_are_taken_over_task_by_task_of_the_same_search(first_trained, monkeypatch):
    made = []

    def best(task, count, inputs):
        made.append((task, count))
        return ReferenceScore(model="made up", task=task, test=0.5)

    def best_linear(task, count, inputs):
        return best(task, count, inputs)

    monkeypatch.setattr(executor, "best_trees", best)
    monkeypatch.setattr(executor, "best_linear", best_linear)
    monkeypatch.setattr(executor, "reference_tasks", lambda _: ["big_tip", "price"])
    for search in (0, 0, 1):
        first_trained(settings={"reference": True, "search": search})
    both = [(task, count) for count in (0, 1) for task in ("big_tip", "price")]
    assert sorted(made) == sorted(2 * both)


def test_every_training_has_a_place_of_its_own(tmp_path):
    kept = Finished(os.fspath(tmp_path))
    how = [
        {},
        {"surgery": "pcgrad"},
        {"architecture": "mmoe"},
        {"weights": {"price": 2.0}},
        {"weights": {"price": 3.0}},
        {"task": "price"},
        {"settings": {"learning_rate": 0.1}},
        {"settings": {"weight_decay": 0.1}},
    ]
    jobs = [Job(Candidate(method="m", **one), seed) for one in how for seed in range(12)]
    assert len({job.key for job in jobs}) == len(jobs)
    for number, job in enumerate(jobs):
        kept.write(job.key, Run(method="m", seed=number, eval={}))
    for number, job in enumerate(jobs):
        assert kept.read(job.key, Run).seed == number
