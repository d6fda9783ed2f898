"""Pusher: a server sees whole models only, whatever happens while one is copied."""

import errno
import os
import pathlib
import shutil
import uuid

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx.utils import io_utils, proto_utils

from pcgrad_tfx.pushing.pusher import Executor, Pusher
from pcgrad_tfx.pushing.versions import push, unfinished, versions
from saved_models import read_mark, write_saved_model
from transformed import artifact


@pytest.fixture
def model(tmp_path):
    write_saved_model(tmp_path / "model", "new")
    return str(tmp_path / "model")


@pytest.fixture
def destination(tmp_path):
    return str(tmp_path / "pushed")


def names(folder):
    return sorted(tf.io.gfile.listdir(str(folder)))


def test_the_newest_version_is_the_model(model, destination):
    path = push(model, destination)
    assert names(destination) == [path.rpartition("/")[2]] == versions(destination)
    assert read_mark(path) == "new"
    assert names(path) == names(model)


def test_the_number_is_above_all_others(model, destination):
    write_saved_model(f"{destination}/20990101000000", "other")
    assert push(model, destination) == f"{destination}/20990101000001"


def test_versions_are_in_the_order_of_numbers(destination):
    for name in ("9", "100", "20"):
        write_saved_model(f"{destination}/{name}", name)
    assert versions(destination) == ["100", "20", "9"]


def test_a_change_near_the_end_of_a_file_is_a_new_version(
    model, destination, tmp_path, monkeypatch
):
    monkeypatch.setattr("pcgrad_tfx.pushing.versions._CHUNK_BYTES", 4)
    shutil.copytree(model, tmp_path / "changed")
    for folder, text in ((model, "the same, old"), (str(tmp_path / "changed"), "the same, new")):
        tf.io.gfile.makedirs(f"{folder}/assets.extra")
        (pathlib.Path(folder) / "assets.extra" / "notes").write_text(text)
    first = push(model, destination)
    assert push(model, destination) == first
    assert push(str(tmp_path / "changed"), destination) != first


def test_two_in_one_second_are_two_versions(model, destination, tmp_path):
    write_saved_model(tmp_path / "second", "second")
    first, second = push(model, destination), push(str(tmp_path / "second"), destination)
    assert versions(destination) == [path.rpartition("/")[2] for path in (second, first)]
    assert read_mark(second) == "second"


def test_two_at_once_do_not_meet(model, destination, tmp_path, monkeypatch):
    write_saved_model(tmp_path / "second", "second")
    monkeypatch.setattr("time.time", lambda: 1.8e9)
    copy_dir = io_utils.copy_dir

    def copy_meanwhile(*arguments, **options):
        monkeypatch.setattr(io_utils, "copy_dir", copy_dir)
        assert read_mark(push(str(tmp_path / "second"), destination)) == "second"
        copy_dir(*arguments, **options)

    monkeypatch.setattr(io_utils, "copy_dir", copy_meanwhile)
    assert read_mark(push(model, destination)) == "new"
    assert names(destination) == ["1800000000", "1800000001"]


def test_the_newest_version_is_not_pushed_again(model, destination, tmp_path):
    first = push(model, destination)
    assert push(model, destination) == first
    shutil.copytree(model, tmp_path / "changed")
    tasks = tmp_path / "changed" / "assets.extra" / "tasks.json"
    tasks.parent.mkdir()
    tasks.write_text("{}")
    second = push(str(tmp_path / "changed"), destination)
    assert second != first
    # An older one is: what is served is the newest.
    third = push(model, destination)
    assert versions(destination) == [path.rpartition("/")[2] for path in (third, second, first)]
    # Of the same size, but not the same; and of none.
    found = {first, second, third}
    for text in ("[]", ""):
        tasks.write_text(text)
        found.add(push(str(tmp_path / "changed"), destination))
    assert len(found) == 5


FILES = ["saved_model.pb", "variables.index", "variables.data-00000-of-00001", "fingerprint.pb"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("says_so", [True, False], ids=["an error", "without a word"])
def test_a_full_disk_publishes_nothing(model, destination, monkeypatch, file, says_so):
    write_saved_model(f"{destination}/1", "old")
    copy = tf.io.gfile.copy

    def copy_a_part(source, target, **options):
        copy(source, target, **options)
        if target.endswith(f"/{file}"):
            os.truncate(target, 5)
            if says_so:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tf.io.gfile, "copy", copy_a_part)
    with pytest.raises(OSError, match="No space left" if says_so else "not a whole copy of"):
        push(model, destination)
    assert names(destination) == ["1"]
    monkeypatch.undo()
    assert read_mark(push(model, destination)) == "new"


def test_what_a_killed_push_left_is_no_version(model, destination, monkeypatch):
    def killed(*_, **__):
        raise SystemExit

    monkeypatch.setattr(tf.io.gfile, "rename", killed)
    with pytest.raises(SystemExit):
        push(model, destination)
    assert versions(destination) == []
    (left,) = unfinished(destination)
    assert not left.isdecimal()
    monkeypatch.undo()
    assert read_mark(push(model, destination)) == "new"


def test_in_a_bucket_the_file_that_servers_wait_for_is_the_last(model, monkeypatch):
    bucket = f"ram://{uuid.uuid4()}/pushed"
    copied = []
    filesystem_copy = tf.io.gfile.copy
    monkeypatch.setattr(
        tf.io.gfile,
        "copy",
        lambda source, target, **options: (
            copied.append(target),
            filesystem_copy(source, target, **options),
        ),
    )
    path = push(model, bucket)
    assert read_mark(path) == "new"
    assert copied[-1] == f"{path}/saved_model.pb"
    assert push(model, bucket) == path


@pytest.mark.parametrize("is_blessed", [True, False])
def test_the_component_pushes_what_is_blessed(tmp_path, destination, is_blessed):
    model = artifact(standard_artifacts.Model, tmp_path / "trained")
    write_saved_model(tmp_path / "trained" / "Format-Serving", "trained")
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", int(is_blessed))
    pushed = artifact(standard_artifacts.PushedModel, tmp_path / "artifact")
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=destination)
    properties = {
        "push_destination": proto_utils.proto_to_json(
            tfx.proto.PushDestination(filesystem=filesystem)
        )
    }
    inputs = {"model": [model], "model_blessing": [blessing]}
    Executor().Do(inputs, {"pushed_model": [pushed]}, properties)
    assert pushed.get_int_custom_property("pushed") == int(is_blessed)
    if is_blessed:
        path = pushed.get_string_custom_property("pushed_destination")
        assert path == f"{destination}/{pushed.get_string_custom_property('pushed_version')}"
        assert read_mark(path) == read_mark(pushed.uri) == "trained"
    else:
        assert versions(destination) == []


def test_it_looks_at_the_push_destination_in_every_run():
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory="/x")
    channel = tfx.dsl.Channel(type=standard_artifacts.Model)
    one, other = (
        Pusher(model=channel, push_destination=tfx.proto.PushDestination(filesystem=filesystem))
        for _ in range(2)
    )
    assert one.exec_properties != other.exec_properties
