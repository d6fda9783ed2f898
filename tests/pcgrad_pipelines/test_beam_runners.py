"""The data components on engines of their own, with workers in other processes."""

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft

from beam_runs import STEPS, beam_job_service, prism, read, read_transformed, run_data_steps
from evaluator_runs import TASKS, EchoModel, evaluate, make_rows
from pcgrad_pipelines.beam_options import IN_PROCESS_RUNNER
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_tfx.transform.vocabularies import read_vocabularies

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """The data steps' artifacts on the default engine."""
    return run_data_steps(tmp_path_factory.mktemp("default"), [f"--runner={IN_PROCESS_RUNNER}"])


@pytest.fixture(scope="module", params=[beam_job_service, prism], ids=lambda make: make.__name__)
def engine(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture(scope="module")
def results(default, engine, tmp_path_factory):
    """The data steps' artifacts on the default engine and on another one."""
    assert not engine.workers
    return default, run_data_steps(tmp_path_factory.mktemp("elsewhere"), engine.arguments)


def test_the_engine_did_the_work(results, engine):
    jobs = list(engine.jobs().values())
    assert [state for _, state in jobs] == ["DONE"] * 3
    for component in ("CsvExampleGen", "StatisticsGen", "Transform"):
        assert any(STEPS[component] in steps for steps, _ in jobs)
    # Each job has a worker process of its own.
    assert len(engine.workers) >= 3


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_the_splits_are_the_same(results, split):
    default, elsewhere = (
        read(artifact("CsvExampleGen", "examples"), split) for artifact in results
    )
    assert len(default) > 500
    assert elsewhere == default


def test_the_statistics_are_the_same(results):
    default, elsewhere = (
        tfdv.load_stats_binary(
            str(artifact("StatisticsGen", "statistics") / "Split-train" / "FeatureStats.pb")
        ).datasets[0]
        for artifact in results
    )
    assert elsewhere.num_examples == default.num_examples > 5000

    def columns(statistics):
        return {feature.path.step[0]: feature for feature in statistics.features}

    default, elsewhere = columns(default), columns(elsewhere)
    assert elsewhere.keys() == default.keys()
    for name, column in default.items():
        kind = column.WhichOneof("stats")
        ours, theirs = getattr(column, kind), getattr(elsewhere[name], kind)
        assert theirs.common_stats.num_missing == ours.common_stats.num_missing
        if kind == "num_stats":
            for value in ("min", "max", "median"):
                assert getattr(theirs, value) == pytest.approx(getattr(ours, value), rel=1e-2)
            assert theirs.mean == pytest.approx(ours.mean, rel=1e-6)
            assert theirs.std_dev == pytest.approx(ours.std_dev, rel=1e-6)
        else:
            assert theirs.unique == ours.unique


def test_vocabularies_and_buckets_are_the_same(results):
    outputs = [
        tft.TFTransformOutput(str(artifact("Transform", "transform_graph"))) for artifact in results
    ]
    default, elsewhere = map(read_vocabularies, outputs)
    assert elsewhere == default
    assert list(default) == list(load_config(DEFAULT_CONFIG).features.categorical)
    assert all(len(values) > 1 for values in default.values())


@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_transformed_examples_are_the_same(results, split):
    """z-scores to 1e-3, for sums are merged in another order; all else exactly."""

    def columns(artifact):
        raw = read(artifact("CsvExampleGen", "examples"), split)
        rows = read_transformed(artifact, split)
        assert len(rows) == len(raw)
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    default, elsewhere = map(columns, results)
    assert default.keys() == elsewhere.keys()
    exact = sorted(name for name in default if default[name].dtype != np.float32)
    assert len(exact) >= 6

    def rows(table):
        return sorted(zip(*(table[name].tolist() for name in exact), strict=True))

    assert rows(elsewhere) == rows(default)
    for name in default.keys() - set(exact):
        np.testing.assert_allclose(
            np.sort(elsewhere[name]), np.sort(default[name]), rtol=0, atol=1e-3, err_msg=name
        )


def test_the_evaluation_is_the_same(engine, tmp_path):
    rows, model = make_rows(TASKS), EchoModel(TASKS).save(tmp_path / "model")
    before = engine.jobs().keys()
    metrics, blessed = [], []
    for name, options in [("default", {}), ("elsewhere", {"beam_args": engine.arguments})]:
        folder = tmp_path / name
        folder.mkdir()
        path, is_blessed = evaluate(folder, TASKS, rows, model, **options)
        blessed.append(is_blessed)
        metrics.append(
            {
                (slice_key, output, metric): value["doubleValue"]
                for slice_key, outputs in tfma.load_eval_result(path).slicing_metrics
                for output, by_class in outputs.items()
                for metric, value in by_class[""].items()
                if "doubleValue" in value
            }
        )
    default, elsewhere = metrics
    assert blessed[0] == blessed[1]
    # Three tasks, over all rows and over the rows of each of three hours.
    assert len(default) > 20
    assert elsewhere == pytest.approx(default, rel=1e-5)
    jobs = engine.jobs()
    ((steps, state),) = [jobs[job] for job in jobs.keys() - before]
    assert STEPS["Evaluator"] in steps
    assert state == "DONE"
