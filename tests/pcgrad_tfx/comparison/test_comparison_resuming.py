"""Which finished runs an interrupted comparison takes over: those that would come out the same."""

import itertools
import json
import os

import pytest
from tfx.types import standard_artifacts

from pcgrad_tfx.comparison import executor
from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Run
from transformed import artifact
from trips import TASKS, trainer_config

FIRST, FIFTH = (EQUAL_WEIGHTS, 0), ("static weights", 0)
GRID = [{"price": 3}, {"payment": 3}]


class Interrupted:
    """Trainings of which four are finished before the process is killed."""

    def __init__(self):
        self.trained = []

    def run(self, candidate, seed):
        if len(self.trained) == 4:
            raise KeyboardInterrupt
        self.trained.append((candidate.method, seed))
        return Run(method=candidate.method, seed=seed, eval={}, test={})


@pytest.fixture
def first_trained(tmp_path, monkeypatch):
    """Begins a comparison; returns the first run that it trains itself."""

    def begin(*, uris=None, settings=None, **config):
        trainings = Interrupted()
        monkeypatch.setattr(executor, "_prepare", lambda *_: (trainings, {}))
        inputs = {
            "examples": standard_artifacts.Examples,
            "transformed_examples": standard_artifacts.Examples,
            "transform_graph": standard_artifacts.TransformGraph,
        }
        common = {"epochs": 2, "checkpoint_root": os.fspath(tmp_path)}
        custom_config = trainer_config(**(common | config))
        custom_config["comparison"] = {"seeds": 2, "static_weights": GRID} | (settings or {})
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
    [{"surgery": "none"}, {"seed": 7}, {"settings": {"seeds": 3}}, {"settings": {"epochs": 2}}],
    ids=str,
)
def test_what_changes_no_training_keeps_the_finished_runs(first_trained, change):
    first_trained()
    assert first_trained(**change) == FIFTH


def with_tasks(**changes):
    first, *others = (task.model_dump(mode="json", exclude={"gate"}) for task in TASKS)
    return {"tasks": [first | changes, *others]}


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"static_weights": [{"price": 5}, {"payment": 3}]}},
        {"settings": {"static_weights": GRID[::-1]}},
        {"settings": {"static_weights": [{"big_tip": 2}, *GRID]}},
        {"settings": {"static_weights": None}},
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


def test_every_run_has_a_place_of_its_own(tmp_path):
    kept = executor.FinishedRuns(os.fspath(tmp_path))
    places = list(itertools.product(range(12), range(12)))
    for candidate, seed in places:
        kept.write(candidate, seed, Run(method=str(candidate), seed=seed, eval={}, test={}))
    for candidate, seed in places:
        found = kept.read(candidate, seed)
        assert (found.method, found.seed) == (str(candidate), seed)
