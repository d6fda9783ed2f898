"""What a comparison tries for each method, and what it chooses."""

import numpy as np
import pytest

from comparison_runs import compare, fit_eagerly
from pcgrad_tfx.comparison import trainings
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, Run
from pcgrad_tfx.training.callbacks.best_epoch import BestEpoch
from trips import TASKS, trainer_config

pytestmark = pytest.mark.long

NAMES = [task.name for task in TASKS]
RATE = trainer_config()["learning_rate"]


class Made:
    """Trainings whose metrics are made up: by the candidate on eval and on test."""

    def __init__(self, metrics):
        self._metrics = metrics
        self.jobs = []

    def run(self, job):
        self.jobs.append(job)
        on_eval, on_test = self._metrics(job)
        names = [job.candidate.task] if job.candidate.task else NAMES
        return Run(
            method=job.candidate.method,
            seed=job.seed,
            eval=dict.fromkeys(names, on_eval),
            test=dict.fromkeys(names, on_test) if job.is_scored else {},
        )


@pytest.fixture
def made(transformed_data, test_examples, tmp_path, monkeypatch):
    """Runs a comparison with made-up metrics, and returns what it found and the trainings."""

    def run(metrics, **settings):
        one = Made(metrics)
        monkeypatch.setattr(trainings.Trainings, "run", lambda _, job: one.run(job))
        monkeypatch.setattr(trainings.Trainings, "step_times", lambda *_, **__: [])
        return compare(transformed_data, test_examples, tmp_path, settings=settings), one.jobs

    return run


def test_static_weights_are_chosen_on_eval_and_scored_on_test(made):
    """The grid's second entry is made best on eval, and worst on test."""

    def metrics(job):
        weights = job.candidate.weights or {}
        best = max(weights, key=weights.get, default=None)
        return {"big_tip": (0.5, 0.5), "price": (0.6, 0.1), "payment": (0.4, 0.9)}.get(
            best, (0.5, 0.5)
        )

    grid = [{"big_tip": 3}, {"price": 3}, {"payment": 3}]
    found, _ = made(metrics, single_task=False, static_weights=grid)
    chosen = {method.name: method.loss_weights for method in found.methods}["static weights"]
    assert chosen == pytest.approx({"big_tip": 0.6, "price": 1.8, "payment": 0.6})
    assert [run.test["price"] for run in found.runs if run.method == "static weights"] == [0.1] * 2


def test_every_method_has_the_same_search_and_its_own_choice(made):
    """PCGrad is made to want a high rate, a single task a low one, all others the given one."""

    def metrics(job):
        settings, method = job.candidate.settings, job.candidate.method
        rate = settings.get("learning_rate", RATE)
        factor = {"PCGrad": 10, "single task": 0.1}.get(method, 1)
        if job.candidate.task == "price":
            factor = 1
        return -abs(np.log(rate / (factor * RATE))), 0.5

    found, jobs = made(metrics, search=5, methods=["pcgrad", "famo"], static_weights=[])
    searched, scored = jobs[: 6 * 5], jobs[6 * 5 :]
    tried = {}
    for job in searched:
        key = job.candidate.method, job.candidate.task
        tried.setdefault(key, []).append(job.candidate.settings)
        assert not job.is_scored
    assert len(tried) == 6
    assert len({str(settings) for settings in tried.values()}) == 1
    (settings, *_) = tried.values()
    rates = [one["learning_rate"] for one in settings[1:]]
    assert settings[0] == {}
    # The search's seed is no scored one.
    assert {job.seed for job in searched}.isdisjoint({job.seed for job in scored})
    methods = {method.name: method for method in found.methods}
    assert methods["PCGrad"].settings["learning_rate"] == max(rates)
    assert methods["FAMO"].settings == methods[EQUAL_WEIGHTS].settings == {}
    alone = methods["single task"].settings_by_task
    assert alone["big_tip"]["learning_rate"] == min(rates)
    assert alone["price"] == {}
    for job in scored:
        if job.candidate.method == "PCGrad":
            assert job.candidate.settings == methods["PCGrad"].settings
    assert found.search == 5
    assert len(found.trials) == 30


def test_settings_reach_the_training(transformed_data, test_examples, tmp_path, monkeypatch):
    seen = []

    def fit(model, data, **kwargs):
        optimizer = model.optimizer
        dropouts = [layer.rate for layer in model._flatten_layers() if hasattr(layer, "rate")]
        seen.append((float(optimizer.learning_rate), optimizer.weight_decay, *dropouts))
        return fit_eagerly(model, data, **kwargs)

    monkeypatch.setattr(trainings.MultiTaskModel, "fit", fit)
    settings = {"search": 3, "methods": [], "single_task": False, "static_weights": []}
    given = {"learning_rate": 0.01, "weight_decay": 0.1, "dropout": 0.3, "hidden_units": [4]}
    found = compare(
        transformed_data, test_examples, tmp_path, settings=settings, epochs=1,
        learning_rate_schedule="constant", **given,
    )  # fmt: skip
    tried = [trial.settings for trial in found.trials]
    expected = [{**given, **settings} for settings in tried]
    for (rate, decay, dropout, *_), one in zip(seen[:3], expected, strict=True):
        assert (rate, decay, dropout) == pytest.approx(
            (one["learning_rate"], one["weight_decay"], one["dropout"])
        )
    chosen = {**given, **found.methods[0].settings}
    assert [rate for rate, *_ in seen[3:]] == pytest.approx([chosen["learning_rate"]] * 2)


def test_trials_wait_half_as_long_for_a_better_epoch(
    transformed_data, test_examples, tmp_path, monkeypatch
):
    made = []

    class Best(BestEpoch):
        def __init__(self, model, ranges, patience, keeps_weights):
            super().__init__(model, ranges, patience, keeps_weights)
            made.append(patience)

    monkeypatch.setattr(trainings, "BestEpoch", Best)
    settings = {"search": 2, "methods": [], "single_task": False, "static_weights": []}
    compare(transformed_data, test_examples, tmp_path, settings=settings, epochs=1, patience=3)
    assert made == [2, 2, 3, 3]


def test_a_setting_that_diverges_is_not_chosen(transformed_data, test_examples, tmp_path):
    settings = {"search": 2, "methods": [], "single_task": False, "static_weights": []}
    with pytest.MonkeyPatch.context() as patch:
        # The second one, of which the rate is the configuration's.
        patch.setattr(
            "pcgrad_tfx.comparison.methods.settings_to_try",
            lambda *_, **__: [{}, {"learning_rate": 1e30}],
        )
        found = compare(transformed_data, test_examples, tmp_path, settings=settings)
    assert found.methods[0].settings == {}
    assert found.trials[1].eval == {"big_tip": 0.5, "price": 0.0, "payment": 0.5}
    assert not any(run.diverged for run in found.runs)
