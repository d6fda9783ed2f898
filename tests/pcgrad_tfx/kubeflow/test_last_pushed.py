"""LastPushedModel: the newest complete version at the push destination that learned these tasks."""

import posixpath
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tfx import v1 as tfx
from tfx.components.util import model_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from pcgrad_tfx.config.tasks import parse_tasks
from pcgrad_tfx.kubeflow.last_pushed import ABSENT_PROPERTY, Executor, LastPushedModel, is_absent
from pcgrad_tfx.pushing.pusher import Executor as PusherExecutor
from saved_models import read_mark, write_saved_model
from transformed import Run, artifact
from trips import ROWS, TASKS

TIP = {"name": "tip", "kind": "binary", "column": "tips", "above": 0.0}
FARE = {"name": "fare", "kind": "regression", "column": "fare"}
BOTH = parse_tasks([TIP, FARE])


def push(folder, version, tasks=BOTH):
    write_saved_model(f"{folder}/{version}", f"version {version}", tasks)


class Found:
    """What the executor made of a push destination."""

    def __init__(self, folder, destination, tasks=BOTH):
        self.model = artifact(standard_artifacts.Model, f"{folder}/model")
        self.blessing = artifact(standard_artifacts.ModelBlessing, f"{folder}/blessing")
        for made in (self.model, self.blessing):
            tf.io.gfile.makedirs(made.uri)
        outputs = {"model": [self.model], "model_blessing": [self.blessing]}
        component = LastPushedModel(str(destination), tasks)
        Executor().Do({}, outputs, dict(component.exec_properties))

    @property
    def version(self):
        """The model's mark, or None if both outputs are marked as absent."""
        if is_absent(self.model):
            assert is_absent(self.blessing)
            assert not tf.io.gfile.listdir(self.model.uri)
            assert not tf.io.gfile.listdir(self.blessing.uri)
            return None
        assert not is_absent(self.blessing)
        return read_mark(f"{self.model.uri}/Format-Serving")


@pytest.fixture
def pushed(tmp_path):
    return tmp_path / "pushed model"


def test_the_newest_version_is_the_largest_number(pushed, tmp_path):
    for version in (9, 100, 20):
        push(pushed, version)
    assert Found(tmp_path, pushed).version == "version 100"


def test_before_the_first_push_there_is_none(pushed, tmp_path):
    assert Found(tmp_path / "1", pushed).version is None
    assert list(pushed.iterdir()) == []
    assert Found(tmp_path / "2", pushed).version is None


def test_that_nothing_can_be_pushed_is_said_before_a_training(tmp_path):
    (tmp_path / "volume").write_text("no folder")
    with pytest.raises(
        ValueError, match=r"^push_destination: user \d+ cannot write to .*models \("
    ):
        Found(tmp_path, tmp_path / "volume" / "models")


def test_what_is_no_version_is_ignored(pushed, tmp_path):
    push(pushed, 5)
    for name in ("7.backup", "tmp-8", "-9", "1e3", "٩", "latest"):
        push(pushed, name)
    (pushed / "models.config").write_text("")
    (pushed / "11").write_text("a file")
    assert Found(tmp_path, pushed).version == "version 5"


FILES = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets.extra/tasks.json",
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kept", [None, 0.0, 0.9])
def test_a_version_that_is_not_whole_is_never_taken(pushed, tmp_path, file, kept):
    push(pushed, 2)
    damaged = pushed / "2" / file
    if kept is None:
        damaged.unlink()
    else:
        content = damaged.read_bytes()
        damaged.write_bytes(content[: int(kept * len(content))])
    assert Found(tmp_path / "1", pushed).version is None
    push(pushed, 1)
    assert Found(tmp_path / "2", pushed).version == "version 1"


def test_a_model_in_text_format_is_whole(pushed, tmp_path):
    push(pushed, 3)
    binary = pushed / "3" / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    binary.with_suffix(".pbtxt").write_text(text_format.MessageToString(message))
    binary.unlink()
    assert Found(tmp_path, pushed).version == "version 3"


