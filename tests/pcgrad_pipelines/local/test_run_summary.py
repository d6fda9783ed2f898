"""The table at the end of a run, and what is said below it."""

import io

import pytest
import rich.console
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pcgrad_pipelines.local import run, runner
from pcgrad_pipelines.local.output_folder import metadata_connection
from pcgrad_pipelines.local.run_summary import (
    RunSummary,
    read_last_run,
    reference_sentences,
    results_table,
)
from pcgrad_tfx.evaluation.eval_config import TaskResult
from pcgrad_tfx.reference.results import ReferenceOutcome, TaskScore

TREES = {"fare": 0.84, "tip": 0.7}


def summary(reference=None):
    results = [
        TaskResult(name, "r_squared", value, 0.0, None, True, (), {})
        for name, value in {"fare": 0.72, "tip": 0.71, "rest": 0.5}.items()
    ]
    return RunSummary(results, None, "model", "logs", "report.html", ["No conflict."], reference)


@pytest.fixture
def with_trees():
    scores = [
        TaskScore(task=task, metric="r_squared", value=value, test_rows=10_000)
        for task, value in TREES.items()
    ]
    return summary(ReferenceOutcome(tasks=scores, rows=80_000, all_rows=80_000, left_out=("rest",)))


def lines(of):
    console = rich.console.Console(file=io.StringIO(), width=110)
    console.print(results_table(of))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_trees_stand_beside_the_model(with_trees):
    printed = lines(with_trees)
    assert "Task Metric This model Boosted trees Constant prediction" in printed[2]
    assert "fare r_squared 0.7200 0.8400 0.0000 none yet passed" in printed
    assert "rest r_squared 0.5000 – 0.0000 none yet passed" in printed


def test_without_trees_there_is_no_column():
    printed = lines(summary())
    assert "Task Metric This model Constant prediction" in printed[2]
    assert "fare r_squared 0.7200 0.0000 none yet passed" in printed
    assert reference_sentences(summary()) == []


def test_below_the_table_stands_where_trees_are_ahead(with_trees):
    ahead, left_out = reference_sentences(with_trees)
    assert ahead.startswith("Boosted trees are ahead on fare: there the network")
    assert left_out == "Boosted trees of rest would have taken too long."


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Calls the runner with options, and returns the configuration that it would run."""

    def call(*arguments):
        seen = []
        monkeypatch.setattr(
            runner, "run_config", lambda config, *_: seen.append(config) or run.PUSHED
        )
        assert runner.main(["--output", str(tmp_path), *arguments]) == run.PUSHED
        return seen[0]

    return call


@pytest.mark.parametrize(("arguments", "enabled"), [([], True), (["--no-reference"], False)])
def test_a_flag_leaves_trees_out(configured, arguments, enabled):
    assert configured(*arguments).reference.enabled == enabled


@pytest.mark.parametrize(
    ("arguments", "seeds", "search"),
    [
        (["--compare"], 5, 12),
        (["--compare", "--seeds", "3"], 3, 12),
        (["--compare", "--search", "0"], 5, 0),
    ],
)
def test_flags_say_how_methods_are_compared(configured, arguments, seeds, search):
    found = configured(*arguments).comparison
    assert (found.seeds, found.search) == (seeds, search)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "3"], "--seeds is about a comparison; add --compare"),
        (["--compare", "--seeds", "1"], "seeds: 1 should be greater than or equal to 2"),
    ],
)
def test_flags_of_a_comparison_that_cannot_be(tmp_path, capsys, arguments, said):
    assert runner.main(["--output", str(tmp_path), *arguments]) == run.FAILED
    assert said in capsys.readouterr().out


class Metadata:
    """What TFX notes of a pipeline's runs."""

    def __init__(self, connection):
        self._store = store = metadata_store.MetadataStore(connection)
        names = ("pipeline", "pipeline_run", "node")
        self._kinds = {name: store.put_context_type(mlmd.ContextType(name=name)) for name in names}
        self._execution = store.put_execution_type(mlmd.ExecutionType(name="any"))
        self._model = store.put_artifact_type(mlmd.ArtifactType(name="Model"))

    def _context(self, kind, name):
        found = self._store.get_context_by_type_and_name(kind, name)
        if found is None:
            self._store.put_contexts([mlmd.Context(type_id=self._kinds[kind], name=name)])
        return self._store.get_context_by_type_and_name(kind, name)

    def put_run(self, pipeline, name, **nodes):
        """Notes a run, with the state of each component and what is in its only output's folder."""
        whole, one = self._context("pipeline", pipeline), self._context("pipeline_run", name)
        self._store.put_parent_contexts([mlmd.ParentContext(child_id=one.id, parent_id=whole.id)])
        for component, (state, uri) in nodes.items():
            artifact = mlmd.Artifact(type_id=self._model, uri=uri)
            event = mlmd.Event(type=mlmd.Event.OUTPUT)
            event.path.steps.add().key = "model"
            event.path.steps.add().index = 0
            execution = mlmd.Execution(type_id=self._execution, last_known_state=state)
            node = self._context("node", f"{pipeline}.{component}")
            self._store.put_execution(execution, [(artifact, event)], [whole, one, node])


def test_the_last_run_of_a_pipeline_is_read(tmp_path):
    connection, states = metadata_connection(tmp_path), mlmd.Execution
    assert read_last_run(connection, "taxi") == {}
    metadata = Metadata(connection)
    metadata.put_run("taxi", "z", Trainer=(states.COMPLETE, "first"))
    metadata.put_run(
        "taxi",
        "a",
        Trainer=(states.CACHED, "last"),
        Evaluator=(states.COMPLETE, "new"),
        Pusher=(states.FAILED, "broken"),
    )
    metadata.put_run("other", "b", Trainer=(states.COMPLETE, "other"))
    found = read_last_run(connection, "taxi")
    assert {name: node.cached for name, node in found.items()} == {
        "Trainer": True,
        "Evaluator": False,
    }
    assert {name: node.outputs["model"].uri for name, node in found.items()} == {
        "Trainer": "last",
        "Evaluator": "new",
    }
