"""The two nodes that can find a pipeline's baseline give the same answers."""

from pathlib import Path

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.dsl.component.experimental.decorators import component
from tfx.utils import path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter
from tfx.v1.types.standard_artifacts import Model, ModelBlessing

from pcgrad_pipelines.stages import latest_blessed_model
from pcgrad_tfx.config.tasks import parse_tasks
from pcgrad_tfx.kubeflow.last_pushed import LastPushedModel, is_absent
from pcgrad_tfx.pushing.pusher import Pusher
from pcgrad_tfx.training.task_definitions import write_definitions

TIP = {"name": "tip", "kind": "binary", "column": "tips", "above": 0.0}
FARE = {"name": "fare", "kind": "regression", "column": "fare"}
TASKS = {"both": parse_tasks([TIP, FARE]), "one": parse_tasks([TIP])}


@component
def Train(name: Parameter[str], tasks: Parameter[str], model: OutputArtifact[Model]):  # noqa: N802, a component
    """Writes a model that holds a name."""
    folder = path_utils.serving_model_dir(model.uri)
    module = tf.Module()
    module.mark = tf.Variable(name)
    tf.saved_model.save(module, folder)
    write_definitions(folder, TASKS[tasks])


@component
def Bless(  # noqa: N802, a component
    model: InputArtifact[Model], passed: Parameter[int], blessing: OutputArtifact[ModelBlessing]
):
    """Notes what the Evaluator notes."""
    blessing.set_int_custom_property("blessed", passed)
    blessing.set_int_custom_property("current_model_id", model.id)


@component
def Look(  # noqa: N802, a component
    answer: Parameter[str],
    model: InputArtifact[Model] = None,
    model_blessing: InputArtifact[ModelBlessing] = None,
):
    """Writes down which baseline it is given; the entry point leaves out inputs that are marked."""
    given = [artifact for artifact in (model, model_blessing) if artifact is not None]
    present = [artifact for artifact in given if not is_absent(artifact)]
    text = "none"
    if present:
        assert len(present) == 2
        assert model_blessing.get_int_custom_property("blessed") == 1
        loaded = tf.saved_model.load(path_utils.serving_model_path(model.uri))
        text = loaded.mark.numpy().decode()
    Path(answer).write_text(text)


NODES = {
    "Resolver": lambda tasks, pushed, trained: latest_blessed_model(tasks, trained),
    "LastPushedModel": lambda tasks, pushed, trained: LastPushedModel(str(pushed), tasks),
}


@pytest.fixture(params=NODES)
def run(request, tmp_path):
    """Runs a pipeline that ends in a push, and returns what the node found before."""
    pushed, answer = tmp_path / "pushed", tmp_path / "answer"

    def run_pipeline(name, tasks="both", blessed=True):
        train = Train(name=name, tasks=tasks)
        node = NODES[request.param](TASKS[tasks], pushed, train.outputs["model"])
        look = Look(
            answer=str(answer),
            model=node.outputs["model"],
            model_blessing=node.outputs["model_blessing"],
        )
        bless = Bless(model=train.outputs["model"], passed=int(blessed))
        bless.add_upstream_node(look)
        pusher = Pusher(
            model=train.outputs["model"],
            model_blessing=bless.outputs["blessing"],
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(pushed))
            ),
        )
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="pushing",
                pipeline_root=str(tmp_path / "root"),
                components=[train, node, look, bless, pusher],
                metadata_connection_config=(
                    tfx.orchestration.metadata.sqlite_metadata_connection_config(
                        str(tmp_path / "metadata.sqlite")
                    )
                ),
            )
        )
        return answer.read_text()

    return run_pipeline


def test_both_have_the_same_outputs():
    trained = Train(name="", tasks="both").outputs["model"]
    for make in NODES.values():
        outputs = make(TASKS["both"], "pushed", trained).outputs
        types = {key: outputs[key].type for key in ("model", "model_blessing")}
        assert types == {"model": Model, "model_blessing": ModelBlessing}


def test_it_is_the_last_pushed_model_of_the_same_tasks(run):
    assert run("first") == "none"
    assert run("second") == "first"
    assert run("of other tasks", tasks="one") == "none"
    assert run("not good enough", blessed=False) == "second"
    assert run("third") == "second"
    assert run("fourth", tasks="one") == "of other tasks"