@pytest.mark.parametrize(
    "other",
    [[TIP], [TIP, FARE, {**FARE, "name": "more"}], [{**TIP, "above": 1.0}, FARE], None],
    ids=["a task less", "a task more", "another label", "does not tell"],
)
def test_a_model_of_other_tasks_is_passed_over(pushed, tmp_path, other):
    push(pushed, 8, tasks=other and parse_tasks(other))
    assert Found(tmp_path / "1", pushed).version is None
    push(pushed, 7)
    assert Found(tmp_path / "2", pushed).version == "version 7"


def test_another_gate_or_loss_weight_is_the_same_task(pushed, tmp_path):
    push(pushed, 1, tasks=parse_tasks([FARE, {**TIP, "gate": {"min_gain": 0.3}}]))
    assert Found(tmp_path, pushed).version == "version 1"


def test_the_destination_may_be_tfxs_json(pushed, tmp_path):
    push(pushed, 1)
    destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(pushed))
    )
    assert Found(tmp_path, proto_utils.proto_to_json(destination)).version == "version 1"


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("", "'' names no folder; give a path, or "),
        ("{}", "'{}' names no folder; give a path, or "),
        ('{"filesystem": {}}', "names no folder; "),
        (
            '{"filesystem": {"base_dir": "/x"}}',
            'is no PushDestination: .*"base_dir".*; write it as',
        ),
        ('{"filesystem"', "is no PushDestination: .*; write it as "),
        (__file__, "test_last_pushed.py is no folder; name another one"),
    ],
)
def test_a_wrong_destination_is_told_in_one_line(tmp_path, destination, said):
    with pytest.raises(ValueError, match=rf"\Apush_destination: .*{said}.*\Z"):
        Found(tmp_path, destination)


def test_a_bucket(tmp_path, monkeypatch):
    """In a bucket, for which TensorFlow's files in memory stand, folders' names end in a slash."""
    bucket = f"ram://{uuid.uuid4()}/pushed"
    for version in (9, 10, 11):
        push(tmp_path, version)
        files = [path for path in (tmp_path / str(version)).rglob("*") if path.is_file()]
        for path in files if version < 11 else files[1:]:
            target = f"{bucket}/{path.relative_to(tmp_path)}"
            tf.io.gfile.makedirs(posixpath.dirname(target))
            tf.io.gfile.copy(str(path), target)
    listdir = tf.io.gfile.listdir
    assert set(listdir(bucket)) == {"9", "10", "11"}
    monkeypatch.setattr(tf.io.gfile, "listdir", lambda path: [f"{name}/" for name in listdir(path)])
    found = Found(tmp_path, bucket)
    monkeypatch.undo()
    assert found.version == "version 10"
    assert Path(found.model.uri, "Format-Serving", "variables", "variables.index").exists()


def test_it_serves_as_the_model_that_was_pushed(trained, tmp_path):
    destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(tmp_path / "pushed"))
    )
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", 1)
    inputs = {
        "model": [artifact(standard_artifacts.Model, trained.folder / "model")],
        "model_blessing": [blessing],
    }
    outputs = {"pushed_model": [artifact(standard_artifacts.PushedModel, tmp_path / "artifact")]}
    properties = {"push_destination": proto_utils.proto_to_json(destination)}
    PusherExecutor().Do(inputs, outputs, properties)

    found = Found(tmp_path, properties["push_destination"], TASKS)
    assert not is_absent(found.model)
    assert model_utils.is_model_blessed(found.blessing)
    assert Path(found.blessing.uri, "BLESSED").exists()
    assert found.blessing.get_string_custom_property("current_model") == found.model.uri
    answers = Run(tmp_path).serve(ROWS["eval"])
    for task, expected in trained.serve(ROWS["eval"]).items():
        np.testing.assert_array_equal(answers[task], expected)


@pytest.mark.parametrize("versions", [[], [1]])
def test_the_mark_survives_the_way_through_kubeflow(pushed, tmp_path, versions):
    for version in versions:
        push(pushed, version)
    found = Found(tmp_path, pushed)
    for made in (found.model, found.blessing):
        runtime_artifact = kubeflow_v2_entrypoint_utils.to_runtime_artifact(made, {})
        runtime_artifact.type.schema_title = f"tfx.{made.type_name}"
        assert (ABSENT_PROPERTY in runtime_artifact.metadata) == (not versions)
        message = pipeline_spec_pb2.ArtifactList(artifacts=[runtime_artifact])
        ((passed,),) = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict({"": message}).values()
        assert is_absent(passed) == is_absent(made) == (not versions)
